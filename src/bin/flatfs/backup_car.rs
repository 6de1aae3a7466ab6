//! [`BackupCar`]: a CAR from which a repair takes blocks.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use cid::Cid;
use ds_flatfs::Error;
use futures::stream::{self, Stream};
use tokio::io::AsyncBufRead;

use crate::car::CarReader;
use crate::input;

/// A CAR with good copies of blocks, whose header has been read.
pub(crate) struct BackupCar {
    name: String,
    reader: CarReader<Box<dyn AsyncBufRead + Send + Unpin>>,
}

impl BackupCar {
    /// Opens the CAR, and reads its header.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be read, or is not a CAR.
    pub(crate) async fn open(path: &Path) -> anyhow::Result<Self> {
        let name = input::name(path);
        let file = input::open(path).await?;
        let opened = CarReader::open(file.reader).await;
        let mut reader = opened.with_context(|| format!("cannot take blocks from {name}"))?;
        // The damaged block may be a big one.
        reader.allow_big_sections();
        Ok(BackupCar { name, reader })
    }

    /// Returns the blocks of the CAR up to the first error.
    pub(crate) fn blocks(self) -> impl Stream<Item = Result<(Cid, Bytes), Error>> + Send {
        stream::unfold(Some(self), |car| async move {
            let mut car = car?;
            match car.next_block().await {
                Ok(Some(block)) => Some((Ok(block), Some(car))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next_block(&mut self) -> Result<Option<(Cid, Bytes)>, Error> {
        loop {
            let next = self.reader.next_block().await;
            let next = next.map_err(|error| Error::Backend {
                message: format!("cannot take more blocks from {}", self.name),
                source: Some(error.into()),
            })?;
            match next {
                None => return Ok(None),
                Some(block) => match block.short_cid() {
                    Some(cid) => return Ok(Some((cid, block.data))),
                    // Only a CID that contains its block is longer, and a store has no such block.
                    None => continue,
                },
            }
        }
    }
}
