//! `flatfs export`

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use cid::Cid;
use clap::Args;
use ds_flatfs::Datastore;
use ds_flatfs::query::Query;
use futures::StreamExt as _;

use crate::dag::{self, Walk};
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

Each block is checked against its CID. A FILE that is named with -o only appears when all of it is \
there.

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
        store::reading(&self.dir, async |store| {
            let work = self.export(store);
            if self.output.is_some() {
                store::interruptible(work).await
            } else {
                work.await
            }
        })
        .await
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
        if self.roots.is_empty() {
            write_all(store, &mut sink).await?;
        } else {
            write_dags(store, &self.roots, &mut sink).await?;
        }
        sink.finish()?;
        Ok(Answer::Yes)
    }
}

async fn write_dags(store: &dyn Datastore, roots: &[Cid], sink: &mut Sink) -> anyhow::Result<()> {
    let mut walk = Walk::new(store, roots);
    while let Some((cid, block)) = walk.next().await? {
        if !hash::is_identity(&cid) {
            write_block(&cid, &block, sink)?;
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
        write_block(&cid, &block, sink)?;
    }
    Ok(())
}

fn write_block(cid: &Cid, block: &[u8], sink: &mut Sink) -> anyhow::Result<()> {
    sink.write(&car::section_head(cid, block))?;
    sink.write(block)
}
