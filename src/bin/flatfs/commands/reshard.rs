//! `flatfs reshard`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use ds_flatfs::maintenance::{self, Resharded};
use ds_flatfs::{Error, Options, Shard};
use serde::Serialize;

use crate::exit::Outcome;
use crate::kubo_args::KuboArgs;
use crate::progress::with_progress;
use crate::shard_arg::ShardParser;
use crate::skipped::{self, SkippedJson};
use crate::text::{blocks, escape};
use crate::{location, report};

/// Change the shard function of a store, in place
#[derive(Debug, Args)]
#[command(after_long_help = "\
SHARD is prefix/N, suffix/N or next-to-last/N, as for 'flatfs create'. Blocks are renamed, not copied. Stop \
kubo first.

No program can open the store until the change is complete. If it is interrupted, by Ctrl-C or a crash, or \
stopped by an error, run it again with the same SHARD or another one; the previous shard function reverts \
the change. If a directory of blocks can't be read, the command fails before it changes anything.

Files that are not blocks stay where they are. If a directory already has another block with the same key, \
the moved one is stored next to it with a name that ends in .kept. Both cases are reported as skipped, and \
make the exit status 1.

kubo also has the shard function in the files `config` (Datastore.Spec, shardFunc) and `datastore_spec` of \
its repo. Change both before you start kubo.

With --json it prints one object. Each item in \"skipped\" has \"path\" and \"reason\" (one word).

Example:
  flatfs reshard ~/.ipfs/blocks next-to-last/3")]
pub(crate) struct Reshard {
    /// The store
    #[arg(value_parser = location::dir_parser("it is a URL, and an object store is not re-sharded in place: copy it to a new store"))]
    dir: PathBuf,
    /// The new shard function
    #[arg(value_parser = ShardParser, hide_possible_values = true)]
    shard: Shard,
    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kubo: KuboArgs,
}

#[derive(Serialize)]
struct ReshardJson {
    path: String,
    from: String,
    to: String,
    was_done: bool,
    moved: u64,
    duplicates: u64,
    #[serde(flatten)]
    skipped: SkippedJson,
    seconds: f64,
}

impl Reshard {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let _lock = self.kubo.lock(&[&self.dir]).await?;
        let started = Instant::now();
        let resharding = maintenance::Reshard::new(&self.dir, self.shard);
        let stores: &[&Path] = &[&self.dir];
        let resharded = with_progress("re-sharding", stores, |callback| {
            resharding.on_progress(callback).run()
        });
        let done = match resharded.await {
            Ok(done) => done,
            Err(error) => return Err(self.explain(error).await),
        };
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

    /// Adds to the error what it means for a store that is between two shard functions now.
    async fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let is_locked = error.downcast_ref().is_some_and(Error::is_locked);
        let opened = Options::new().read_only(true).open(&self.dir).await;
        let Err(Error::Resharding { path, from, to }) = opened else {
            return error;
        };
        if is_locked {
            return error;
        }
        let dir = path.display();
        let revert = if from == to {
            String::new()
        } else {
            format!(", or 'flatfs reshard {dir} {from}' reverts it")
        };
        error.context(format!(
            "no program can open {dir} until 'flatfs reshard {dir} {to}' completes the change{revert}"
        ))
    }

    fn to_json(&self, done: &Resharded, time: Duration) -> ReshardJson {
        ReshardJson {
            path: report::absolute(&self.dir),
            from: done.from.to_string(),
            to: done.to.to_string(),
            was_done: done.was_done,
            moved: done.moved,
            duplicates: done.duplicates,
            skipped: SkippedJson::new(
                (&done.skipped, done.skipped_count),
                (&done.left_over, done.left_over_count),
            ),
            seconds: time.as_secs_f64(),
        }
    }

    fn summary(&self, done: &Resharded, time: Duration) -> String {
        let dir = escape(self.dir.display());
        let (from, to) = (done.from.short(), done.to.short());
        if done.was_done {
            return format!("{dir} already has {to}, there is nothing to do\n");
        }
        let moved = blocks(done.moved);
        let duplicates = match done.duplicates {
            0 => String::new(),
            count => format!(", {} already there", blocks(count)),
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
