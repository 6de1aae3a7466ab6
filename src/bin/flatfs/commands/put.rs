//! `flatfs put`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use ds_flatfs::{Datastore, Key};
use tokio::io::AsyncReadExt as _;

use crate::report::Answer;
use crate::sink::Sink;
use crate::{blocks, hash, source, store};

/// The largest block that other nodes take.
const LIMIT: u64 = 2 << 20;

/// Store files as one raw block each
#[derive(Debug, Args)]
#[command(after_help = "\
Prints the CID of each block (version 1, raw, sha2-256), a line each, once the block is stored. A \
file is not cut into pieces, so one over 2 MiB is refused: other nodes would not take such a block. Even \
with --allow-big-block a block has 1 GiB at most, as in every other command.

Example:
  flatfs put blocks note.txt
  echo hello | flatfs put blocks -")]
pub(crate) struct Put {
    /// The store
    dir: PathBuf,
    /// The files; '-' is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take files over 2 MiB too, up to 1 GiB
    #[arg(long)]
    allow_big_block: bool,
}

impl Put {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        source::check_stdin(&self.files)?;
        store::writing(&self.dir, async |store| {
            let mut sink = Sink::stdout();
            for file in &self.files {
                let block = self.read(file).await?;
                let cid = put(store, block).await;
                let cid = cid.with_context(|| format!("cannot put {}", source::name(file)))?;
                sink.write(format!("{cid}\n").as_bytes())?;
                sink.flush()?;
            }
            Ok(Answer::Yes)
        })
        .await
    }

    async fn read(&self, file: &Path) -> anyhow::Result<Bytes> {
        let file_name = || source::name(file);
        let opened = source::open(file).await?;
        self.check_len(opened.len.unwrap_or(0), file_name)?;
        let mut block = Vec::new();
        let mut reader = opened.reader.take(self.limit() + 1);
        let read = reader.read_to_end(&mut block).await;
        read.with_context(|| format!("cannot read {}", file_name()))?;
        self.check_len(block.len() as u64, file_name)?;
        Ok(block.into())
    }

    fn limit(&self) -> u64 {
        if self.allow_big_block {
            blocks::LARGEST
        } else {
            LIMIT
        }
    }

    fn check_len(&self, len: u64, name: impl FnOnce() -> String) -> anyhow::Result<()> {
        if len > blocks::LARGEST {
            bail!("{} is over 1 GiB, the largest block that is taken", name());
        }
        if len > self.limit() {
            bail!(
                "{} is over 2 MiB, which other nodes don't take as one block: --allow-big-block puts it all the same",
                name()
            );
        }
        Ok(())
    }
}

async fn put(store: &dyn Datastore, block: Bytes) -> ds_flatfs::Result<cid::Cid> {
    let cid = hash::raw_cid(&block);
    store.put(&Key::from_cid(&cid), block).await?;
    Ok(cid)
}
