//! `flatfs stat`

use std::path::PathBuf;

use clap::Args;
use console::Term;
use ds_flatfs::query::Query;
use ds_flatfs::{DiskUsage, FlatFs};
use futures::StreamExt as _;
use indicatif::HumanCount;
use serde::Serialize;

use crate::report::Answer;
use crate::report::{bytes, escape};
use crate::sink::Sink;
use crate::stats::{self, Bin, Spread, Stats};
use crate::{report, store, verbosity};

/// How wide is drawn where nobody knows how wide the terminal is.
const WIDTH: usize = 80;

/// Say what is in a store, and how it is spread
#[derive(Debug, Args)]
#[command(after_help = "\
Disk usage is what the store itself keeps count of, with how far it can be trusted ('flatfs du' \
counts it anew); bytes is the sum of the sizes of the blocks. \"of 1,024\" is the number of shards \
that keys in base32 can have.

Files that are no blocks, and blocks in a shard that is not theirs, which no program finds there, are \
ignored and counted as such; -v names them. A block that can't be sized is reported and makes the \
exit status 1; the others are counted.

Example:
  flatfs stat blocks
  flatfs stat --json blocks | jq .blocks")]
pub(crate) struct Stat {
    /// The store
    dir: PathBuf,
    /// A JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    path: String,
    shard: String,
    blocks: u64,
    bytes: u64,
    disk_usage: Usage,
    block_size: Option<Spread>,
    size_histogram: Vec<Bin>,
    shards: Shards,
    /// What is no block, or no block of the shard where it stands.
    ignored: u64,
}

#[derive(Serialize)]
struct Usage {
    bytes: u64,
    accuracy: &'static str,
}

#[derive(Serialize)]
struct Shards {
    used: u64,
    possible: u64,
    /// Of the shards that are used.
    blocks: Option<Spread>,
}

impl Stat {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        store::reading(&self.dir, async |store| {
            let before = verbosity::warnings();
            let (stats, answer) = collect(store).await?;
            let ignored = verbosity::warnings() - before;
            let report = self.report(store, &stats, store.disk_usage().await?, ignored);
            if self.json {
                report::json(&report)?;
            } else {
                let mut sink = Sink::stdout();
                let width = Term::stdout().size_checked();
                let width = width.map_or(WIDTH, |(_, columns)| usize::from(columns));
                sink.write(text(&report).as_bytes())?;
                sink.write(stats::draw(&stats, width).as_bytes())?;
                sink.finish()?;
            }
            Ok(answer)
        })
        .await
    }

    fn report(&self, store: &FlatFs, stats: &Stats, usage: DiskUsage, ignored: u64) -> Report {
        let shard = store.shard();
        Report {
            path: report::absolute(&self.dir),
            shard: shard.to_string(),
            blocks: stats.blocks(),
            bytes: stats.bytes(),
            disk_usage: Usage {
                bytes: usage.bytes,
                accuracy: usage.accuracy.as_str(),
            },
            block_size: stats.size_spread(),
            size_histogram: stats.size_bins(),
            shards: Shards {
                used: stats.shards_used(),
                possible: stats::shards_possible(shard.length()),
                blocks: stats.shard_spread(),
            },
            ignored,
        }
    }
}

async fn collect(store: &FlatFs) -> anyhow::Result<(Stats, Answer)> {
    let shard = store.shard();
    let mut stats = Stats::default();
    let mut answer = Answer::Yes;
    let query = Query::new().keys_only().returns_sizes();
    let mut entries = store.query(query).await?;
    while let Some(entry) = entries.next().await {
        match entry {
            Ok(entry) => {
                let name = entry.key.as_str().trim_start_matches('/');
                stats.add(shard.dir(name), entry.size.unwrap_or(0));
            }
            Err(error) => {
                answer = Answer::No;
                report::error(&error.into());
            }
        }
    }
    Ok((stats, answer))
}

fn text(report: &Report) -> String {
    let mut lines = vec![
        format!("path        {}", escape(&report.path)),
        format!("shard       {}", report.shard),
        format!("blocks      {}", HumanCount(report.blocks)),
        format!("bytes       {}", bytes(report.bytes)),
        format!(
            "disk usage  {}, {}",
            bytes(report.disk_usage.bytes),
            report.disk_usage.accuracy
        ),
    ];
    if let Some(size) = report.block_size {
        lines.push(format!(
            "block size  smallest {}, median {}, largest {}",
            bytes(size.smallest),
            bytes(size.median),
            bytes(size.largest)
        ));
    }
    let shards = &report.shards;
    let used = format!(
        "shards      {} of {} used",
        HumanCount(shards.used),
        HumanCount(shards.possible)
    );
    lines.push(match shards.blocks {
        Some(fill) => format!(
            "{used}, blocks in each: fewest {}, median {}, most {}",
            HumanCount(fill.smallest),
            HumanCount(fill.median),
            HumanCount(fill.largest)
        ),
        None => used,
    });
    if report.ignored > 0 {
        lines.push(format!(
            "ignored     {}, which are no blocks or stand in a wrong shard; -v names them",
            HumanCount(report.ignored)
        ));
    }
    lines.join("\n") + "\n"
}
