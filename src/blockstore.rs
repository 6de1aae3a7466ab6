//! The trait [`Blockstore`] of the crate blockstore, for any [`Datastore`]. Feature `blockstore`.
//!
//! beetswap and the nodes built on it get and put their blocks through that trait.
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
//!
//! # beetswap and core2
//!
//! A new project that depends on beetswap 0.5.0 does not resolve: cargo reports that `core2 ^0.4.0`, required by
//! multihash-codetable 0.1, "is yanked". All versions of core2 have been yanked, and every release of beetswap still
//! needs it. The crates of this feature do not.
//!
//! cargo still accepts a yanked version that is in a lock file. Write this to `Cargo.lock` before the first build, or
//! copy an older `Cargo.lock`, and do not run `cargo generate-lockfile` or delete the file:
//!
//! ```toml
//! version = 4
//!
//! [[package]]
//! name = "core2"
//! version = "0.4.0"
//! source = "registry+https://github.com/rust-lang/crates.io-index"
//! checksum = "b49ba7ef1ad6107f8824dbe97de947cbaac53c44e7f9756a1fba0d37c1eec505"
//! ```
//!
//! cargo completes the file. A library cannot rely on this, because its users do not see its lock file. They can
//! replace core2 with its repository in the top-level `Cargo.toml`:
//!
//! ```toml
//! [patch.crates-io]
//! core2 = { git = "https://github.com/bbqsrc/core2", rev = "545e84bcb0f235b12e21351e0c69767958efe2a7" }
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

/// The maximum length of a key that a [`FlatFs`](crate::FlatFs) can store, including the leading `/`.
const MAX_KEY_LEN: usize = 251;

/// A [`Blockstore`] whose blocks are the values of a datastore.
///
/// A block is stored under the key of its CID's multihash, as in kubo: all CIDs with the same multihash name the same
/// block, whatever their version, their codec and the size of their type. A block that is inlined in its CID (with the
/// identity hash) is never stored: it is always available, and removing it does nothing.
///
/// - `put_many` and `put_many_keyed` are one [batch](crate::Batch) each: after an error none of their blocks is
///   stored, unless the error says otherwise.
/// - `close` closes the datastore, and with it all of its clones.
///
/// # Errors
///
/// - [`Error::CidTooLarge`]: the datastore rejected a put because the key is longer than a [`FlatFs`](crate::FlatFs)
///   can store, which means a multihash of more than 156 bytes. A read of such a CID finds no block.
/// - [`Error::CidError`]: a block does not have the hash of its CID.
/// - [`Error::ExecutorError`]: there is no tokio runtime.
/// - [`Error::FatalDatabaseError`]: any other error of the datastore.
///
/// The messages contain the whole chain of sources.
///
/// # Cancel safety
///
/// If a future is dropped, its block, or all blocks of its batch, are stored as a whole or not at all.
///
/// # Durability
///
/// Writes are as durable as the puts and commits of the datastore: for a [`FlatFs`](crate::FlatFs) see
/// [`Durability`](crate::Durability).
#[derive(Debug)]
pub struct DatastoreBlockstore<D: ?Sized> {
    datastore: Arc<D>,
    admission: Admission,
}

/// Which blocks a put accepts.
#[derive(Clone, Copy, Debug)]
enum Admission {
    /// Every block. The caller is trusted to pass the right CID.
    Trusted,
    /// Only blocks that have the hash of their CID.
    #[cfg(feature = "verify")]
    Verified,
}

impl<D: Datastore + ?Sized> DatastoreBlockstore<D> {
    /// Creates a block store on top of `datastore`, which may be an `Arc<dyn Datastore>`. A put does not check that a
    /// block has the hash of its CID.
    #[must_use]
    pub fn new(datastore: Arc<D>) -> Self {
        DatastoreBlockstore {
            datastore,
            admission: Admission::Trusted,
        }
    }

    /// Makes every put check with [`hash::check`] that the block has the hash of its CID. A block whose hash function
    /// is unknown is rejected too. Other clones are not affected. Feature `verify`.
    ///
    /// beetswap computes the CIDs of the blocks that it receives, so it does not need a second check.
    #[cfg(feature = "verify")]
    #[must_use]
    pub fn verified(self) -> Self {
        DatastoreBlockstore {
            admission: Admission::Verified,
            ..self
        }
    }

    /// Returns the datastore in which the blocks are stored.
    #[must_use]
    pub fn datastore(&self) -> &Arc<D> {
        &self.datastore
    }

    /// Checks a block that is put, and returns its key and value, or `None` if the block is inlined in the CID.
    async fn admit<const S: usize>(
        &self,
        cid: &CidGeneric<S>,
        block: &[u8],
    ) -> Result<Option<(Key, Bytes)>> {
        if let Some(inline) = inline(cid.hash()) {
            return if block == inline {
                Ok(None)
            } else {
                Err(rejected(cid, "the CID contains a different block inline"))
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
    /// Checks whether a block may be stored under its CID.
    #[cfg(feature = "verify")]
    async fn check<const S: usize>(self, cid: &CidGeneric<S>, block: &Bytes) -> Result<()> {
        match self {
            Admission::Trusted => Ok(()),
            Admission::Verified => {
                let checked = hash::check_without_blocking(*cid.hash(), block).await?;
                checked.map_err(|why| rejected(cid, why))
            }
        }
    }

    /// Accepts any block, because hashes cannot be checked without the feature `verify`.
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

/// Puts the whole chain of sources into the text, because `blockstore::Error` has no source.
impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        match &error {
            crate::Error::InvalidKey { key, .. } if key.len() > MAX_KEY_LEN => Error::CidTooLarge,
            crate::Error::Runtime => Error::ExecutorError(chain(&error)),
            _ => Error::FatalDatabaseError(chain(&error)),
        }
    }
}

fn rejected<const S: usize>(cid: &CidGeneric<S>, why: impl Display) -> Error {
    CidError::InvalidCid(format!("{cid} is not the CID of the block: {why}")).into()
}

/// Returns the messages of the error and its sources in one line.
fn chain(error: &dyn StdError) -> String {
    successors(Some(error), |&error| error.source()).join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_text_of_an_error_has_all_its_sources() {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        let source = Arc::new(crate::Error::io("write", "/store/XY/KEY.data", source));
        let error = Error::from(crate::Error::BatchFailed { source });
        assert_eq!(
            error.to_string(),
            "Database reported unrecoverable error: \
             the batch failed, and none of it was committed: \
             cannot write /store/XY/KEY.data: permission denied"
        );
    }

    #[test]
    fn a_missing_runtime_is_an_error_of_the_executor() {
        let error = Error::from(crate::Error::Runtime);
        assert!(matches!(error, Error::ExecutorError(_)), "{error}");
    }
}
