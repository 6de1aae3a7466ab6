//! `flatfs move`

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use ds_flatfs::maintenance::{self, Moved, Progress};
use ds_flatfs::{Error, Shard};
use indicatif::HumanCount;
use serde::Serialize;

use crate::exit::{Interrupted, Outcome};
use crate::kubo_args::KuboArgs;
use crate::progress::with_progress;
use crate::shard_arg::ShardParser;
use crate::skipped::{self, SkippedJson};
use crate::text::{blocks, escape};
use crate::{location, report};

/// Move all blocks of a store to another store
#[derive(Debug, Args)]
#[command(after_long_help = "\
The stores may have different shard functions and be on different file systems. Across file systems, a \
block is removed from OLD only after its copy in NEW is durable. NEW may already have blocks. If NEW is \
missing or empty it is created, with the shard function of OLD unless --shard is given. At the end OLD is an \
empty directory. Stop kubo first.

If the move is interrupted, by Ctrl-C or a crash, or fails, for example because the disk of NEW is full, \
run it again: each block is in one of the two stores. If \
OLD is an empty directory and NEW is a store, there is nothing to move, which is not an error.

Some files are skipped: they stay in OLD, are reported, and make the exit status 1. These are files that \
are not blocks, blocks that differ from the block with the same key in NEW (one of them may be cut \
short), and OLD/.quarantine if it has what a repair moved there. To empty OLD, move these files elsewhere \
and run the command again.

With --json it prints one object. Each item in \"skipped\" has \"path\" and \"reason\" (one word).

Example:
  flatfs move ~/.ipfs/blocks /mnt/large/blocks")]
pub(crate) struct Move {
    /// The store to move the blocks from
    #[arg(value_parser = location::dir_parser("it is a URL, and a move works on directories: copy the blocks with 'flatfs copy'"))]
    old: PathBuf,
    /// The store to move the blocks to
    #[arg(value_parser = location::dir_parser("it is a URL, and a move works on directories: copy the blocks with 'flatfs copy'"))]
    new: PathBuf,
    /// The shard function of NEW: prefix/N, suffix/N or next-to-last/N
    #[arg(long, value_parser = ShardParser, hide_possible_values = true)]
    shard: Option<Shard>,
    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kubo: KuboArgs,
}

#[derive(Serialize)]
struct MoveJson {
    old: String,
    new: String,
    was_done: bool,
    blocks: u64,
    bytes: u64,
    duplicates: u64,
    emptied: bool,
    #[serde(flatten)]
    skipped: SkippedJson,
    seconds: f64,
}

impl Move {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let _locks = self.kubo.lock(&[&self.old, &self.new]).await?;
        let started = Instant::now();
        let mut moving = maintenance::Move::new(&self.old, &self.new);
        if let Some(shard) = self.shard {
            moving = moving.shard(shard);
        }
        let progress = Arc::new(Mutex::new(Progress::default()));
        let stores: &[&Path] = &[&self.old, &self.new];
        let moved = with_progress("moving", stores, |mut callback| {
            let latest = Arc::clone(&progress);
            let moving = moving.on_progress(move |progress| {
                *latest.lock().unwrap_or_else(PoisonError::into_inner) = progress;
                callback(progress)
            });
            moving.run()
        });
        let moved = moved.await;
        let progress = *progress.lock().unwrap_or_else(PoisonError::into_inner);
        let done = moved.map_err(|error| self.explain(error, progress))?;
        if self.json {
            report::json(&self.to_json(&done, started.elapsed()))?;
        } else {
            skipped::report(&done.skipped, done.skipped_count);
            // These don't count for the exit status: no data is left behind.
            skipped::report(&done.left_over, done.left_over_count);
            report::summary(&self.summary(&done, started.elapsed()))?;
        }
        Ok(Outcome::success_if(done.skipped_count == 0))
    }

    /// Adds to the error how many blocks were moved, and what to do.
    fn explain(&self, error: anyhow::Error, progress: Progress) -> anyhow::Error {
        let full = match error.downcast_ref() {
            Some(Error::Full { action, path, .. }) => {
                // The library's text says that blocks can be deleted, which does not help a move.
                Some(anyhow!("no space left to {action} {}", path.display()))
            }
            _ => None,
        };
        let is_full = full.is_some();
        if error.is::<Interrupted>() || (progress.blocks == 0 && !is_full) {
            return error;
        }
        let (old, new) = (self.old.display(), self.new.display());
        let were = if progress.blocks == 1 { "was" } else { "were" };
        let moved = blocks(progress.blocks);
        let advice = match is_full {
            true => format!("free some space at {new}, then run"),
            false => "solve the problem, then run".to_owned(),
        };
        full.unwrap_or(error).context(format!(
            "{moved} {were} moved to {new}, the rest is safe in {old}; {advice} the same command again to \
             move it"
        ))
    }

    fn to_json(&self, done: &Moved, time: Duration) -> MoveJson {
        MoveJson {
            old: report::absolute(&self.old),
            new: report::absolute(&self.new),
            was_done: done.was_done,
            blocks: done.blocks,
            bytes: done.bytes,
            duplicates: done.duplicates,
            emptied: done.emptied,
            skipped: SkippedJson::new(
                (&done.skipped, done.skipped_count),
                (&done.left_over, done.left_over_count),
            ),
            seconds: time.as_secs_f64(),
        }
    }

    fn summary(&self, done: &Moved, time: Duration) -> String {
        let (old, new) = (escape(self.old.display()), escape(self.new.display()));
        if done.was_done {
            return format!(
                "{old} is already an empty directory, there is nothing to move to {new}\n"
            );
        }
        let moved = blocks(done.blocks);
        let bytes = HumanCount(done.bytes);
        let duplicates = match done.duplicates {
            0 => String::new(),
            count => format!(", {} already there", blocks(count)),
        };
        let rest = match (done.emptied, done.skipped_count) {
            (true, _) => format!("{old} is an empty directory now"),
            (false, 0) if done.left_over_count > 0 => {
                format!("{old} has left-over temp files of an old version of go-ds-flatfs")
            }
            (false, 0) => {
                format!("{old} is not empty: another program has written to it in the meantime")
            }
            (false, 1) => format!("1 item was skipped and is still in {old}"),
            (false, count) => {
                let count = HumanCount(count);
                format!("{count} items were skipped and are still in {old}")
            }
        };
        let seconds = time.as_secs_f64();
        format!(
            "{old}: {moved} moved to {new}, {bytes} bytes{duplicates}, {seconds:.2} s; {rest}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_is_still_in_the_old_store() {
        let tool = Move {
            old: "a".into(),
            new: "b".into(),
            shard: None,
            json: false,
            kubo: KuboArgs::default(),
        };
        let mut done = Moved::default();
        done.blocks = 7;
        done.bytes = 1_234;
        for (emptied, skipped_count, left) in [
            (true, 0, "a is an empty directory now"),
            (false, 1, "1 item was skipped and is still in a"),
            (false, 2_000, "2,000 items were skipped and are still in a"),
        ] {
            (done.emptied, done.skipped_count) = (emptied, skipped_count);
            assert_eq!(
                tool.summary(&done, Duration::from_millis(120)),
                format!("a: 7 blocks moved to b, 1,234 bytes, 0.12 s; {left}\n")
            );
        }
    }
}
