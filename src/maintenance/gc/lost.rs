//! [`Lost`]: what a garbage collection does about blocks that are missing or damaged.

use super::options::GcOptions;
use crate::error::{Error, Result};

/// The maximum number of errors that are listed.
const MAX_LISTED: usize = 1000;

/// The reachable blocks that are missing or damaged.
pub(super) struct Lost {
    is_allowed: bool,
    /// Only the first of them.
    pub(super) errors: Vec<Error>,
    pub(super) count: u64,
}

impl Lost {
    pub(super) fn new(options: &GcOptions) -> Self {
        Lost {
            is_allowed: options.allow_missing,
            errors: Vec::new(),
            count: 0,
        }
    }

    /// # Errors
    ///
    /// Returns the error if a collection can't go on after it.
    pub(super) fn add(&mut self, error: Error) -> Result<()> {
        if !self.is_allowed || !is_lost_block(&error) {
            return Err(error);
        }
        self.count += 1;
        if self.errors.len() < MAX_LISTED {
            self.errors.push(error);
        }
        Ok(())
    }
}

/// Returns whether an error says that one block is lost, so that a collection can go on without it. A block that
/// can't be read for another reason, such as its permissions or a symbolic link in its path, may be there with all that it
/// links to, and so is one that has its hash but can't be decoded.
fn is_lost_block(error: &Error) -> bool {
    match error {
        Error::MissingBlock { .. } | Error::Corrupt { .. } => true,
        Error::Io { source, .. } => is_media_error(source),
        _ => false,
    }
}

/// Returns whether an error is what Unix systems report for a sector that can't be read.
fn is_media_error(error: &std::io::Error) -> bool {
    const EIO: i32 = 5;
    cfg!(unix) && error.raw_os_error() == Some(EIO)
}
