//! `flatfs export`

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use cid::Cid;
use clap::Args;
use ds_flatfs::Datastore;
use ds_flatfs::dag::{self, DagWalk, UnknownCodec};
use ds_flatfs::query::Query;
use futures::StreamExt as _;

use crate::exit::Outcome;
use crate::interrupt::interruptible;
use crate::key_arg::parse_cid;
use crate::location::StoreArgs;
use crate::output::Output;
use crate::progress::ProgressBar;
use crate::{blocks, car, hash, open_store};

/// Write blocks to a CAR (version 1)
#[derive(Debug, Args)]
#[command(after_long_help = "\
With ROOTs, the CAR has the DAGs below them, parents before children, each block once. A missing block is \
an error that names it. The links of blocks that are inline in their CIDs (identity hash) are followed, but these \
blocks are not written. Without ROOTs, the CAR has every block of the store as raw, and no roots; the exit status is 1 \
if a commit is under way or was interrupted, because its blocks may be missing.

Links are followed in dag-pb, dag-cbor and dag-json. Blocks of raw, cbor, json, json-jcs, libp2p-key, \
protobuf, rlp, bencode, messagepack and ipns-record have none. Blocks of all other codecs, such as \
git-raw, dag-jose, car and eth-block, are an error unless --opaque is given: it exports the block itself, \
but nothing that it links to.

Each block is checked against its CID, and the first damaged one ends the export, so that an incomplete \
backup never replaces a complete one. 'flatfs verify --repair' moves damaged blocks away. A block over \
1 GiB ends the export too, because 'flatfs import' would refuse it.

A FILE given with -o appears only when the export is complete. On standard output, an export that fails \
or is interrupted leaves a CAR that every reader refuses as cut short.

Example:
  flatfs export blocks bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku -o dag.car
  flatfs export blocks | zstd > all.car.zst")]
pub(crate) struct Export {
    #[command(flatten)]
    store: StoreArgs,
    /// CIDs whose DAGs to export [default: every block of the store]
    #[arg(value_name = "ROOT", value_parser = parse_cid)]
    roots: Vec<Cid>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Export blocks of unknown codecs without following their links
    #[arg(long, requires = "roots")]
    opaque: bool,
}

impl Export {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        open_store::for_reading(&self.store, async |store| {
            // Asked first: the commit may end while blocks are exported. A DAG is complete, or the export fails.
            let is_incomplete = self.roots.is_empty() && store.has_pending_commits().await?;
            let exported = self.export(&**store).await?;
            Ok(exported.and(Outcome::success_if(!is_incomplete)))
        })
        .await
    }

    async fn export(&self, store: &dyn Datastore) -> anyhow::Result<Outcome> {
        for root in &self.roots {
            if !blocks::has(store, root).await? {
                bail!("the root {root} is not in the store {}", self.store.dir);
            }
        }
        let mut output = Output::open(self.output.as_deref())?;
        output.refuse_terminal(
            "a CAR can't be shown in a terminal: redirect the output, or name a file with -o",
        )?;
        output.write(&car::header(&self.roots)?)?;
        match interruptible(self.write_blocks(store, &mut output)).await {
            Ok(()) => output.finish()?,
            Err(error) => {
                output.abandon(car::BROKEN_END);
                return Err(error);
            }
        }
        Ok(Outcome::Success)
    }

    /// Shows a bar, unless the CAR goes to a program, which may have one of its own on the same terminal.
    fn bar(&self) -> ProgressBar {
        match self.output {
            Some(_) => ProgressBar::count("exporting"),
            None => ProgressBar::hidden(),
        }
    }

    async fn write_blocks(&self, store: &dyn Datastore, output: &mut Output) -> anyhow::Result<()> {
        if self.roots.is_empty() {
            write_all(store, output, &self.bar()).await
        } else {
            self.write_dags(store, output).await
        }
    }

    async fn write_dags(&self, store: &dyn Datastore, output: &mut Output) -> anyhow::Result<()> {
        let unknown_codec = match self.opaque {
            true => UnknownCodec::TakeAsLeaf,
            false => UnknownCodec::Refuse,
        };
        let bar = self.bar();
        let mut walk = DagWalk::new(store, &self.roots).unknown_codec(unknown_codec);
        while let Some((cid, block)) = walk.next().await? {
            if !hash::is_identity(&cid) {
                write_block(&cid, &block, output).await?;
                bar.one_more();
            }
        }
        Ok(())
    }
}

async fn write_all(
    store: &dyn Datastore,
    output: &mut Output,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let mut entries = store.query(Query::new()).await?;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        let cid = entry.key.to_cid().with_context(|| {
            format!(
                "{} is not the key of a block, so a CAR can't contain it: name the roots to export",
                entry.key
            )
        })?;
        let block: Bytes = entry.value.unwrap_or_default();
        dag::check(&cid, &block).await?;
        write_block(&cid, &block, output).await?;
        bar.one_more();
    }
    Ok(())
}

async fn write_block(cid: &Cid, block: &[u8], output: &mut Output) -> anyhow::Result<()> {
    // Blocks that were read ahead are ready at once: without this, Ctrl-C would go unnoticed.
    tokio::task::yield_now().await;
    if block.len() as u64 > blocks::MAX_BLOCK {
        bail!("the block of the CID {cid} is over 1 GiB, the largest block that an import accepts");
    }
    output.write(&car::section_head(cid, block))?;
    output.write(block)
}
