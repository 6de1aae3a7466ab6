//! `flatfs stat`

use clap::Args;
use console::Term;
use ds_flatfs::query::Query;
use ds_flatfs::{Accuracy, DiskUsage};
use futures::StreamExt as _;
use indicatif::HumanCount;
use serde::Serialize;

use crate::exit::Outcome;
use crate::location::StoreArgs;
use crate::open_store::{self, OpenStore};
use crate::output::Output;
use crate::progress::ProgressBar;
use crate::stats::{self, Bin, Spread, Stats};
use crate::text::{bytes, escape};
use crate::{logging, report};

/// The width of the drawings if that of the terminal is not known.
const DEFAULT_WIDTH: usize = 80;

/// Show what is in a store and how it is distributed
#[derive(Debug, Args)]
#[command(after_long_help = "\
The disk usage is the figure that the store keeps, with its accuracy ('flatfs du' counts it); for an object \
store it is the sum of the sizes of the blocks. The bytes \
are the sum of the sizes of the blocks. \"of 1,024\" is the number of shards that base32 keys can have.

Files that are not blocks are ignored, and so are blocks in the wrong shard, where no program finds them. They \
are counted as ignored, and -v names them. A link where a block should be is not counted and causes a warning. \
A block whose size can't be read is reported and makes the exit status 3; the others are counted. With --json, \
missing values are null.

Example:
  flatfs stat blocks
  flatfs stat --json blocks | jq .blocks")]
pub(crate) struct Stat {
    #[command(flatten)]
    store: StoreArgs,
    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct StatJson {
    path: String,
    /// `None` for an object store without a shard function.
    shard: Option<String>,
    blocks: u64,
    bytes: u64,
    disk_usage: UsageJson,
    block_size: Option<Spread>,
    size_histogram: Vec<Bin>,
    shards: Option<ShardsJson>,
    /// The number of files that are not blocks, and of blocks in the wrong shard.
    ignored: u64,
}

#[derive(Serialize)]
struct UsageJson {
    bytes: u64,
    accuracy: &'static str,
}

#[derive(Serialize)]
struct ShardsJson {
    used: u64,
    possible: u64,
    /// The distribution over the shards that are used.
    blocks: Option<Spread>,
}

impl Stat {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        open_store::for_listing(&self.store, async |store| {
            let before = logging::warnings();
            let (stats, outcome) = collect(store).await?;
            let ignored = logging::warnings() - before;
            // The usage of an object store is counted by the same listing.
            let usage = match store.is_url() {
                true => DiskUsage::new(stats.bytes(), Accuracy::Exact),
                false => store.disk_usage().await?,
            };
            let report = self.to_json(store, &stats, usage, ignored);
            if self.json {
                report::json(&report)?;
            } else {
                let mut output = Output::stdout();
                let width = Term::stdout().size_checked();
                let width = width.map_or(DEFAULT_WIDTH, |(_, columns)| usize::from(columns));
                output.write(text(&report).as_bytes())?;
                output.write(stats::draw(&stats, width).as_bytes())?;
                output.finish()?;
            }
            Ok(outcome)
        })
        .await
    }

    fn to_json(
        &self,
        store: &OpenStore,
        stats: &Stats,
        usage: DiskUsage,
        ignored: u64,
    ) -> StatJson {
        let shard = store.shard();
        StatJson {
            path: self.store.dir.absolute(),
            shard: shard.map(|shard| shard.to_string()),
            blocks: stats.blocks(),
            bytes: stats.bytes(),
            disk_usage: UsageJson {
                bytes: usage.bytes,
                accuracy: usage.accuracy.as_str(),
            },
            block_size: stats.size_spread(),
            size_histogram: stats.size_bins(),
            shards: shard.map(|shard| ShardsJson {
                used: stats.shards_used(),
                possible: stats::shards_possible(shard.length()),
                blocks: stats.shard_spread(),
            }),
            ignored,
        }
    }
}

async fn collect(store: &OpenStore) -> anyhow::Result<(Stats, Outcome)> {
    let shard = store.shard();
    let mut stats = Stats::default();
    let mut outcome = Outcome::Success;
    let query = Query::new().keys_only().returns_sizes();
    let mut entries = store.query(query).await?;
    let bar = ProgressBar::count("counting");
    while let Some(entry) = entries.next().await {
        match entry {
            Ok(entry) => {
                let name = entry.key.as_str().trim_start_matches('/');
                let shard = shard.map(|shard| shard.dir(name));
                stats.add(shard, entry.size.unwrap_or(0));
                bar.one_more();
            }
            Err(error) => outcome = outcome.and(report::unlisted(error, false)),
        }
    }
    Ok((stats, outcome))
}

fn text(report: &StatJson) -> String {
    let mut lines = vec![
        format!("path        {}", escape(&report.path)),
        format!("shard       {}", report.shard.as_deref().unwrap_or("none")),
        format!("blocks      {}", HumanCount(report.blocks)),
        format!("bytes       {}", bytes(report.bytes)),
        match &report.disk_usage {
            UsageJson { bytes: 0, accuracy } if *accuracy == Accuracy::Unknown.as_str() => {
                format!("disk usage  {accuracy}; 'flatfs du' counts it")
            }
            usage => format!("disk usage  {}, {}", bytes(usage.bytes), usage.accuracy),
        },
    ];
    if let Some(size) = report.block_size {
        lines.push(format!(
            "block size  smallest {}, median {}, largest {}",
            bytes(size.smallest),
            bytes(size.median),
            bytes(size.largest)
        ));
    }
    if let Some(shards) = &report.shards {
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
    }
    if report.ignored > 0 {
        lines.push(format!(
            "ignored     {}, which are not blocks or are in the wrong shard; -v names them",
            HumanCount(report.ignored)
        ));
    }
    lines.join("\n") + "\n"
}
