//! [`BatchFiller`]: puts the blocks of a CAR into a batch.

use std::collections::HashSet;
use std::mem;
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use ds_flatfs::hash::HashError;
use ds_flatfs::{Batch, Key};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use tokio::io::AsyncBufRead;

use crate::car::{Block, CarCid, CarReader};
use crate::progress::ProgressBar;
use crate::{blocking, hash, input, report};

/// A CAR whose header has been read.
pub(crate) struct InputCar {
    /// `None` for standard input.
    pub(crate) path: Option<String>,
    pub(crate) name: String,
    pub(crate) reader: CarReader<Box<dyn AsyncBufRead + Send + Unpin>>,
    pub(crate) len: Option<u64>,
}

impl InputCar {
    pub(crate) async fn open(path: &Path) -> anyhow::Result<Self> {
        let name = input::name(path);
        let file = input::open(path).await?;
        let reader = CarReader::open(file.reader).await;
        Ok(InputCar {
            path: (!input::is_stdin(path)).then(|| report::absolute(path)),
            reader: reader.with_context(|| nothing_imported(&name))?,
            name,
            len: file.len,
        })
    }
}

pub(crate) fn nothing_imported(name: &str) -> String {
    format!("none of {name} was imported")
}

/// Counts of the blocks of a CAR.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ImportStats {
    pub(crate) blocks: u64,
    pub(crate) new: u64,
    pub(crate) inline: u64,
    pub(crate) bytes: u64,
}

/// Blocks that are looked up at the same time, because a lookup may be a request over a network.
#[derive(Default)]
struct Group {
    blocks: Vec<(Key, Bytes)>,
    bytes: usize,
}

impl Group {
    const MAX_BLOCKS: usize = 64;
    const MAX_BYTES: usize = 4 << 20;

    fn add(&mut self, key: Key, block: Bytes) {
        self.bytes += block.len();
        self.blocks.push((key, block));
    }

    fn is_full(&self) -> bool {
        self.blocks.len() >= Group::MAX_BLOCKS || self.bytes >= Group::MAX_BYTES
    }
}

/// Puts the blocks of a CAR into a batch.
pub(crate) struct BatchFiller {
    pub(crate) batch: Box<dyn Batch>,
    /// Whether a block that the store has with the same size is durable, so that it need not be written.
    pub(crate) skips_present: bool,
    pub(crate) unverified: bool,
}

impl BatchFiller {
    /// Puts all blocks into the batch, and removes the CIDs of these blocks from `absent`.
    pub(crate) async fn fill(
        &self,
        car: &mut InputCar,
        absent: &mut HashSet<CarCid>,
    ) -> anyhow::Result<ImportStats> {
        let bar = ProgressBar::bytes(&car.name, car.len);
        let mut stats = ImportStats::default();
        let mut group = Group::default();
        while let Some(block) = car.reader.next_block().await? {
            let offset = block.offset;
            let checked = self.check(&block).await;
            checked.with_context(|| format!("at byte {offset}"))?;
            absent.remove(&block.cid);
            stats.blocks += 1;
            stats.bytes += block.data.len() as u64;
            match block.short_cid() {
                Some(cid) if !hash::is_identity(&cid) => {
                    group.add(Key::from_cid(&cid), block.data);
                }
                _ => stats.inline += 1,
            }
            if group.is_full() {
                stats.new += self.put(mem::take(&mut group)).await?;
                bar.set_bytes(car.reader.offset());
            }
        }
        stats.new += self.put(group).await?;
        Ok(stats)
    }

    async fn check(&self, block: &Block) -> anyhow::Result<()> {
        let (cid, data) = (block.cid, block.data.clone());
        let verified = blocking::compute(data.len(), move || hash::verify(&cid, &data)).await?;
        match verified {
            Ok(()) => Ok(()),
            Err(error) => match error.reason {
                HashError::Unknown(_) if self.unverified => Ok(()),
                HashError::Unknown(_) => Err(anyhow::Error::from(error)
                    .context("--unverified stores blocks with unknown hash functions")),
                _ => Err(error.into()),
            },
        }
    }

    /// Puts the blocks, and returns how many are new. A block that the store has with another size is damaged, so it is
    /// replaced.
    async fn put(&self, group: Group) -> anyhow::Result<u64> {
        let lookups = group.blocks.iter();
        let lookups = stream::iter(lookups.map(|(key, _)| self.batch.get_size(key)));
        let found: Vec<Option<u64>> = lookups.buffered(Group::MAX_BLOCKS).try_collect().await?;
        let mut new = HashSet::new();
        for ((key, block), found) in group.blocks.into_iter().zip(found) {
            let is_present = found == Some(block.len() as u64);
            if found.is_none() {
                new.insert(key.clone());
            }
            if !(is_present && self.skips_present) {
                self.batch.put(&key, block).await?;
            }
        }
        Ok(new.len() as u64)
    }
}
