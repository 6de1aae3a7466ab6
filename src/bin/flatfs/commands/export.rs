//! `flatfs export`

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use cid::Cid;
use clap::Args;
use ds_flatfs::Datastore;
use ds_flatfs::query::Query;
use futures::StreamExt as _;

use crate::dag::{self, Walk};
use crate::interrupt::interruptible;
use crate::report::Answer;
use crate::sink::Sink;
use crate::target::parse_cid;
use crate::{blocks, car, hash, store};

/// Write blocks as a CAR (version 1)
#[derive(Debug, Args)]
#[command(after_help = "\
With ROOTs: the DAGs below them, parents first, each block once; dag-pb, dag-cbor, dag-json and raw \
are followed. A missing block is an error that names it. Blocks that their CIDs carry themselves \
(identity hash) are followed, but not written.

Without: every block of the store as raw, in a CAR without roots.

Each block is checked against its CID, and a damaged one ends the export, so that no backup without it \
takes the place of one that may have it. 'flatfs verify --repair' takes all of them out of the way. A \
block over 1 GiB ends it too, since 'flatfs import' wouldn't take it.

A FILE that is named with -o only appears when all of it is there. On standard output an export that fails \
or is interrupted leaves a CAR that doesn't read to its end, so that no program takes it for a whole one.

Example:
  flatfs export blocks bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku -o dag.car
  flatfs export blocks | zstd > all.car.zst")]
pub(crate) struct Export {
    /// The store
    dir: PathBuf,
    /// CIDs whose DAGs to export; none for every block of the store
    #[arg(value_name = "ROOT", value_parser = parse_cid)]
    roots: Vec<Cid>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Export {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        store::reading(&self.dir, async |store| self.export(store).await).await
    }

    async fn export(&self, store: &dyn Datastore) -> anyhow::Result<Answer> {
        for root in &self.roots {
            if !blocks::has(store, root).await? {
                bail!("the root {root} is not in the store {}", self.dir.display());
            }
        }
        let mut sink = Sink::open(self.output.as_deref())?;
        sink.refuse_terminal(
            "a CAR is not for the terminal: redirect the output, or name a file with -o",
        )?;
        sink.write(&car::header(self.roots.clone())?)?;
        match interruptible(self.write_blocks(store, &mut sink)).await {
            Ok(()) => sink.finish()?,
            Err(error) => {
                sink.give_up(car::BROKEN_END);
                return Err(error);
            }
        }
        Ok(Answer::Yes)
    }

    async fn write_blocks(&self, store: &dyn Datastore, sink: &mut Sink) -> anyhow::Result<()> {
        if self.roots.is_empty() {
            write_all(store, sink).await
        } else {
            write_dags(store, &self.roots, sink).await
        }
    }
}

async fn write_dags(store: &dyn Datastore, roots: &[Cid], sink: &mut Sink) -> anyhow::Result<()> {
    let mut walk = Walk::new(store, roots);
    while let Some((cid, block)) = walk.next().await? {
        if !hash::is_identity(&cid) {
            write_block(&cid, &block, sink).await?;
        }
    }
    Ok(())
}

async fn write_all(store: &dyn Datastore, sink: &mut Sink) -> anyhow::Result<()> {
    let mut entries = store.query(Query::new()).await?;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        let cid = entry.key.to_cid().with_context(|| {
            format!(
                "{} is not the key of a block, so a CAR can't hold it: export named roots instead",
                entry.key
            )
        })?;
        let block = entry.value.unwrap_or_default();
        dag::check(&cid, &block)?;
        write_block(&cid, &block, sink).await?;
    }
    Ok(())
}

async fn write_block(cid: &Cid, block: &[u8], sink: &mut Sink) -> anyhow::Result<()> {
    // Blocks that are read ahead are no reason not to see that the user wants it to end.
    tokio::task::yield_now().await;
    if block.len() as u64 > blocks::LARGEST {
        bail!("the block of the CID {cid} is over 1 GiB, the largest one that an import takes");
    }
    sink.write(&car::section_head(cid, block))?;
    sink.write(block)
}
