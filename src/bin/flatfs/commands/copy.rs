//! `flatfs copy`

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use cid::Cid;
use clap::Args;
use ds_flatfs::Error;
use ds_flatfs::dag::UnknownCodec;
use ds_flatfs::maintenance::{self, Copied, CopyFailure};
use ds_flatfs::query::Query;
use futures::StreamExt as _;
use indicatif::HumanCount;
use serde::Serialize;

use crate::exit::Outcome;
use crate::key_arg::parse_cid;
use crate::kubo_args::KuboArgs;
use crate::location::{self, ClientOption, Location, StoreOptions};
use crate::open_store::{self, OpenStore};
use crate::progress::{ProgressBar, with_bar};
use crate::report;
use crate::text::{blocks, escape};

/// Copy the blocks that another store lacks
#[derive(Debug, Args)]
#[command(after_long_help = "\
Copies every block of SRC that DST does not have. Both may be directories or URLs. A directory DST is \
created, with next-to-last/2, if it is missing or empty. SRC is only read. A block that DST has stays as it \
is: 'flatfs diff' finds blocks of another size, and 'flatfs verify' damaged ones.

If SRC is a URL without any objects, it may be wrong: a warning is printed, and no DST is created.

Each block is checked against the hash in its key, unless --unverified is given. A block that is damaged or \
missing is reported and not copied; all others are copied, and the exit status is 1. It is 3 if a block could not be \
read, or if DST cannot have its key. What is not a block is skipped with a warning, and the exit status is 1: a symbolic \
link or another entry at the path of a block that is not a file, and an object whose name has no hash or CID at its end \
and that DST cannot have. Blocks whose keys are not hashes of a known function are copied and counted. Blocks that SRC lists but that are gone by the time \
they are read are counted as vanished, and the exit status is 1: another program has deleted them, or the listing is \
wrong. The next run shows which. The exit status is also 1 if a commit in SRC is under way or was interrupted: its \
blocks may be missing.

With ROOTs, only the DAGs below them are copied, parents before children. A block that SRC lacks is reported. \
That DST has a root does not prove that its DAG is complete; exit status 0 does. Links are followed as 'flatfs \
export' does, and blocks of unknown codecs are not copied unless --opaque is given.

It can be interrupted or killed at any time: the same command copies the rest. If DST is a directory, the \
blocks are stored in batches of several thousand, which are durable once they are committed.

If DST is a directory, each block is looked up in it. If it is in an object store, its keys are listed, a thousand \
for each request. S3 and Google Cloud Storage list keys in order, which takes no memory. If DST is in another object \
store, or has a shard function there, its keys are sorted in memory, about 150 bytes for each; --lookup looks up each \
block instead. If SRC is a directory, up to 300 MB of its keys are sorted. SRC is listed twice, the second time to show \
how much is left.

With --json it prints one object with \"src\", \"dst\", \"blocks\", \"bytes\", \"present\" (blocks that DST had), \
\"unchecked\", \"vanished\", \"skipped\", \"failed\" (the first thousand, each with \"key\" and \"reason\"), \"failed_count\" \
and \"seconds\".

Example:
  flatfs copy ~/.ipfs/blocks s3://bucket/blocks
  flatfs copy --store-option endpoint=http://localhost:3900 s3://bucket/blocks blocks")]
pub(crate) struct Copy {
    /// The store to copy from: a directory or a URL
    #[arg(value_parser = location::parser())]
    src: Location,
    /// The store to copy to: a directory or a URL
    #[arg(value_parser = location::parser())]
    dst: Location,
    /// CIDs whose DAGs to copy [default: every block of SRC]
    #[arg(value_name = "ROOT", value_parser = parse_cid)]
    roots: Vec<Cid>,
    /// Copy blocks of unknown codecs without following their links
    #[arg(long, requires = "roots")]
    opaque: bool,
    /// The number of blocks to read, and to send, at the same time
    #[arg(long, value_name = "N", default_value_t = maintenance::Copy::DEFAULT_CONCURRENCY)]
    concurrency: NonZeroUsize,
    /// Look up each block in DST, instead of listing what it has
    #[arg(long)]
    lookup: bool,
    /// Copy blocks without checking their hashes
    #[arg(long)]
    unverified: bool,
    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: StoreOptions,
    /// Set an option of the client of SRC alone
    #[arg(long = "src-option", value_name = "KEY=VALUE")]
    src_options: Vec<ClientOption>,
    /// Set an option of the client of DST alone
    #[arg(long = "dst-option", value_name = "KEY=VALUE")]
    dst_options: Vec<ClientOption>,
    #[command(flatten)]
    kubo: KuboArgs,
}

