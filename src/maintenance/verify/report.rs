//! [`Findings`]: the stream of findings, and at its end the [`Summary`].

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::stream::{BoxStream, Stream, StreamExt};
use serde::Serialize;

use super::block_checker::CheckTally;
use super::finding::Finding;
use crate::error::Result;

/// The stream of findings. Blocks are checked while it is polled.
///
/// An error says that the rest could not be checked. Dropping the stream stops the checks, some of which may
/// continue in the background for a moment.
#[must_use = "nothing is checked unless the stream is polled"]
pub struct Findings {
    inner: BoxStream<'static, Result<Finding>>,
    tally: Arc<CheckTally>,
    stopped: Arc<AtomicBool>,
    found: BTreeMap<&'static str, u64>,
    wrong: u64,
}

/// The result of a verification or a repair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// The number of blocks that were checked.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of findings that are wrong, and were not repaired.
    pub wrong: u64,
    /// The number of blocks that could not be compared with their keys. Nothing is known about them, so a store
    /// is not known to be healthy unless this is 0.
    pub unchecked: u64,
    /// The number of unchecked blocks for each hash function, which is named by its multicodec code, such as
    /// `0x22`, or `no-hash` for keys that are not hashes. A known function is listed too if the length of the
    /// digest can't be checked.
    pub unchecked_functions: BTreeMap<String, u64>,
    /// The number of blocks of a datastore that [were listed](super::VerifyBlocks), and did not exist when they were to be
    /// read: another program has deleted them, or the listing is wrong. 0 for a store on disk.
    pub vanished: u64,
    /// The number of findings of each [name](super::Problem::name).
    pub findings: BTreeMap<&'static str, u64>,
}

impl Findings {
    pub(super) fn new(
        inner: impl Stream<Item = Result<Finding>> + Send + 'static,
        tally: Arc<CheckTally>,
        stopped: Arc<AtomicBool>,
    ) -> Self {
        Findings {
            inner: inner.boxed(),
            tally,
            stopped,
            found: BTreeMap::new(),
            wrong: 0,
        }
    }

    /// Returns the result so far, for the findings that the stream has returned.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let unchecked = self.tally.unchecked().into_iter();
        let unchecked_functions: BTreeMap<String, u64> = unchecked
            .map(|(function, count)| (name_of(function), count))
            .collect();
        Summary {
            blocks: self.tally.blocks.load(Ordering::Relaxed),
            bytes: self.tally.bytes.load(Ordering::Relaxed),
            wrong: self.wrong,
            unchecked: unchecked_functions.values().sum(),
            unchecked_functions,
            vanished: self.tally.vanished.load(Ordering::Relaxed),
            findings: self.found.clone(),
        }
    }
}

/// Returns the name of a hash function in the summary.
fn name_of(function: Option<u64>) -> String {
    function.map_or_else(|| "no-hash".to_owned(), |code| format!("0x{code:x}"))
}

impl Stream for Findings {
    type Item = Result<Finding>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.inner.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(finding))) = &polled {
            *self.found.entry(finding.problem.name()).or_default() += 1;
            self.wrong += u64::from(finding.is_wrong());
        }
        polled
    }
}

impl Drop for Findings {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Findings")
            .field("summary", &self.summary())
            .finish_non_exhaustive()
    }
}
