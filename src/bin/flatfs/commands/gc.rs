//! `flatfs gc`

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use ds_flatfs::dag::UnknownCodec;
use ds_flatfs::maintenance::{self, Collected, Phase, Progress};
use ds_flatfs::{Datastore, Error};
use indicatif::HumanCount;
use serde::Serialize;

use crate::exit::{Outcome, WrongUsage};
use crate::garbage_list::GarbageList;
use crate::kubo_args::KuboArgs;
use crate::location::StoreArgs;
use crate::progress::{ProgressCallback, with_progress};
use crate::quantity::{parse_age, parse_size};
use crate::roots::RootArgs;
use crate::skipped::{self, SkippedJson};
use crate::text::{blocks, escape, size};
use crate::{error_text, open_store, report};

/// Remove the blocks that can't be reached from some roots
#[derive(Debug, Args)]
#[command(after_long_help = "\
Follows all links from the roots, which are CIDs, and removes every other block. For kubo, stop it first; the \
roots are its pins and the root of its files (MFS):
  ipfs pin ls --type=recursive -q > roots &&
    ipfs files stat --hash / >> roots &&
    ipfs pin ls --type=direct -q > direct ||
    rm roots
A file of roots has one CID on each line, and no comments; empty lines are ignored. Without '|| rm roots', a \
list that an error cut short would be used as if it were complete. That also happens to '{ ipfs ...; ipfs ...; } | \
flatfs gc --roots -', and gc holds the lock of the repo while it reads: give such a pipe to --dry-run only. A pin that is \
made after the list was written is not in it: write the list again after kubo has been stopped.

A direct pin keeps one block only, without what it links to: give the list of these pins with --direct. It may be \
empty. Written as CIDs with the codec raw, their blocks may not be found in a repo before version 12.

The pins are complete with kubo, and with go-ipfs 0.8 and later (repo version 11). Older versions keep the list of pins \
as a DAG in the same blocks, which 'ipfs pin ls' does not list and gc would remove, so gc refuses such a repo.

If a reachable block is missing, or one with links is damaged or can't be read, nothing is removed. \
--allow-missing reports blocks that are missing, damaged or on a bad sector, and removes what is reachable only \
through them. A block that can't be read for another reason, such as its permissions, or that has its hash and \
can't be decoded, still ends the command: what it links to may be there. Blocks without links are not read; \
'flatfs dag --hash' finds damaged ones. A block with links whose hash can't be checked, because the hash function \
is unknown or the digest too short, is followed, and counted as unchecked.

Links are followed in dag-pb, dag-cbor and dag-json. Blocks of raw, cbor, json, json-jcs, libp2p-key, \
protobuf, rlp, bencode, messagepack and ipns-record have none. Blocks of all other codecs are an error unless \
--opaque is given: it keeps such a block, but nothing that it links to.

With --dry-run nothing is changed and no lock is taken, so it works while kubo is running. With --target-size \
or --target-free the oldest garbage is removed first, and only as much as is needed; the age of a block is \
that of its file, in seconds, and a dry run chooses the same blocks. --limit without them removes any of the garbage, and \
not the same as a dry run. Keys that are neither a multihash nor a CID stay unless --foreign is given, and \
so do files that are not blocks. What is not part of a store, and a block that is in the wrong shard directory, \
is skipped and reported: a shard directory behind a symbolic link, for example. 'flatfs verify' finds the same.

While an object store is collected, nothing else may write to it. --keep-newer, --target-size and --target-free are \
not available there.

A run that was interrupted has removed only garbage; run it again to remove the rest. The exit status is 1 if \
--allow-missing has found something, if something was skipped, or if --target-size or --target-free was not reached. If \
--list can't be written, the run ends with an error; only if its reader has gone, it goes on.

With --json it prints an object. Its \"target_missed\" is how many more bytes would have to be removed to reach the \
target. Each item in \"skipped\" has \"path\" and \"reason\" (one word). With --list, an object for each removed block \
comes before it, with \"key\", \"cid\" and \"bytes\".

Example:
  flatfs gc --dry-run ~/.ipfs/blocks --roots roots --direct direct
  flatfs gc ~/.ipfs/blocks --roots roots --direct direct --keep-newer 1d
  flatfs gc ~/.ipfs/blocks --roots roots --direct direct --target-free 100GiB")]
