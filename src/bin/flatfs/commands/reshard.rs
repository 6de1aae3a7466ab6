//! `flatfs reshard`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use ds_flatfs::maintenance::{self, Resharded};
use ds_flatfs::{Error, Options, Shard};
use serde::Serialize;

use crate::progress::watching;
use crate::report::Answer;
use crate::report::{self, blocks, escape};
use crate::skipped::{self, SkippedJson};

/// Give a store another shard function, in place
#[derive(Debug, Args)]
#[command(after_help = "\
SHARD is prefix/N, suffix/N or next-to-last/N, as `flatfs create` takes it. No block is copied, each is \
renamed. Stop kubo before: it doesn't take the lock of the store.

Until it is complete nobody can open the store. If it is interrupted, by Ctrl-C or a crash, or stopped by \
an error, run it again, with the same SHARD or another one; the one that the store had undoes it. A \
directory of blocks that can't be read is told before anything is changed.

What is no block stays where it is. If there is another block where one should go, that one stays beside \
it with a name that ends in .kept. Both are reported, and make the exit status 1.

kubo names the function in the files `config` (Datastore.Spec, shardFunc) and `datastore_spec` of its repo \
too. Change both before you start it.

Example:
  flatfs reshard ~/.ipfs/blocks next-to-last/3")]
pub(crate) struct Reshard {
    /// The store
    dir: PathBuf,
    /// The new shard function
    shard: Shard,
    /// A JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    path: String,
    from: String,
    to: String,
    was_done: bool,
    moved: u64,
    duplicates: u64,
    kept: Vec<SkippedJson>,
    skipped_count: u64,
    seconds: f64,
}

impl Reshard {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        let resharding = maintenance::Reshard::new(self.shard);
        let resharded = watching("re-sharding", |watch| {
            resharding.on_progress(watch).run(&self.dir)
        });
        let done = match resharded.await {
            Ok(done) => done,
            Err(error) => return Err(self.explained(error).await),
        };
        if self.json {
            report::json(&self.report(&done, begun.elapsed()))?;
        } else {
            skipped::tell(&done.kept, done.skipped_count);
            report::summary(&self.summary(&done, begun.elapsed()))?;
        }
        Ok(skipped::answer(done.skipped_count))
    }

    /// The error, and what it means for the store if that is between two functions now.
    async fn explained(&self, error: anyhow::Error) -> anyhow::Error {
        let is_locked = error.downcast_ref().is_some_and(Error::is_locked);
        let opened = Options::new().read_only(true).open(&self.dir).await;
        let Err(Error::Resharding { path, from, to }) = opened else {
            return error;
        };
        if is_locked {
            return error;
        }
        let dir = path.display();
        let undo = if from == to {
            String::new()
        } else {
            format!(", or 'flatfs reshard {dir} {from}' has undone it")
        };
        error.context(format!(
            "no program can open {dir} until 'flatfs reshard {dir} {to}' has completed it{undo}"
        ))
    }

    fn report(&self, done: &Resharded, time: Duration) -> Report {
        Report {
            path: report::absolute(&self.dir),
            from: done.from.to_string(),
            to: done.to.to_string(),
            was_done: done.was_done,
            moved: done.moved,
            duplicates: done.duplicates,
            kept: SkippedJson::all(&done.kept),
            skipped_count: done.skipped_count,
            seconds: time.as_secs_f64(),
        }
    }

    fn summary(&self, done: &Resharded, time: Duration) -> String {
        let dir = escape(self.dir.display());
        let (from, to) = (done.from.short(), done.to.short());
        if done.was_done {
            return format!("{dir} is sharded by {to} already, there is nothing to do\n");
        }
        let moved = blocks(done.moved);
        let duplicates = match done.duplicates {
            0 => String::new(),
            count => format!(", {} there twice", blocks(count)),
        };
        let seconds = time.as_secs_f64();
        let change = if from == to {
            format!("back to {to}")
        } else {
            format!("{from} to {to}")
        };
        format!("{dir}: {change}, {moved} moved{duplicates}, {seconds:.2} s\n")
    }
}
