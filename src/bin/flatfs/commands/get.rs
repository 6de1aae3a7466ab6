//! `flatfs get`

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::Answer;
use crate::sink::Sink;
use crate::store;
use crate::target::{KEY_HELP, Target};

/// Write the bytes of a block
#[derive(Debug, Args)]
#[command(after_help = format!("{KEY_HELP}

Example:
  flatfs get blocks bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku > block"))]
pub(crate) struct Get {
    /// The store
    dir: PathBuf,
    /// A CID, or a key of the store
    key: Target,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Get {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        let found = store::reading(&self.dir, async |store| self.key.load(store).await).await?;
        let Some(block) = found else {
            bail!("{} is not in the store {}", self.key, self.dir.display());
        };
        let mut sink = Sink::open(self.output.as_deref())?;
        sink.write(&block)?;
        sink.finish()?;
        Ok(Answer::Yes)
    }
}
