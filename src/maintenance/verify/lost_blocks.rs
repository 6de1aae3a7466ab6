//! [`LostBlocks`]: the blocks that are in quarantine and not in the store.

use std::io;
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};

use super::each;
use super::finding::{Finding, Problem};
use crate::blocking;
use crate::disk::{Disk, Listing};
use crate::error::{Error, Result};
use crate::format::{BlockKey, Layout, QUARANTINE};

/// The maximum number of files that one job examines.
const MAX_FILES_PER_JOB: usize = 1024;

/// Finds the blocks that are in quarantine and not in the store. An error while looking one up is also a
/// finding.
pub(super) fn find(
    disk: Arc<dyn Disk>,
    layout: Layout,
) -> impl Stream<Item = Result<Finding>> + Send {
    let lost = Arc::new(LostBlocks { disk, layout });
    stream::unfold(Some((lost, None)), |rest| async move {
        let (lost, listing) = rest?;
        let job = Arc::clone(&lost);
        Some(match blocking::run(move || Ok(job.some(listing))).await {
            Ok((found, listing)) => {
                let rest = listing.map(|listing| (lost, Some(listing)));
                (each(Ok(found)), rest)
            }
            Err(error) => (each(Err(error)), None),
        })
    })
    .flatten()
}

/// The search for lost blocks. Between two jobs it keeps a listing open, and no names in memory.
struct LostBlocks {
    disk: Arc<dyn Disk>,
    layout: Layout,
}

impl LostBlocks {
    /// Runs one job. Returns what it found, and the rest of the quarantine if there is more.
    fn some(&self, listing: Option<Listing>) -> (Vec<Finding>, Option<Listing>) {
        let dir = self.layout.at_root(QUARANTINE);
        let unlisted = |error| Finding::unreadable(&dir, None, Error::io("list", &dir, error));
        let mut listing = match listing {
            Some(listing) => listing,
            None => match self.disk.list(&dir) {
                Ok(listing) => listing,
                // If there is something other than a directory, the walk over the root finds it.
                Err(error) if is_absent(&error) => return (Vec::new(), None),
                Err(error) => return (vec![unlisted(error)], None),
            },
        };
        let mut found = Vec::new();
        for _ in 0..MAX_FILES_PER_JOB {
            let Some(listed) = listing.next() else {
                return (found, None);
            };
            match listed {
                Ok(listed) => {
                    let block = BlockKey::of_file(&listed.name);
                    found.extend(block.and_then(|block| self.look_up(&block)));
                }
                Err(error) => {
                    found.push(unlisted(error));
                    return (found, None);
                }
            }
        }
        (found, Some(listing))
    }

    /// Returns a finding if the block is not in the store.
    fn look_up(&self, block: &BlockKey) -> Option<Finding> {
        let (path, key) = (self.layout.block(block), Some(block.key()));
        match self.disk.stat(&path) {
            Ok(_) => None,
            Err(error) if is_absent(&error) => Some(Finding::new(path, key, Problem::Lost)),
            Err(error) => {
                let error = Error::io("stat", &path, error);
                Some(Finding::unreadable(path, key, error))
            }
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}
