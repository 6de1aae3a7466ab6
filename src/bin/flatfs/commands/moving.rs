//! `flatfs move`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use ds_flatfs::Shard;
use ds_flatfs::maintenance::{self, Moved};
use indicatif::HumanCount;
use serde::Serialize;

use super::Answer;
use crate::kept::{self, KeptJson};
use crate::progress::watching;
use crate::report::{self, blocks, escape};

/// Move all blocks of a store into another one
#[derive(Debug, Args)]
#[command(after_help = "\
The stores may have different shard functions, and be on different file systems: then each block is \
removed from OLD only when its copy in NEW is safe on the disk. NEW may have blocks already. It is made if \
it is missing or empty, with the shard function of OLD unless --shard says otherwise. OLD is left as an \
empty directory. Stop kubo before: it doesn't take the lock of the store.

If it is interrupted, by Ctrl-C or a crash, run it again: each block is in one of the stores.

What is no block stays in OLD, and so does a block of which NEW has another one that differs from it, cut \
short perhaps. Both are reported, and make the exit status 1.

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
    blocks: u64,
    bytes: u64,
    duplicates: u64,
    emptied: bool,
    kept: Vec<KeptJson>,
    kept_count: u64,
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
            kept::tell(&done.kept, done.kept_count);
            report::summary(&self.summary(&done, begun.elapsed()))?;
        }
        Ok(kept::answer(done.kept_count))
    }

    fn report(&self, done: &Moved, time: Duration) -> Report {
        Report {
            old: self.old.display().to_string(),
            new: self.new.display().to_string(),
            blocks: done.blocks,
            bytes: done.bytes,
            duplicates: done.duplicates,
            emptied: done.emptied,
            kept: KeptJson::all(&done.kept),
            kept_count: done.kept_count,
            seconds: time.as_secs_f64(),
        }
    }

    fn summary(&self, done: &Moved, time: Duration) -> String {
        let (old, new) = (escape(self.old.display()), escape(self.new.display()));
        let moved = blocks(done.blocks);
        let bytes = HumanCount(done.bytes);
        let duplicates = match done.duplicates {
            0 => String::new(),
            count => format!(", {} there already", blocks(count)),
        };
        let left = if done.emptied {
            "empty"
        } else {
            "still a store"
        };
        let seconds = time.as_secs_f64();
        format!(
            "{old}: {moved} moved to {new}, {bytes} bytes{duplicates}, {seconds:.2} s; it is {left} now\n"
        )
    }
}
