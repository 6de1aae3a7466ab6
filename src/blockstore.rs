//! The trait [`Blockstore`] of the crate blockstore, over any [`Datastore`]. Feature `blockstore`.
//!
//! beetswap, and the nodes that are built on it, get and put their blocks through that trait.
//!
//! ```
//! use std::sync::Arc;
//!
//! use blockstore::Blockstore;
//! use ds_flatfs::FlatFs;
//! use ds_flatfs::blockstore::DatastoreBlockstore;
//! use ds_flatfs::cid::Cid;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("blocks");
//! let flatfs = FlatFs::options().open_or_create(path).await?;
//! let blocks = DatastoreBlockstore::new(Arc::new(flatfs));
//!
//! let cid: Cid = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq".parse()?;
//! blocks.put_keyed(&cid, b"hello").await?;
//! assert_eq!(blocks.get(&cid).await?.as_deref(), Some(&b"hello"[..]));
//!
//! blocks.close().await?;
//! # Ok(())
//! # }
//! ```

use std::error::Error as StdError;
use std::fmt::Display;
use std::iter::successors;
use std::sync::Arc;

use ::blockstore::block::{Block, CidError};
use ::blockstore::{Blockstore, Error, Result};
use bytes::Bytes;
use cid::CidGeneric;
use itertools::Itertools as _;

use crate::cid_key::inline;
use crate::datastore::{Batch, Datastore};
#[cfg(feature = "verify")]
use crate::hash;
use crate::key::Key;

/// How long the text of a key can be that a [`FlatFs`](crate::FlatFs) takes, with the `/` before it.
const LONGEST_KEY: usize = 251;

/// A [`Blockstore`] whose blocks are the values of a datastore.
///
/// A block stands under the key of its CID's multihash, as kubo has it: all CIDs of the same multihash
/// name the same block, whatever their version, their codec and the size of their type. A block that
/// its CID carries itself (by the identity hash) is never stored: it is always there, and removing it
/// does nothing.
///
/// - `put_many` and `put_many_keyed` are one [batch](crate::Batch): after an error nothing of it is
///   stored, unless the error says otherwise.
/// - A dropped future leaves nothing half done: a block, or all that a batch puts, is then stored as a
///   whole or not at all.
/// - Writes are as durable as the datastore makes its puts and commits: for a
///   [`FlatFs`](crate::FlatFs) see [`Durability`](crate::Durability).
/// - `close` closes the datastore, and so all clones of it.
///
/// # Errors
///
/// [`Error::CidTooLarge`] if the datastore refuses a key that is longer than a
/// [`FlatFs`](crate::FlatFs) can hold: it takes multihashes of 156 bytes at most. Reads of a longer one
/// don't fail, they say that it isn't there. Other errors carry their whole chain of sources in their text:
/// [`Error::CidError`] for a block that is not the one of its CID, [`Error::ExecutorError`] if there is
/// no runtime to do the work, and [`Error::FatalDatabaseError`] for everything that the datastore says.
#[derive(Debug)]
pub struct DatastoreBlockstore<D: ?Sized> {
    datastore: Arc<D>,
    admission: Admission,
}

/// Which blocks are taken.
#[derive(Clone, Copy, Debug)]
enum Admission {
    /// Those that the caller names rightly.
    Trusted,
    /// Those that have the hash of their CID.
    #[cfg(feature = "verify")]
    Verified,
}

impl<D: Datastore + ?Sized> DatastoreBlockstore<D> {
    /// The blocks in `datastore`, which may be an `Arc<dyn Datastore>`. What is put is trusted to be
    /// the block of its CID.
    #[must_use]
    pub fn new(datastore: Arc<D>) -> Self {
        DatastoreBlockstore {
            datastore,
            admission: Admission::Trusted,
        }
    }

    /// From here on a put is refused unless the block has the hash of its CID, as
    /// [`hash::check`] finds it; so is one whose hash function is not known. Other clones stay as they
    /// are. Feature `verify`.
    ///
    /// beetswap computes the CIDs of what it receives itself, so it needs no second check.
    #[cfg(feature = "verify")]
    #[must_use]
    pub fn verified(self) -> Self {
        DatastoreBlockstore {
            admission: Admission::Verified,
            ..self
        }
    }

    /// The datastore that has the blocks.
    #[must_use]
    pub fn datastore(&self) -> &Arc<D> {
        &self.datastore
    }

    /// The key and the value of a block that is put; `None` if its CID carries it.
    async fn admit<const S: usize>(
        &self,
        cid: &CidGeneric<S>,
        block: &[u8],
    ) -> Result<Option<(Key, Bytes)>> {
        if let Some(inline) = inline(cid.hash()) {
            return if block == inline {
                Ok(None)
            } else {
                Err(refused(cid, "it carries another one itself"))
            };
        }
        let block = Bytes::copy_from_slice(block);
        self.admission.check(cid, &block).await?;
        Ok(Some((Key::from_cid(cid), block)))
    }

