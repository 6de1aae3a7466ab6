//! `flatfs upgrade`

use std::path::PathBuf;

use clap::Args;
use ds_flatfs::{Shard, maintenance};

use crate::report::Answer;
use crate::report::{self, escape};

/// Make a store of a directory of format version 0
#[derive(Debug, Args)]
#[command(after_help = "\
Version 0 had no SHARDING file: its shard directories are named by the first PREFIXLEN characters of \
the keys. This writes the file, and moves no block. A directory with a name of another length is an \
error that names it, and nothing is changed. No program may write there meanwhile.

Example:
  flatfs upgrade blocks 5")]
pub(crate) struct Upgrade {
    /// The directory
    dir: PathBuf,
    /// How many characters of a key name its shard directory
    #[arg(value_name = "PREFIXLEN", value_parser = prefix_len)]
    prefix_len: usize,
}

fn prefix_len(text: &str) -> Result<usize, &'static str> {
    let len = text.parse().ok();
    len.filter(|len| Shard::prefix(*len).is_ok())
        .ok_or("a whole number between 1 and 255 is needed")
}

impl Upgrade {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        maintenance::upgrade(&self.dir, self.prefix_len).await?;
        let dir = escape(self.dir.display());
        report::summary(&format!(
            "{dir}: now a store of prefix/{}\n",
            self.prefix_len
        ))?;
        Ok(Answer::Yes)
    }
}