pub(crate) struct Gc {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    roots: RootArgs,
    /// Change nothing, and print what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print each block that is removed
    #[arg(long)]
    list: bool,
    /// Keep garbage that is younger than this, such as 12h or 7d
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    keep_newer: Option<Duration>,
    /// Remove only as much as needed to shrink the store to this size, such as 500GiB
    #[arg(long, value_name = "BYTES", value_parser = parse_size, conflicts_with = "target_free")]
    target_size: Option<u64>,
    /// Remove only as much as needed until this much space is free on the file system
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    target_free: Option<u64>,
    /// Remove at most this many blocks
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Report blocks that are missing or damaged, and go on without them
    #[arg(long)]
    allow_missing: bool,
    /// Keep blocks of unknown codecs without following their links
    #[arg(long)]
    opaque: bool,
    /// Also remove keys that are neither a multihash nor a CID
    #[arg(long)]
    foreign: bool,
    /// Remove every block if there are no roots or none is found
    #[arg(long)]
    remove_everything: bool,
    /// Print JSON objects instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kubo: KuboArgs,
}

#[derive(Serialize)]
struct GcJson {
    path: String,
    dry_run: bool,
    kept: u64,
    removed: u64,
    removed_bytes: u64,
    left: u64,
    target_missed: u64,
    foreign: u64,
    unchecked: u64,
    missing: Vec<String>,
    missing_count: u64,
    #[serde(flatten)]
    skipped: SkippedJson,
    seconds: f64,
}

