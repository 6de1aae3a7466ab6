//! [`FlatFs::blocking_reader`]: reads for jobs on the blocking pool.

use bytes::Bytes;

use super::flatfs::FlatFs;
use super::read::BlockRead;
use super::shared::StoreGuard;
use crate::datastore::BlockingReader;
use crate::error::Result;
use crate::format::BlockKey;
use crate::key::Key;

/// Reads blocks in one job. A close waits for it.
#[derive(Debug)]
struct StoreReader(StoreGuard);

impl FlatFs {
    /// Waits for a file permit, and returns reads that block the thread, for one job on the blocking pool that reads
    /// many blocks.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Closed`](crate::Error::Closed) if the store is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub async fn blocking_reader(&self) -> Result<Box<dyn BlockingReader>> {
        Ok(Box::new(StoreReader(self.store.begin_read().await?)))
    }
}

impl StoreReader {
    fn read<T>(&self, key: &Key, read: BlockRead<T>) -> Result<Option<T>> {
        // A close waits for the read of this block, and not for the whole job.
        self.0.lifecycle.check_open()?;
        match BlockKey::new(key) {
            Ok(block) => read.run(&self.0.blocks, &block),
            Err(_) => read.report_cached(key, None),
        }
    }
}

impl BlockingReader for StoreReader {
    fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.read(key, BlockRead::VALUE)
    }

    fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        self.read(key, BlockRead::size("get_size"))
    }
}
