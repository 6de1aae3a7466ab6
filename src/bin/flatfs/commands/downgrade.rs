//! `flatfs downgrade`

use std::path::PathBuf;

use clap::Args;
use ds_flatfs::maintenance;

use crate::report::Answer;
use crate::report::{self, escape};

/// Make a directory of format version 0 of a store
#[derive(Debug, Args)]
#[command(after_help = "\
For programs that know no SHARDING file. Only a store of prefix/N can be converted, and only when no \
writer has left anything in flight ('flatfs du' sees to what a crashed one has left). No block is \
moved; 'flatfs upgrade' with the same N undoes it.

Example:
  flatfs downgrade blocks")]
pub(crate) struct Downgrade {
    /// The store
    dir: PathBuf,
}

impl Downgrade {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        maintenance::downgrade(&self.dir).await?;
        let dir = escape(self.dir.display());
        report::summary(&format!("{dir}: now a directory of format version 0\n"))?;
        Ok(Answer::Yes)
    }
}