#[derive(Serialize)]
struct CopyJson {
    src: String,
    dst: String,
    blocks: u64,
    bytes: u64,
    present: u64,
    unchecked: u64,
    vanished: u64,
    skipped: u64,
    failed: Vec<FailureJson>,
    failed_count: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct FailureJson {
    key: Option<String>,
    reason: String,
}

impl Copy {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        let src = self.options.for_store(&self.src, &self.src_options);
        let dst = self.options.for_store(&self.dst, &self.dst_options);
        let _lock = self.kubo.lock(self.dst.dir().as_slice()).await?;
        let concurrency = Some(self.concurrency);
        // SRC is opened first, so that no DST is created if SRC does not exist.
        let src = open_store::open_reader(&src, concurrency).await?;
        let copied = open_store::close_after(src, async |src| {
            // Asked first: the commit may end while blocks are copied.
            let is_pending = src.has_pending_commits().await?;
            if self.roots.is_empty() && src.is_url() && is_empty(src).await? {
                report::warn(&format!("{} has no blocks: check the URL", self.src));
                return Ok((Copied::default(), is_pending));
            }
            let copy = async |dst: &OpenStore| self.copy(src, dst).await;
            let copied = open_store::for_importing(&dst, concurrency, copy).await?;
            Ok((copied, is_pending))
        });
        let (copied, is_pending) = copied.await?;
        if self.json {
            report::json(&self.to_json(&copied, started.elapsed()))?;
        } else {
            report::summary(&self.summary(&copied, started.elapsed()))?;
        }
        Ok(outcome(&copied).and(Outcome::success_if(!is_pending)))
    }

    async fn copy(&self, src: &OpenStore, dst: &OpenStore) -> anyhow::Result<Copied> {
        let mut copy = maintenance::Copy::new(&**src, &**dst)
            .concurrency(self.concurrency)
            .compare_listings(dst.has_costly_lookups() && !self.lookup)
            .batches(!dst.is_url())
            .verified(!self.unverified)
            // At once, because the copy may fail later.
            .on_failure(report_failure);
        if self.opaque {
            copy = copy.unknown_codec(UnknownCodec::TakeAsLeaf);
        }
        let bar = if self.roots.is_empty() {
            ProgressBar::shards("copying", &[])
        } else {
            copy = copy.roots(self.roots.iter().copied());
            ProgressBar::count("copying")
        };
        with_bar(bar, |callback| copy.on_progress(callback).run()).await
    }

    fn to_json(&self, copied: &Copied, time: Duration) -> CopyJson {
        let failed = copied.failed.iter().map(|failed| FailureJson {
            key: failed.key.as_ref().map(ToString::to_string),
            reason: error_chain(&failed.error),
        });
        CopyJson {
            src: self.src.absolute(),
            dst: self.dst.absolute(),
            blocks: copied.blocks,
            bytes: copied.bytes,
            present: copied.present,
            unchecked: copied.unchecked,
            vanished: copied.vanished,
            skipped: copied.skipped,
            failed: failed.collect(),
            failed_count: copied.failed_count,
            seconds: time.as_secs_f64(),
        }
    }

