//! `flatfs du`

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use ds_flatfs::maintenance;
use serde::Serialize;

use crate::exit::Outcome;
use crate::kubo_args::KuboArgs;
use crate::progress::with_progress;
use crate::report;
use crate::text::{bytes, escape};

/// Recount the disk usage of a store
#[derive(Debug, Args)]
#[command(after_long_help = "\
Adds up the sizes of all files and directories, and writes the sum into the store, where 'flatfs stat' and \
other programs read it. No other program may have the store open for writing. Commits that a crash \
interrupted are completed. With --json it prints an object with \"path\", \"bytes\" and \"accuracy\".

Example:
  flatfs du blocks
  flatfs du --json blocks | jq .bytes")]
pub(crate) struct Du {
    /// The store
    dir: PathBuf,
    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kubo: KuboArgs,
}

#[derive(Serialize)]
struct DuJson {
    path: String,
    bytes: u64,
    accuracy: &'static str,
}

impl Du {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        let _lock = self.kubo.lock(&[&self.dir]).await?;
        let counted = with_progress("counting", |callback| {
            maintenance::recount(&self.dir, callback)
        });
        let usage = counted.await?;
        if self.json {
            report::json(&DuJson {
                path: report::absolute(&self.dir),
                bytes: usage.bytes,
                accuracy: usage.accuracy.as_str(),
            })?;
        } else {
            let (path, bytes) = (escape(self.dir.display()), bytes(usage.bytes));
            let seconds = started.elapsed().as_secs_f64();
            report::summary(&format!("{path}: disk usage {bytes}, {seconds:.2} s\n"))?;
        }
        Ok(Outcome::Success)
    }
}
