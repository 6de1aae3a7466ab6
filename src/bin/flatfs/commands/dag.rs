//! `flatfs dag`

use cid::Cid;
use clap::Args;
use ds_flatfs::Datastore;
use ds_flatfs::dag::{BadBlock, DagReport, Inspect, UnknownCodec};
use indicatif::HumanCount;
use serde::Serialize;

use crate::exit::Outcome;
use crate::interrupt::interruptible;
use crate::key_arg::parse_cid;
use crate::location::StoreArgs;
use crate::progress::ProgressBar;
use crate::text::{blocks, escape, size};
use crate::{open_store, report};

/// Check whether DAGs are complete
#[derive(Debug, Args)]
#[command(after_long_help = "\
Follows all links from each ROOT, and prints how many blocks and bytes the DAG has, and its depth: the number \
of links to the farthest block. If there are several ROOTs, it also prints for each of them how many blocks only \
that ROOT leads to. Each block that is missing or damaged is printed with the CIDs of the blocks that lead to it.

Blocks with links are read and checked against their CIDs; of the others only missing and empty ones are found, \
unless --hash is given. A block whose hash can't be checked, because the hash function is unknown or the digest too short, is \
counted as unchecked. Links are followed in the codecs that 'flatfs export' knows. Nothing is changed and no lock \
is taken.

Exit status: 0 if every DAG is complete, 1 if a block is missing or damaged.

With --json it prints an object for each root, with \"root\", \"complete\", \"blocks\", \"bytes\", \"depth\", \
\"unique\", \"shared\", \"unchecked\", \"bad_count\" and \"bad\": a list of at most 1,000 with \"cid\", \"path\" and \
\"error\".

Example:
  flatfs dag ~/.ipfs/blocks bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku
  flatfs dag --json blocks $(cat roots) | jq -r '.bad[].cid'")]
pub(crate) struct Dag {
    #[command(flatten)]
    store: StoreArgs,
    /// CIDs whose DAGs to check
    #[arg(required = true, value_name = "ROOT", value_parser = parse_cid)]
    roots: Vec<Cid>,
    /// Read every block, and check it against its hash
    #[arg(long)]
    hash: bool,
    /// Accept blocks of unknown codecs without following their links
    #[arg(long)]
    opaque: bool,
    /// Print JSON objects instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct DagJson {
    root: String,
    complete: bool,
    blocks: u64,
    bytes: u64,
    depth: u64,
    unique: u64,
    shared: u64,
    unchecked: u64,
    bad_count: u64,
    bad: Vec<BadJson>,
}

#[derive(Serialize)]
struct BadJson {
    cid: String,
    path: Vec<String>,
    error: String,
}

impl Dag {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        open_store::for_reading(&self.store, async |store| {
            interruptible(self.inspect(&**store)).await
        })
        .await
    }

    async fn inspect(&self, store: &dyn Datastore) -> anyhow::Result<Outcome> {
        let unknown_codec = match self.opaque {
            true => UnknownCodec::TakeAsLeaf,
            false => UnknownCodec::Refuse,
        };
        let bar = ProgressBar::count("following links");
        let inspect = Inspect::new(store)
            .unknown_codec(unknown_codec)
            .check_hashes(self.hash)
            .on_progress(|blocks| bar.set_count(blocks));
        let reports = inspect.run(&self.roots).await?;
        drop(bar);
        for dag in &reports {
            match self.json {
                true => report::json(&DagJson::new(dag))?,
                false => report::result(&self.lines(dag))?,
            }
        }
        Ok(Outcome::success_if(
            reports.iter().all(DagReport::is_complete),
        ))
    }

    fn lines(&self, dag: &DagReport) -> String {
        let verdict = match dag.bad_count {
            0 => "complete".to_owned(),
            1 => "1 block is missing or damaged".to_owned(),
            count => format!("{} blocks are missing or damaged", HumanCount(count)),
        };
        let root = dag.root;
        let (count, size, depth) = (blocks(dag.blocks), size(dag.bytes), dag.depth);
        let mut lines = format!("{root}: {verdict}, {count}, {size}, depth {depth}");
        if self.roots.len() > 1 {
            let (unique, shared) = (HumanCount(dag.unique), HumanCount(dag.shared));
            lines += &format!(", {unique} unique, {shared} shared");
        }
        if dag.unchecked > 0 {
            let unchecked = blocks(dag.unchecked);
            lines += &format!(", {unchecked} unchecked (unknown hash function)");
        }
        lines.push('\n');
        for bad in &dag.bad {
            lines += &format!("  {}", escape(&bad.error));
            if !bad.path.is_empty() {
                lines += &format!("; path: {}", path(bad).join(" -> "));
            }
            lines.push('\n');
        }
        let unlisted = dag.bad_count.saturating_sub(dag.bad.len() as u64);
        if unlisted > 0 {
            lines += &format!("  {} more\n", HumanCount(unlisted));
        }
        lines
    }
}

fn path(bad: &BadBlock) -> Vec<String> {
    bad.path.iter().map(Cid::to_string).collect()
}

impl DagJson {
    fn new(dag: &DagReport) -> Self {
        let bad = dag.bad.iter().map(|bad| BadJson {
            cid: bad.cid.to_string(),
            path: path(bad),
            error: bad.error.to_string(),
        });
        DagJson {
            root: dag.root.to_string(),
            complete: dag.is_complete(),
            blocks: dag.blocks,
            bytes: dag.bytes,
            depth: dag.depth,
            unique: dag.unique,
            shared: dag.shared,
            unchecked: dag.unchecked,
            bad_count: dag.bad_count,
            bad: bad.collect(),
        }
    }
}
