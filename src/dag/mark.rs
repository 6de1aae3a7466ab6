//! [`Mark`]: finds every block that can be reached from some roots.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::Poll;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, ReadyChunks, StreamExt};

use super::links::UnknownCodec;
use super::pace::Pace;
use super::portion::{Done, Portion};
use super::reachable::Reachable;
use super::root::Root;
use super::waiting::Waiting;
use crate::blocking;
use crate::datastore::Datastore;
use crate::error::{Error, Result};

/// The maximum number of roots with which a portion begins.
const MAX_ROOTS: usize = 32;

/// The number of roots without links whose lookups are remembered. The listing that looks for the other blocks without
/// links is not needed if there are only such roots.
const MAX_FOUND: usize = 4096;

/// The roots of a mark, which are taken while it runs.
pub(crate) type Roots = BoxStream<'static, Result<Root>>;

/// Finds every block that can be reached from some roots. Each block that may have links is read once, checked
/// against its CID, and decoded; a block of a codec without links is not read.
///
/// Blocks are visited depth first, so that few blocks wait to be read: the links of those on the path to the
/// current one, and not a whole level of the DAG.
pub(crate) struct Mark<'a> {
    store: &'a dyn Datastore,
    unknown: UnknownCodec,
    reachable: Arc<Reachable>,
    waiting: Waiting,
    roots: Option<ReadyChunks<Roots>>,
    pace: Pace,
}

/// What a mark has found.
#[derive(Debug)]
pub(crate) struct Marked {
    pub(crate) reachable: Arc<Reachable>,
    /// The number of blocks that were read and could not be checked, because their hash function is unknown.
    pub(crate) unchecked: u64,
    /// The [numbers](Reachable::leaf_number) of the blocks whose errors were passed on.
    pub(crate) lost: HashSet<u64>,
    /// How many reachable blocks there are, without those with links that are lost. No listing has confirmed the blocks
    /// without links.
    pub(crate) found: u64,
}

impl<'a> Mark<'a> {
    pub(crate) fn new(store: &'a dyn Datastore, roots: Roots, unknown: UnknownCodec) -> Self {
        Mark {
            store,
            unknown,
            reachable: Arc::new(Reachable::new()),
            waiting: Waiting::default(),
            roots: Some(roots.ready_chunks(MAX_ROOTS)),
            pace: Pace::new(),
        }
    }

    /// Runs the mark. Passes the error of each block that is missing, damaged or can't be read to `skip`, which
    /// decides whether to go on without what the block links to. Calls `progress` with the
    /// number of blocks that were found, between reads.
    ///
    /// # Errors
    ///
    /// Returns the errors of `skip`, of `progress` and of the roots, and [`Error::UnknownCodec`].
    pub(crate) async fn run(
        mut self,
        mut skip: impl FnMut(Error) -> Result<()>,
        mut progress: impl FnMut(u64) -> BoxFuture<'static, Result<()>>,
    ) -> Result<Marked> {
        let mut running = FuturesUnordered::new();
        let (mut unchecked, mut lost, mut lost_inner) = (0, HashSet::new(), 0);
        let mut found = Vec::new();
        loop {
            while running.len() < self.pace.max_jobs()
                && let Some(portion) = self.next_portion(running.len()).await?
            {
                running.push(portion.run(self.store));
            }
            let Some(done) = running.next().await else {
                let reachable = Arc::clone(&self.reachable);
                let finish = move || {
                    reachable.finish(&found);
                    Ok(())
                };
                blocking::run(finish).await?;
                return Ok(Marked {
                    found: self.reachable.len().saturating_sub(lost_inner),
                    reachable: self.reachable,
                    unchecked,
                    lost,
                });
            };
            let done: Done = done?;
            self.pace.note(done.time.as_ref());
            self.waiting.append(done.waiting);
            unchecked += done.unchecked;
            lost_inner += done.lost_inner;
            found.extend(done.found);
            found.truncate(MAX_FOUND);
            for (number, error) in done.errors {
                // A root without links that is given twice is looked up twice.
                if lost.insert(number) || !matches!(error, Error::MissingBlock { .. }) {
                    skip(error)?;
                }
            }
            progress(self.reachable.len()).await?;
        }
    }

    /// Returns the next portion, if there is one, for one more job beside the `running` ones. Waits for roots if there
    /// is none.
    async fn next_portion(&mut self, running: usize) -> Result<Option<Portion>> {
        // A share for each job, so that none of them is without work.
        let share = self.waiting.len().div_ceil(self.pace.max_jobs());
        let wanted = self.waiting.take(share.min(self.pace.max_blocks()))?;
        let roots = match wanted.is_empty() {
            true => self.next_roots(running == 0).await?,
            false => Some(Vec::new()),
        };
        let is_awaited = self.waiting.len() == 0 && running + 1 < self.pace.max_jobs();
        let new = |roots| Portion::new(&self.reachable, self.unknown, (roots, wanted), is_awaited);
        Ok(roots.map(new))
    }

    /// Returns the next roots that are ready. Waits for them if `wait`.
    async fn next_roots(&mut self, wait: bool) -> Result<Option<Vec<Root>>> {
        let Some(roots) = &mut self.roots else {
            return Ok(None);
        };
        let taken = match futures::poll!(roots.next()) {
            Poll::Ready(taken) => taken,
            Poll::Pending if wait => roots.next().await,
            Poll::Pending => return Ok(None),
        };
        if taken.is_none() {
            self.roots = None;
        }
        taken.map(|roots| roots.into_iter().collect()).transpose()
    }
}