impl Gc {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        self.check_usage()?;
        let dir = self.store.dir.dir();
        if let Some(dir) = dir {
            KuboArgs::check_pins(dir).await?;
        }
        let _lock = self
            .kubo
            .lock(dir.filter(|_| !self.dry_run).as_slice())
            .await?;
        let started = Instant::now();
        let (gc, url_store) = match dir {
            Some(dir) => (maintenance::Gc::new(dir), None),
            None => {
                let store = open_store::open_reader(&self.store, None).await?;
                let store: Arc<dyn Datastore> = Arc::from(store.into_datastore());
                (maintenance::Gc::over(Arc::clone(&store)), Some(store))
            }
        };
        let collected = self.collect(gc).await;
        // After an error too.
        let closed = match url_store {
            Some(store) => store.close().await,
            None => Ok(()),
        };
        let collected = collected?;
        closed?;
        let problems = [
            collected.missing_count,
            collected.target_missed,
            collected.skipped_count,
        ];
        self.report(collected, started.elapsed())?;
        Ok(Outcome::success_if(problems == [0; 3]))
    }

    /// Checks what the declarations of the arguments can't express.
    fn check_usage(&self) -> anyhow::Result<()> {
        let needs_times =
            self.keep_newer.is_some() || self.target_size.is_some() || self.target_free.is_some();
        let why = if self.roots.is_empty() && !self.remove_everything {
            "no roots are given: name them with --roots FILE or --root CID; without any, --remove-everything removes \
             every block"
        } else if self.store.dir.is_url() && needs_times {
            "--keep-newer, --target-size and --target-free work on the files of a directory, and this is a URL"
        } else {
            return Ok(());
        };
        Err(WrongUsage(why.to_owned()).into())
    }

    async fn collect(&self, gc: maintenance::Gc) -> anyhow::Result<Collected> {
        let mut gc = match self.prepare(gc).await {
            Ok(gc) => gc,
            Err(error) => return Err(self.explain(error)),
        };
        let list = Arc::new(GarbageList::new(self.list, self.json));
        let (lines, watched) = (Arc::clone(&list), Arc::clone(&list));
        let has_begun = Arc::new(AtomicBool::new(false));
        let removes = Arc::clone(&has_begun);
        let removed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&removed);
        gc = gc.on_garbage(move |key, bytes| {
            count.fetch_add(1, Ordering::Relaxed);
            lines.print(key, bytes);
        });
        let collect = |mut callback: ProgressCallback| {
            let watch = move |progress: Progress| {
                if matches!(progress.phase, Phase::Blocks | Phase::Closing) {
                    removes.store(true, Ordering::Relaxed);
                }
                match watched.has_failed() {
                    true => ControlFlow::Break(()),
                    false => callback(progress),
                }
            };
            gc.on_progress(watch).run()
        };
        let dir = self.store.dir.dir();
        let collected = with_progress("collecting", dir.as_slice(), collect).await;
        // Also after an error: the blocks that were printed are gone.
        let listed = list.finish();
        let removed = blocks(removed.load(Ordering::Relaxed));
        let error = match (collected, listed) {
            (Ok(collected), Ok(())) => return Ok(collected),
            (Ok(_), Err(error)) if !self.dry_run => {
                return Err(error.context(format!("{removed} removed, but not all of them listed")));
            }
            // It was the list that stopped the collection.
            (Err(error), Err(cause)) if is_stop(&error) => cause,
            (Err(error), _) | (_, Err(error)) => error,
        };
        Err(match has_begun.load(Ordering::Relaxed) {
            false => self.explain(error),
            true if self.dry_run => error,
            true => error.context(format!("stopped after the removal of {removed}")),
        })
    }

    /// Adds to the error of a collection that removed nothing that this is so, and what goes on without a block.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let is_about_a_block = matches!(
            error.downcast_ref(),
            Some(Error::MissingBlock { .. } | Error::Corrupt { .. })
        );
        error.context(match is_about_a_block && !self.allow_missing {
            true => "nothing was removed (--allow-missing goes on without such a block)",
            false => "nothing was removed",
        })
    }

    async fn prepare(&self, gc: maintenance::Gc) -> anyhow::Result<maintenance::Gc> {
        let unknown_codec = match self.opaque {
            true => UnknownCodec::TakeAsLeaf,
            false => UnknownCodec::Refuse,
        };
        let gc = self.roots.add_to(gc).await?;
        let mut gc = gc
            .unknown_codec(unknown_codec)
            .dry_run(self.dry_run)
            .allow_missing(self.allow_missing)
            .foreign(self.foreign)
            .remove_everything(self.remove_everything);
        if let Some(age) = self.keep_newer {
            gc = gc.keep_newer(age);
        }
        if let Some(size) = self.target_size {
            gc = gc.target_size(size);
        }
        if let Some(free) = self.target_free {
            gc = gc.target_free(free);
        }
        if let Some(limit) = self.limit {
            gc = gc.limit(limit);
        }
        Ok(gc)
    }

    fn report(&self, mut done: Collected, time: Duration) -> anyhow::Result<()> {
        let missing = lines(std::mem::take(&mut done.missing));
        if self.json {
            return report::json(&GcJson {
                path: self.store.dir.absolute(),
                dry_run: self.dry_run,
                kept: done.kept,
                removed: done.removed,
                removed_bytes: done.removed_bytes,
                left: done.left,
                target_missed: done.target_missed,
                foreign: done.foreign,
                unchecked: done.unchecked,
                missing,
                missing_count: done.missing_count,
                skipped: SkippedJson::new(
                    (&done.skipped, done.skipped_count),
                    (&done.left_over, done.left_over_count),
                ),
                seconds: time.as_secs_f64(),
            });
        }
        for line in &missing {
            report::error(&anyhow::anyhow!("{line}"));
        }
        let unlisted = done.missing_count.saturating_sub(missing.len() as u64);
        if unlisted > 0 {
            report::error(&anyhow::anyhow!("{} more", HumanCount(unlisted)));
        }
        skipped::report(&done.skipped, done.skipped_count);
        skipped::report(&done.left_over, done.left_over_count);
        report::summary(&self.summary(&done, time))
    }

    fn summary(&self, done: &Collected, time: Duration) -> String {
        let dir = escape(&self.store.dir);
        let would = if self.dry_run { "would be " } else { "" };
        let (removed, freed) = (blocks(done.removed), size(done.removed_bytes));
        let mut parts = vec![
            format!("{dir}: {removed} {would}removed, {freed}"),
            format!("{} kept", blocks(done.kept)),
        ];
        if done.left > 0 {
            parts.push(format!("{} of garbage left", blocks(done.left)));
        }
        if done.target_missed > 0 {
            parts.push(format!("{} short of the target", size(done.target_missed)));
        }
        if done.foreign > 0 {
            parts.push(format!("{} foreign keys left", HumanCount(done.foreign)));
        }
        if done.skipped_count > 0 {
            parts.push(format!("{} skipped", HumanCount(done.skipped_count)));
        }
        if done.unchecked > 0 {
            let unchecked = blocks(done.unchecked);
            parts.push(format!(
                "{unchecked} with links unchecked (unknown hash function or short digest)"
            ));
        }
        parts.push(format!("{:.2} s\n", time.as_secs_f64()));
        parts.join(", ")
    }
}

fn is_stop(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::Stopped))
}

fn lines(errors: Vec<Error>) -> Vec<String> {
    let lines = errors.into_iter();
    lines
        .map(|error| error_text::without_hint(&error))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_on_a_bad_sector_is_reported_with_the_error_of_the_system() {
        let error = Error::Io {
            action: "read",
            path: "/s/AB/X.data".into(),
            source: std::io::Error::other("bad sector"),
        };
        assert_eq!(lines(vec![error]), ["cannot read /s/AB/X.data: bad sector"]);
    }
}
