//! [`Copied`]: what a copy did.

use std::fmt;
use std::sync::Mutex;

use crate::datastore::FailuresInARow;
use crate::error::{Error, ExpectedEntry, Result};
use crate::key::Key;
use crate::sync::lock;

/// What a [`Copy`](super::Copy) did.
#[derive(Debug, Default)]
#[non_exhaustive]
#[must_use = "it tells which blocks were not copied"]
pub struct Copied {
    /// The number of blocks that were copied.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of blocks that the destination had already.
    pub present: u64,
    /// The number of copied blocks that could not be checked: their keys are not hashes, or have hash functions
    /// that are not known. Without the feature `verify`, and without checks, it is 0.
    pub unchecked: u64,
    /// The number of blocks that the source listed, and that it did not have when they were to be read: another
    /// program has deleted them, or the listing is wrong. They are not among the failures.
    pub vanished: u64,
    /// The number of entries of the source that [are not blocks](CopyFailure::is_not_a_block). They are not copied, and are
    /// not among the failures.
    pub skipped: u64,
    /// What was not copied, and why. Only the first thousand are listed. [`on_failure`](super::Copy::on_failure) gets
    /// all of them.
    pub failed: Vec<CopyFailure>,
    /// The number of all failures.
    pub failed_count: u64,
    /// How many of these are blocks that [are bad](CopyFailure::is_bad_block). The others could not be read, listed or
    /// stored.
    pub bad_blocks: u64,
}

/// A block that was not copied, or a part of the source that could not be listed.
#[derive(Debug)]
#[non_exhaustive]
pub struct CopyFailure {
    /// The key of the block, or `None` if the listing of the source has failed for an entry.
    pub key: Option<Key>,
    /// The reason: [`Error::Corrupt`] for a damaged block, otherwise the error of the source.
    pub error: Error,
}

impl CopyFailure {
    /// Returns whether the source has no good block with this key: it is damaged or missing, or its links can't be
    /// found.
    #[must_use]
    pub fn is_bad_block(&self) -> bool {
        matches!(
            self.error,
            Error::Corrupt { .. }
                | Error::MissingBlock { .. }
                | Error::InvalidBlock { .. }
                | Error::UnknownCodec { .. }
        )
    }

    /// Returns whether this is not a block: something that is not a file is at the path of one, such as a symbolic link,
    /// or the destination cannot have the key and it does not end with a hash or a CID, in whatever spelling and with
    /// whatever file extension. Without the feature `cid` every key is one of a block.
    #[must_use]
    pub fn is_not_a_block(&self) -> bool {
        match (&self.error, &self.key) {
            // There may be blocks behind an obstacle at the path of a directory.
            (Error::Unexpected { expected, .. }, None) => *expected == ExpectedEntry::Block,
            (Error::InvalidKey { .. }, Some(key)) => !ends_with_hash(key),
            _ => false,
        }
    }
}

/// Returns whether the last component of a key is a hash or a CID. The others can be a prefix that the location of the
/// source should have.
///
/// The component may not be a key of kubo, because other programs name blocks otherwise: by the text of the CID, by a hash
/// in lower case, or, if they copied the files of a store, with an extension. Blocks must not be taken for something else.
#[cfg(feature = "cid")]
fn ends_with_hash(key: &Key) -> bool {
    let name = key.base_namespace();
    let name = name.split_once('.').map_or(name, |(stem, _)| stem);
    let is_sha2_256 = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sha2_256
        || Key::new(name.to_ascii_uppercase()).to_cid().is_some()
        || cid::Cid::try_from(name).is_ok()
        // A multihash, and also a CID, in hex without the prefix of its base.
        || cid::Cid::try_from(format!("f0155{name}")).is_ok()
        || cid::Cid::try_from(format!("f{name}")).is_ok()
}

#[cfg(not(feature = "cid"))]
fn ends_with_hash(_: &Key) -> bool {
    true
}

type OnFailure = Box<dyn FnMut(&CopyFailure) + Send>;

/// What is called with each failure.
#[derive(Default)]
pub(super) struct FailureCallback(pub(super) Option<OnFailure>);

impl fmt::Debug for FailureCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let callback = self.0.as_ref().map(|_| "..");
        f.debug_tuple("FailureCallback").field(&callback).finish()
    }
}

/// The report of a copy that is running.
#[derive(Debug)]
pub(super) struct Tally {
    copied: Mutex<Copied>,
    failures_in_a_row: FailuresInARow,
    on_failure: Mutex<FailureCallback>,
}

impl Tally {
    pub(super) fn new(on_failure: FailureCallback) -> Self {
        Tally {
            copied: Mutex::default(),
            failures_in_a_row: FailuresInARow::default(),
            on_failure: Mutex::new(on_failure),
        }
    }

    const MAX_LISTED: usize = 1000;

    pub(super) fn count(&self, change: impl FnOnce(&mut Copied)) {
        change(&mut lock(&self.copied));
    }

    /// Notes that a block could be read.
    pub(super) fn was_read(&self) {
        self.failures_in_a_row.end();
    }

    /// Notes that a block could not be read.
    ///
    /// # Errors
    ///
    /// Returns the error if it is not about this block alone, or too many blocks in a row could not be read.
    pub(super) fn could_not_read(&self, key: Option<Key>, error: Error) -> Result<()> {
        let error = self.failures_in_a_row.add(error)?;
        self.fail(key, error);
        Ok(())
    }

    /// Notes an error of a DAG.
    ///
    /// # Errors
    ///
    /// Returns the error if it is not about this block alone.
    #[cfg(feature = "dag")]
    pub(super) fn fail_if_bad_block(&self, key: Option<Key>, error: Error) -> Result<()> {
        let failure = CopyFailure { key, error };
        match failure.is_bad_block() {
            true => self.add(failure),
            false => return Err(failure.error),
        }
        Ok(())
    }

    pub(super) fn fail(&self, key: Option<Key>, error: Error) {
        self.add(CopyFailure { key, error });
    }

    fn add(&self, failure: CopyFailure) {
        if let Some(callback) = &mut lock(&self.on_failure).0 {
            callback(&failure);
        }
        self.count(|copied| {
            if failure.is_not_a_block() {
                copied.skipped += 1;
                return;
            }
            copied.failed_count += 1;
            copied.bad_blocks += u64::from(failure.is_bad_block());
            if copied.failed.len() < Tally::MAX_LISTED {
                copied.failed.push(failure);
            }
        });
    }

    pub(super) fn take(&self) -> Copied {
        std::mem::take(&mut lock(&self.copied))
    }
}
