//! `flatfs put`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use ds_flatfs::{Datastore, Key};
use tokio::io::AsyncReadExt as _;

use crate::exit::Outcome;
use crate::kubo_args::KuboArgs;
use crate::output::Output;
use crate::{blocking, blocks, hash, input, open_store};

/// The largest block that other nodes accept, in bytes.
const MAX_SHARED_BLOCK: u64 = 2 << 20;

/// Store each file as one raw block
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints the CID of each block (version 1, raw, sha2-256) on a line of its own, once the block is stored. \
Files are not split into chunks, so a file over 2 MiB is refused: other nodes don't accept such a block. \
With --allow-big-block a block may have up to 1 GiB, the limit of all commands.

Example:
  flatfs put blocks note.txt
  echo hello | flatfs put blocks -")]
pub(crate) struct Put {
    /// The store
    dir: PathBuf,
    /// The files; '-' is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Accept files over 2 MiB, up to 1 GiB
    #[arg(long)]
    allow_big_block: bool,
    #[command(flatten)]
    kubo: KuboArgs,
}

impl Put {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        input::check_stdin(&self.files)?;
        let _lock = self.kubo.lock(&[&self.dir]).await?;
        open_store::for_writing(&self.dir, async |store| {
            let mut output = Output::stdout();
            for file in &self.files {
                let block = self.read(file).await?;
                let cid = put(store, block).await;
                let cid = cid.with_context(|| format!("cannot put {}", input::name(file)))?;
                output.write(format!("{cid}\n").as_bytes())?;
                output.flush()?;
            }
            Ok(Outcome::Success)
        })
        .await
    }

    async fn read(&self, file: &Path) -> anyhow::Result<Bytes> {
        let file_name = || input::name(file);
        let opened = input::open(file).await?;
        self.check_len(opened.len.unwrap_or(0), file_name)?;
        let mut block = Vec::new();
        let mut reader = opened.reader.take(self.max_block() + 1);
        let read = reader.read_to_end(&mut block).await;
        read.with_context(|| format!("cannot read {}", file_name()))?;
        self.check_len(block.len() as u64, file_name)?;
        Ok(block.into())
    }

    fn max_block(&self) -> u64 {
        if self.allow_big_block {
            blocks::MAX_BLOCK
        } else {
            MAX_SHARED_BLOCK
        }
    }

    fn check_len(&self, len: u64, name: impl FnOnce() -> String) -> anyhow::Result<()> {
        if len > blocks::MAX_BLOCK {
            bail!(
                "{} is over 1 GiB, the largest block that is supported",
                name()
            );
        }
        if len > self.max_block() {
            bail!(
                "{} is over 2 MiB, which other nodes don't accept as one block: --allow-big-block stores it anyway",
                name()
            );
        }
        Ok(())
    }
}

async fn put(store: &dyn Datastore, block: Bytes) -> anyhow::Result<cid::Cid> {
    let shared = block.clone();
    let cid = blocking::compute(block.len(), move || hash::raw_cid(&shared)).await?;
    store.put(&Key::from_cid(&cid), block).await?;
    Ok(cid)
}
