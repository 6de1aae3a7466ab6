//! What is in quarantine and not in the store.

use std::io;
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};

use super::each;
use super::finding::{Finding, Problem};
use crate::blocking;
use crate::disk::{Disk, Listing};
use crate::error::{Error, Result};
use crate::format::{BlockKey, Layout, QUARANTINE};

/// So many files are looked at in one job.
const LISTED: usize = 1024;

/// The blocks that are in quarantine and not in the store; whether one is can also be unreadable.
pub(super) fn lost(
    disk: Arc<dyn Disk>,
    layout: Layout,
) -> impl Stream<Item = Result<Finding>> + Send {
    let search = Arc::new(Search { disk, layout });
    stream::unfold(Some((search, None)), |rest| async move {
        let (search, listing) = rest?;
        let job = Arc::clone(&search);
        Some(match blocking::run(move || Ok(job.some(listing))).await {
            Ok((found, listing)) => {
                let rest = listing.map(|listing| (search, Some(listing)));
                (each(Ok(found)), rest)
            }
            Err(error) => (each(Err(error)), None),
        })
    })
    .flatten()
}

/// Looks for blocks that are lost. It keeps a listing open, and no names.
struct Search {
    disk: Arc<dyn Disk>,
    layout: Layout,
}

impl Search {
    /// Some of them, and the rest of the quarantine if there is more.
    fn some(&self, listing: Option<Listing>) -> (Vec<Finding>, Option<Listing>) {
        let dir = self.layout.at_root(QUARANTINE);
        let unlisted = |error| Finding::unreadable(&dir, None, Error::io("list", &dir, error));
        let mut listing = match listing {
            Some(listing) => listing,
            None => match self.disk.list(&dir) {
                Ok(listing) => listing,
                // What stands there instead of a directory is found elsewhere.
                Err(error) if is_absent(&error) => return (Vec::new(), None),
                Err(error) => return (vec![unlisted(error)], None),
            },
        };
        let mut found = Vec::new();
        for _ in 0..LISTED {
            let Some(listed) = listing.next() else {
                return (found, None);
            };
            match listed {
                Ok(listed) => {
                    let block = BlockKey::of_file(&listed.name);
                    found.extend(block.and_then(|block| self.look_for(&block)));
                }
                Err(error) => {
                    found.push(unlisted(error));
                    return (found, None);
                }
            }
        }
        (found, Some(listing))
    }

    fn look_for(&self, block: &BlockKey) -> Option<Finding> {
        let (path, key) = (self.layout.block(block), Some(block.key()));
        match self.disk.stat(&path) {
            Ok(_) => None,
            Err(error) if is_absent(&error) => Some(Finding::new(path, key, Problem::Lost)),
            Err(error) => {
                let error = Error::io("look at", &path, error);
                Some(Finding::unreadable(path, key, error))
            }
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}
