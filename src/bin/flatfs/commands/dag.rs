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
use crate::{error_text, open_store, report};

/// Check whether DAGs are complete
#[derive(Debug, Args)]
#[command(after_long_help = "\
Follows all links from each ROOT, and prints how many blocks and bytes the DAG has, and its depth: the number \
of links to the farthest block. If there are several ROOTs, it also prints for each of them how many blocks only \
that ROOT leads to. Each block that is missing, damaged or unreadable is printed with the CIDs of the blocks that \
lead to it. Unreadable are those whose files can't be read and those whose links can't be decoded.

Blocks with links are read and checked against their CIDs; of the others only missing and empty ones are found, \
unless --hash is given. A block whose hash can't be checked, because the hash function is unknown or the digest too short, is \
counted as unchecked. Links are followed in the codecs that 'flatfs export' knows. Nothing is changed and no lock \
is taken.

Exit status: 0 if every DAG is complete; 1 if a block is missing, damaged or unreadable; 2 for invalid usage; 3 if \
the DAGs could not be followed, such as when there is no store or a block has an unknown codec.

With --json it prints an object for each root, with \"root\", \"complete\", \"blocks\", \"bytes\", \"depth\", \
\"unique\", \"shared\", \"unchecked\", \"bad_count\", \"unreadable\" (how many of these are neither missing nor \
damaged) and \"bad\": a list of at most 1,000 with \"cid\", \"path\" and \
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
    unreadable: u64,
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
        let (root, verdict) = (dag.root, verdict(dag));
        let (count, size, depth) = (blocks(dag.blocks), size(dag.bytes), dag.depth);
        let mut lines = format!("{root}: {verdict}, {count}, {size}, depth {depth}");
        if self.roots.len() > 1 {
            let (unique, shared) = (HumanCount(dag.unique), HumanCount(dag.shared));
            lines += &format!(", {unique} unique, {shared} shared");
        }
        if dag.unchecked > 0 {
            let unchecked = blocks(dag.unchecked);
            lines += &format!(", {unchecked} unchecked (unknown hash function or short digest)");
        }
        lines.push('\n');
        for bad in &dag.bad {
            lines += &format!("  {}", escape(error_text::without_hint(&bad.error)));
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

fn verdict(dag: &DagReport) -> String {
    let lost = dag.bad_count.saturating_sub(dag.unreadable);
    let counts = [(lost, "missing or damaged"), (dag.unreadable, "unreadable")];
    let found = counts.iter().filter(|(count, _)| *count > 0);
    let found = found.map(|(count, what)| {
        let are = if *count == 1 { "is" } else { "are" };
        format!("{} {are} {what}", blocks(*count))
    });
    match dag.is_complete() {
        true => "complete".to_owned(),
        false => found.collect::<Vec<_>>().join(", "),
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
            error: error_text::without_hint(&bad.error),
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
            unreadable: dag.unreadable,
            bad: bad.collect(),
        }
    }
}
