//! `flatfs upgrade`

use std::path::PathBuf;

use clap::Args;
use ds_flatfs::{Shard, maintenance};

use crate::exit::Outcome;
use crate::kubo_args::KuboArgs;
use crate::text::escape;
use crate::{location, report};

/// Convert a directory of format version 0 to a store
#[derive(Debug, Args)]
#[command(after_long_help = "\
Version 0 has no SHARDING file: its shard directories are named after the first PREFIXLEN characters of the \
keys. This command writes the file, and moves no block. If a directory has a name of another length, the \
command fails, names that directory, and changes nothing. No program may write to the directory meanwhile.

Example:
  flatfs upgrade blocks 5")]
pub(crate) struct Upgrade {
    /// The directory
    #[arg(value_parser = location::dir_parser("it is a URL, and only a directory has a format version 0"))]
    dir: PathBuf,
    /// How many characters of a key name its shard directory
    #[arg(value_name = "PREFIXLEN", value_parser = prefix_len)]
    prefix_len: usize,
    #[command(flatten)]
    kubo: KuboArgs,
}

fn prefix_len(text: &str) -> Result<usize, &'static str> {
    let len = text.parse().ok();
    len.filter(|len| Shard::prefix(*len).is_ok())
        .ok_or("it must be a whole number between 1 and 255")
}

impl Upgrade {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let _lock = self.kubo.lock(&[&self.dir]).await?;
        maintenance::upgrade(&self.dir, self.prefix_len).await?;
        let dir = escape(self.dir.display());
        report::summary(&format!(
            "{dir}: now a store of prefix/{}\n",
            self.prefix_len
        ))?;
        Ok(Outcome::Success)
    }
}