    async fn put_in<const S: usize>(
        &self,
        batch: &dyn Batch,
        cid: &CidGeneric<S>,
        block: &[u8],
    ) -> Result<()> {
        if let Some((key, block)) = self.admit(cid, block).await? {
            batch.put(&key, block).await?;
        }
        Ok(())
    }
}

impl Admission {
    /// Checks that a block may be stored under its CID.
    #[cfg(feature = "verify")]
    async fn check<const S: usize>(self, cid: &CidGeneric<S>, block: &Bytes) -> Result<()> {
        match self {
            Admission::Trusted => Ok(()),
            Admission::Verified => {
                let checked = hash::check_without_blocking(*cid.hash(), block).await?;
                checked.map_err(|why| refused(cid, why))
            }
        }
    }

    /// Any block may be stored.
    #[cfg(not(feature = "verify"))]
    async fn check<const S: usize>(self, _: &CidGeneric<S>, _: &Bytes) -> Result<()> {
        match self {
            Admission::Trusted => Ok(()),
        }
    }
}

impl<D: Datastore + ?Sized> Blockstore for DatastoreBlockstore<D> {
    async fn get<const S: usize>(&self, cid: &CidGeneric<S>) -> Result<Option<Vec<u8>>> {
        if let Some(block) = inline(cid.hash()) {
            return Ok(Some(block.to_vec()));
        }
        let block = self.datastore.get(&Key::from_cid(cid)).await?;
        Ok(block.map(Vec::from))
    }

    async fn has<const S: usize>(&self, cid: &CidGeneric<S>) -> Result<bool> {
        if inline(cid.hash()).is_some() {
            return Ok(true);
        }
        Ok(self.datastore.has(&Key::from_cid(cid)).await?)
    }

    async fn put_keyed<const S: usize>(&self, cid: &CidGeneric<S>, data: &[u8]) -> Result<()> {
        if let Some((key, block)) = self.admit(cid, data).await? {
            self.datastore.put(&key, block).await?;
        }
        Ok(())
    }

    async fn put_many<const S: usize, B, I>(&self, blocks: I) -> Result<()>
    where
        B: Block<S>,
        I: IntoIterator<Item = B> + Send,
        <I as IntoIterator>::IntoIter: Send,
    {
        let batch = self.datastore.batch().await?;
        for block in blocks {
            self.put_in(&*batch, &block.cid()?, block.data()).await?;
        }
        Ok(batch.commit().await?)
    }

    async fn put_many_keyed<const S: usize, B, I>(&self, blocks: I) -> Result<()>
    where
        B: AsRef<[u8]> + Send + Sync,
        I: IntoIterator<Item = (CidGeneric<S>, B)> + Send,
        <I as IntoIterator>::IntoIter: Send,
    {
        let batch = self.datastore.batch().await?;
        for (cid, block) in blocks {
            self.put_in(&*batch, &cid, block.as_ref()).await?;
        }
        Ok(batch.commit().await?)
    }

    async fn remove<const S: usize>(&self, cid: &CidGeneric<S>) -> Result<()> {
        if inline(cid.hash()).is_none() {
            self.datastore.delete(&Key::from_cid(cid)).await?;
        }
        Ok(())
    }

    async fn close(self) -> Result<()> {
        Ok(self.datastore.close().await?)
    }
}

impl<D: ?Sized> Clone for DatastoreBlockstore<D> {
    fn clone(&self) -> Self {
        DatastoreBlockstore {
            datastore: Arc::clone(&self.datastore),
            admission: self.admission,
        }
    }
}

/// Keeps the whole chain of sources in the text, since `blockstore::Error` has none itself.
impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        match &error {
            crate::Error::InvalidKey { key, .. } if key.len() > LONGEST_KEY => Error::CidTooLarge,
            crate::Error::Runtime => Error::ExecutorError(chain(&error)),
            _ => Error::FatalDatabaseError(chain(&error)),
        }
    }
}

fn refused<const S: usize>(cid: &CidGeneric<S>, why: impl Display) -> Error {
    CidError::InvalidCid(format!("{cid} does not name the block: {why}")).into()
}

/// The error and its sources, as one line.
fn chain(error: &dyn StdError) -> String {
    successors(Some(error), |&error| error.source()).join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_error_says_all_of_its_sources() {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        let source = Arc::new(crate::Error::io("write", "/store/XY/KEY.data", source));
        let error = Error::from(crate::Error::BatchFailed { source });
        assert_eq!(
            error.to_string(),
            "Database reported unrecoverable error: \
             the batch failed, and nothing of it was committed: \
             cannot write /store/XY/KEY.data: permission denied"
        );
    }

    #[test]
    fn a_missing_runtime_is_an_error_of_the_executor() {
        let error = Error::from(crate::Error::Runtime);
        assert!(matches!(error, Error::ExecutorError(_)), "{error}");
    }
}
