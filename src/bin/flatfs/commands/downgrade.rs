//! `flatfs downgrade`

use std::path::PathBuf;

use clap::Args;
use ds_flatfs::maintenance;

use crate::exit::Outcome;
use crate::kubo_args::KuboArgs;
use crate::text::escape;
use crate::{location, report};

/// Convert a store to format version 0
#[derive(Debug, Args)]
#[command(after_long_help = "\
Removes the SHARDING file, for programs that don't know it. This works only for stores of prefix/N, and only \
if no crashed writer has left temp files ('flatfs du --write' removes those). No block is moved, and \
'flatfs upgrade' with the same N reverts it.

Example:
  flatfs downgrade blocks")]
pub(crate) struct Downgrade {
    /// The store
    #[arg(value_parser = location::dir_parser("it is a URL, and only a directory has a format version 0"))]
    dir: PathBuf,
    #[command(flatten)]
    kubo: KuboArgs,
}

impl Downgrade {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let _lock = self.kubo.lock(&[&self.dir]).await?;
        maintenance::downgrade(&self.dir).await?;
        let dir = escape(self.dir.display());
        report::summary(&format!("{dir}: now a directory of format version 0\n"))?;
        Ok(Outcome::Success)
    }
}
