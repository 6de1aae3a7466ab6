//! `flatfs move`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use ds_flatfs::Shard;
use ds_flatfs::maintenance::{self, Moved};
use indicatif::HumanCount;
use serde::Serialize;

use crate::progress::watching;
use crate::report::Answer;
use crate::report::{self, blocks, escape};
use crate::skipped::{self, SkippedJson};

/// Move all blocks of a store into another one
#[derive(Debug, Args)]
#[command(after_help = "\
The stores may have different shard functions, and be on different file systems: then each block is \
removed from OLD only when its copy in NEW is safe on the disk. NEW may have blocks already. It is made if \
it is missing or empty, with the shard function of OLD unless --shard says otherwise. OLD is left as an \
empty directory. Stop kubo before: it doesn't take the lock of the store.

If it is interrupted, by Ctrl-C or a crash, run it again: each block is in one of the stores. Where OLD is \
an empty directory and NEW a store, there is nothing to move, and that is no error.

What is no block stays in OLD, and so does a block of which NEW has another one that differs from it, cut \
short perhaps, and what a repair put into OLD/.quarantine. It is reported, and makes the exit status 1. Put \
it elsewhere and run the command again if OLD is to be empty.

Example:
  flatfs move ~/.ipfs/blocks /mnt/large/blocks")]
pub(crate) struct Move {
    /// The store to be emptied
    old: PathBuf,
    /// The store that gets the blocks
    new: PathBuf,
    /// The shard function of NEW: prefix/N, suffix/N or next-to-last/N
    #[arg(long)]
    shard: Option<Shard>,
    /// A JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    old: String,
    new: String,
    was_done: bool,
    blocks: u64,
    bytes: u64,
    duplicates: u64,
    emptied: bool,
    kept: Vec<SkippedJson>,
    skipped_count: u64,
    seconds: f64,
}

impl Move {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        let mut moving = maintenance::Move::new();
        if let Some(shard) = self.shard {
            moving = moving.shard(shard);
        }
        let moved = watching("moving", |watch| {
            moving.on_progress(watch).run(&self.old, &self.new)
        });
        let done = moved.await?;
        if self.json {
            report::json(&self.report(&done, begun.elapsed()))?;
        } else {
            skipped::tell(&done.kept, done.skipped_count);
            report::summary(&self.summary(&done, begun.elapsed()))?;
        }
        Ok(skipped::answer(done.skipped_count))
    }

    fn report(&self, done: &Moved, time: Duration) -> Report {
        Report {
            old: report::absolute(&self.old),
            new: report::absolute(&self.new),
            was_done: done.was_done,
            blocks: done.blocks,
            bytes: done.bytes,
            duplicates: done.duplicates,
            emptied: done.emptied,
            kept: SkippedJson::all(&done.kept),
            skipped_count: done.skipped_count,
            seconds: time.as_secs_f64(),
        }
    }

    fn summary(&self, done: &Moved, time: Duration) -> String {
        let (old, new) = (escape(self.old.display()), escape(self.new.display()));
        if done.was_done {
            return format!(
                "{old} is an empty directory already, there is nothing to move to {new}\n"
            );
        }
        let moved = blocks(done.blocks);
        let bytes = HumanCount(done.bytes);
        let duplicates = match done.duplicates {
            0 => String::new(),
            count => format!(", {} there already", blocks(count)),
        };
        let left = match (done.emptied, done.skipped_count) {
            (true, _) => format!("{old} is an empty directory now"),
            (false, 0) => format!("{old} is not empty, something has come into it meanwhile"),
            (false, 1) => format!("1 thing was kept in {old}"),
            (false, kept) => format!("{} things were kept in {old}", HumanCount(kept)),
        };
        let seconds = time.as_secs_f64();
        format!(
            "{old}: {moved} moved to {new}, {bytes} bytes{duplicates}, {seconds:.2} s; {left}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_is_left_in_the_old_store() {
        let tool = Move {
            old: "a".into(),
            new: "b".into(),
            shard: None,
            json: false,
        };
        let mut done = Moved::default();
        done.blocks = 7;
        done.bytes = 1_234;
        for (emptied, skipped_count, left) in [
            (true, 0, "a is an empty directory now"),
            (false, 1, "1 thing was kept in a"),
            (false, 2_000, "2,000 things were kept in a"),
        ] {
            (done.emptied, done.skipped_count) = (emptied, skipped_count);
            assert_eq!(
                tool.summary(&done, Duration::from_millis(120)),
                format!("a: 7 blocks moved to b, 1,234 bytes, 0.12 s; {left}\n")
            );
        }
    }
}