    fn summary(&self, copied: &Copied, time: Duration) -> String {
        let (src, dst) = (escape(&self.src), escape(&self.dst));
        let (done, bytes) = (blocks(copied.blocks), HumanCount(copied.bytes));
        let present = match copied.present {
            0 => String::new(),
            present => format!(", {} already there", HumanCount(present)),
        };
        let unchecked = match copied.unchecked {
            0 => String::new(),
            unchecked => format!(", {} could not be checked", HumanCount(unchecked)),
        };
        let vanished = match copied.vanished {
            0 => String::new(),
            vanished => format!(", {} vanished", HumanCount(vanished)),
        };
        let skipped = match copied.skipped {
            0 => String::new(),
            skipped => format!(", {} skipped", HumanCount(skipped)),
        };
        let failed = match copied.failed_count {
            0 => String::new(),
            1 => "; 1 was not copied".to_owned(),
            failed => format!("; {} were not copied", HumanCount(failed)),
        };
        let seconds = time.as_secs_f64();
        format!(
            "{src}: {done} copied to {dst}, {bytes} bytes{present}{unchecked}{vanished}{skipped}, {seconds:.2} s{failed}\n"
        )
    }
}

/// Prints why a block was not copied, as an error, or as a warning about something that is not a block.
fn report_failure(failure: &CopyFailure) {
    let reason = error_chain(&failure.error);
    let message = match &failure.key {
        Some(key) => format!("{key} was not copied: {reason}"),
        None if failure.is_not_a_block() => reason,
        None => format!("a part of the source was not copied: {reason}"),
    };
    match failure.is_not_a_block() {
        true => report::warn(&message),
        false => report::error(&anyhow!(message)),
    }
}

fn error_chain(error: &Error) -> String {
    let mut sources = vec![error.to_string()];
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        sources.push(source.to_string());
        next = source.source();
    }
    sources.join(": ")
}

/// Returns whether the store has neither a block nor a shard function: nothing distinguishes it from a wrong URL.
async fn is_empty(store: &OpenStore) -> anyhow::Result<bool> {
    let mut entries = store.query(Query::new().keys_only()).await?;
    Ok(store.shard().is_none() && entries.next().await.is_none())
}

/// Bad blocks were found; anything else could not be read or stored.
fn outcome(copied: &Copied) -> Outcome {
    if copied.failed_count > copied.bad_blocks {
        return Outcome::Failed;
    }
    let is_complete = [copied.failed_count, copied.vanished, copied.skipped] == [0; 3];
    Outcome::success_if(is_complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_is_not_copied() {
        let copy = Copy {
            src: Location::Dir("a".into()),
            dst: Location::Url("s3://b/p?token=secret".to_owned()),
            roots: Vec::new(),
            opaque: false,
            concurrency: NonZeroUsize::MIN,
            lookup: false,
            unverified: false,
            json: false,
            options: StoreOptions::default(),
            src_options: Vec::new(),
            dst_options: Vec::new(),
            kubo: KuboArgs::default(),
        };
        let mut copied = Copied::default();
        (copied.blocks, copied.bytes) = (7, 1_234);
        let time = Duration::from_millis(120);
        assert_eq!(
            copy.summary(&copied, time),
            "a: 7 blocks copied to s3://b/p, 1,234 bytes, 0.12 s\n"
        );
        (copied.present, copied.unchecked, copied.failed_count) = (3, 2, 1_000);
        (copied.vanished, copied.skipped) = (1, 4);
        assert_eq!(
            copy.summary(&copied, time),
            "a: 7 blocks copied to s3://b/p, 1,234 bytes, 3 already there, 2 could not be checked, \
             1 vanished, 4 skipped, 0.12 s; 1,000 were not copied\n"
        );
    }

    #[test]
    fn the_exit_status_counts_all_failures_and_not_only_the_listed_ones() {
        let mut copied = Copied::default();
        assert_eq!(outcome(&copied), Outcome::Success);
        copied.vanished = 1;
        assert_eq!(outcome(&copied), Outcome::Found);
        (copied.vanished, copied.skipped) = (0, 1);
        assert_eq!(outcome(&copied), Outcome::Found);
        (copied.failed_count, copied.bad_blocks) = (1_001, 1_001);
        assert_eq!(outcome(&copied), Outcome::Found);
        copied.failed_count = 1_002;
        assert_eq!(outcome(&copied), Outcome::Failed);
    }
}
