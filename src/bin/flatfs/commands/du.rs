//! `flatfs du`

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use ds_flatfs::maintenance;
use serde::Serialize;

use crate::progress::watching;
use crate::report::Answer;
use crate::report::{self, bytes, escape};

/// Count the disk usage of a store anew
#[derive(Debug, Args)]
#[command(after_help = "\
Counts the sizes of all files and directories, and writes the figure into the store, where 'flatfs \
stat' and other programs find it. It needs the store to itself, and completes commits that a crash \
cut short. With --json it prints an object with \"path\", \"bytes\" and \"accuracy\".

Example:
  flatfs du blocks
  flatfs du --json blocks | jq .bytes")]
pub(crate) struct Du {
    /// The store
    dir: PathBuf,
    /// A JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    path: String,
    bytes: u64,
    accuracy: &'static str,
}

impl Du {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        let started = Instant::now();
        let counted = watching("counting", |watch| maintenance::recount(&self.dir, watch));
        let usage = counted.await?;
        if self.json {
            report::json(&Report {
                path: report::absolute(&self.dir),
                bytes: usage.bytes,
                accuracy: usage.accuracy.as_str(),
            })?;
        } else {
            let (path, bytes) = (escape(self.dir.display()), bytes(usage.bytes));
            let seconds = started.elapsed().as_secs_f64();
            report::summary(&format!("{path}: disk usage {bytes}, {seconds:.2} s\n"))?;
        }
        Ok(Answer::Yes)
    }
}
