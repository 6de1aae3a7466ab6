//! The steps of a garbage collection.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::{FutureExt, ready};
use futures::stream::StreamExt;

use super::garbage::{Garbage, written_before};
use super::lost::Lost;
use super::oldest::{Ages, Oldest, Wanted};
use super::options::{GcOptions, Room};
use super::sweep::{Action, GarbageCallback, Needed, Sweep, Tally};
use super::{Collected, Gc, any};
use crate::blocking;
use crate::dag::{Mark, Marked, Roots, lost_leaves};
use crate::datastore::{Accuracy, Datastore};
use crate::disk::{Disk, FreeSpace};
use crate::error::{Error, Result};
use crate::format::TEMP;
use crate::maintenance::parallel_walk::visit_blocks_once;
use crate::maintenance::progress::{Phase, ProgressCallback};
use crate::maintenance::recount::count;
use crate::maintenance::tool_state::{StopOnDrop, ToolState};
use crate::store::{FlatFs, Opener, Options, Purpose, WriteWatch};
use crate::walk::shard_dirs;

impl Gc {
    /// Opens the store, runs the collection, and closes the store.
    pub(crate) async fn run_on(mut self, disk: Arc<dyn Disk>, root: PathBuf) -> Result<Collected> {
        let opener = Opener {
            disk,
            root,
            options: Options::new().read_only(self.options.dry_run),
        };
        // Without the tasks of an open store: a count in the background would disturb the one below.
        let open = move || {
            let before = own_dirs(&*opener.disk, &opener.root)?;
            Ok((opener.run(Purpose::Open)?, before))
        };
        let (store, before) = blocking::run(open).await?;
        let flatfs = FlatFs {
            store: Arc::new(store),
        };
        let collected = async {
            if let Some(Room::Size(target)) = self.options.room
                && flatfs.disk_usage().await?.accuracy != Accuracy::Exact
            {
                let store = Arc::clone(&flatfs.store);
                let count = move || {
                    count(&store, ProgressCallback::none())?;
                    let blocks = &store.blocks;
                    own_dirs(blocks.disk(), blocks.layout().root())
                };
                let after = blocking::run(count).await?;
                // The open has created `.temp`, which a dry run does not: both are to choose the same blocks.
                let created = after.saturating_sub(before);
                self.options.room = Some(Room::Size(target.saturating_add(created)));
            }
            self.collect(&flatfs).await
        };
        let collected = collected.await;
        let closed = flatfs.close().await;
        let collected = collected?;
        closed.map(|()| collected)
    }

    /// Runs the collection in an open store.
    pub(super) async fn collect(self, flatfs: &FlatFs) -> Result<Collected> {
        let (run, roots) = Run::of(self);
        let _stop = StopOnDrop(Arc::clone(&run.state));
        run.collect(flatfs, roots).await
    }

    /// Runs the collection in any datastore.
    pub(super) async fn collect_from(self, store: &dyn Datastore) -> Result<Collected> {
        let (run, roots) = Run::of(self);
        let _stop = StopOnDrop(Arc::clone(&run.state));
        run.collect_from(store, roots).await
    }
}

/// A collection that runs. Unlike a [`Gc`] it can be shared between threads.
struct Run {
    options: GcOptions,
    on_garbage: Option<Arc<GarbageCallback>>,
    state: Arc<ToolState>,
}

impl Run {
    fn of(gc: Gc) -> (Self, Roots) {
        let run = Run {
            options: gc.options,
            on_garbage: gc.on_garbage,
            state: ToolState::new(gc.callback),
        };
        (run, gc.roots)
    }

    async fn collect(&self, flatfs: &FlatFs, roots: Roots) -> Result<Collected> {
        // From here on every write is noted. It is the first step: the caller may add a block and use it
        // without another root as soon as the call has begun.
        let watch = match self.options.dry_run {
            true => None,
            false => Some(begin(flatfs).await?),
        };
        // An option that does not work here is an error before the mark, which may take hours.
        if let Some(room) = self.options.room {
            needed_for(room, flatfs).await?;
        }
        let mut lost = Lost::new(&self.options);
        let marked = self.mark(flatfs, roots, &mut lost).await?;
        let too_new = self.options.keep_newer.map(written_before);
        let garbage = Garbage {
            flatfs: flatfs.clone(),
            reachable: Arc::clone(&marked.reachable),
            foreign: self.options.foreign,
            too_new,
            needs_age: self.options.room.is_some(),
        };
        if marked.reachable.count_unseen() > 0 {
            self.enter(Phase::Listing).await?;
            let listing = self.sweep_with(Action::See, garbage.clone(), None, Needed::NOTHING);
            visit(&listing).await?;
            self.find_lost_leaves(flatfs, &marked, &mut lost).await?;
        }
        let (oldest, needed) = match self.options.room {
            Some(room) => self.choose(room, &garbage).await?,
            None => (None, Needed::NOTHING),
        };
        let action = watch.map_or(Action::DryRun, Action::Remove);
        let sweep = self.sweep_with(action, garbage, oldest, needed);
        self.enter(Phase::Blocks).await?;
        // Each pass finds all of them, so only those of the last pass count.
        self.state.take_skipped();
        visit(&sweep).await?;
        let skipped = self.state.take_skipped();
        let tally = &sweep.tally;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        if !self.options.dry_run {
            // Even if nothing was removed: a collection that was killed may have removed the rest and not
            // flushed it.
            self.enter(Phase::Closing).await?;
            flush(flatfs).await?;
        }
        Ok(Collected {
            kept: count(&tally.kept),
            removed: count(&tally.removed),
            removed_bytes: count(&tally.removed_bytes),
            left: count(&tally.left),
            target_missed: sweep.missing_bytes(),
            foreign: count(&tally.foreign),
            unchecked: marked.unchecked,
            missing: lost.errors,
            missing_count: lost.count,
            skipped: skipped.first,
            skipped_count: skipped.count,
            left_over: skipped.left_over,
            left_over_count: skipped.left_over_count,
        })
    }

    async fn collect_from(&self, store: &dyn Datastore, roots: Roots) -> Result<Collected> {
        self.options.check_without_times()?;
        let mut lost = Lost::new(&self.options);
        let marked = self.mark(store, roots, &mut lost).await?;
        if marked.reachable.count_unseen() > 0 {
            self.enter(Phase::Listing).await?;
            any::see(store, &marked.reachable, &self.state).await?;
            self.find_lost_leaves(store, &marked, &mut lost).await?;
        }
        self.enter(Phase::Blocks).await?;
        let on_garbage = self.on_garbage.as_ref();
        let reachable = &marked.reachable;
        let collected =
            any::sweep(store, reachable, &self.options, on_garbage, &self.state).await?;
        if !self.options.dry_run {
            store.sync().await?;
        }
        Ok(Collected {
            unchecked: marked.unchecked,
            missing: lost.errors,
            missing_count: lost.count,
            ..collected
        })
    }

    /// Follows the links from the roots.
    async fn mark(&self, store: &dyn Datastore, roots: Roots, lost: &mut Lost) -> Result<Marked> {
        const REPORT_INTERVAL: Duration = Duration::from_millis(100);
        self.enter(Phase::Marking).await?;
        let mut roots = Box::pin(roots.peekable());
        if !self.options.remove_everything && roots.as_mut().peek().await.is_none() {
            return Err(Error::InvalidOption {
                option: "roots",
                reason: "there are none, so every block would be removed",
            });
        }
        let mut last_report = Instant::now();
        let state = Arc::clone(&self.state);
        let progress = move |blocks| {
            if last_report.elapsed() < REPORT_INTERVAL {
                return ready(Ok(())).boxed();
            }
            last_report = Instant::now();
            let state = Arc::clone(&state);
            let report = move || state.advance(|progress| progress.blocks = blocks);
            blocking::run(report).boxed()
        };
        let mark = Mark::new(store, roots, self.options.unknown_codec);
        let marked = mark.run(|error| lost.add(error), progress).await?;
        self.check_found(marked.found)?;
        Ok(marked)
    }

    /// Checks that there are reachable blocks: otherwise the roots may be the pins of another repo.
    fn check_found(&self, found: u64) -> Result<()> {
        if self.options.remove_everything || found > 0 {
            return Ok(());
        }
        Err(Error::InvalidOption {
            option: "roots",
            reason: "none of them leads to a block of the datastore, so every block would be removed",
        })
    }

    /// Finds the blocks without links that are reachable and that the listing did not have. Every block with links
    /// is read for that.
    async fn find_lost_leaves(
        &self,
        store: &dyn Datastore,
        marked: &Marked,
        lost: &mut Lost,
    ) -> Result<()> {
        const REPORT_INTERVAL: u64 = 1024;
        let unseen = marked.reachable.count_unseen();
        if unseen == 0 {
            return Ok(());
        }
        self.enter(Phase::Listing).await?;
        let unknown = self.options.unknown_codec;
        let mut found = pin!(lost_leaves(store, &marked.reachable, unknown, &marked.lost));
        let (mut blocks, mut found_leaves) = (0_u64, 0);
        while let Some(links) = found.next().await {
            let mut errors = links.lost.into_iter();
            errors.try_for_each(|error| lost.add(error))?;
            found_leaves += links.found;
            blocks += 1;
            if blocks.is_multiple_of(REPORT_INTERVAL) {
                let state = Arc::clone(&self.state);
                let report = move || state.advance(|progress| progress.blocks = blocks);
                blocking::run(report).await?;
            }
        }
        // Blocks that the mark has reported as lost may be among those that no listing had, so the errors of these
        // are not counted.
        self.check_found(marked.found.saturating_sub(unseen) + found_leaves)
    }

    /// Finds the oldest garbage that frees enough space. Also returns how much that is.
    async fn choose(&self, room: Room, garbage: &Garbage) -> Result<(Option<Oldest>, Needed)> {
        let needed = needed_for(room, &garbage.flatfs).await?;
        let mut ages = Ages::new(Wanted {
            bytes: needed.bytes,
            max_blocks: self.options.limit.unwrap_or(u64::MAX),
        });
        loop {
            self.enter(Phase::Ages).await?;
            let action = Action::Survey(Mutex::new(ages));
            let survey = self.sweep_with(action, garbage.clone(), None, needed);
            visit(&survey).await?;
            let survey = Arc::into_inner(survey);
            let Some(Action::Survey(found)) = survey.map(|survey| survey.action) else {
                return Err(Error::Runtime);
            };
            let found = found
                .into_inner()
                .unwrap_or_else(|found| found.into_inner());
            match found.finish() {
                Ok(oldest) => return Ok((Some(oldest), needed)),
                Err(finer) => ages = finer,
            }
        }
    }

    /// Reports that a phase begins, on a thread where the callback may block.
    async fn enter(&self, phase: Phase) -> Result<()> {
        let state = Arc::clone(&self.state);
        let entered = blocking::run(move || state.enter(phase)).await;
        // Everything is removed: there is nothing left to stop.
        if phase == Phase::Closing {
            return Ok(());
        }
        entered
    }

    fn sweep_with(
        &self,
        action: Action,
        garbage: Garbage,
        oldest: Option<Oldest>,
        needed: Needed,
    ) -> Arc<Sweep> {
        Arc::new(Sweep {
            garbage,
            action,
            state: Arc::clone(&self.state),
            oldest: oldest.map(Mutex::new),
            needed,
            limit: self.options.limit.map(AtomicU64::new),
            on_garbage: self.on_garbage.clone(),
            tally: Tally::default(),
        })
    }
}

/// Returns the sizes of the directories that an open for writing may enlarge or create.
fn own_dirs(disk: &dyn Disk, root: &Path) -> Result<u64> {
    let sizes = [disk.find(root)?, disk.find(&root.join(TEMP))?];
    Ok(sizes.into_iter().flatten().map(|stat| stat.len).sum())
}

/// Applies pending commits, and begins to note every write.
async fn begin(flatfs: &FlatFs) -> Result<WriteWatch> {
    let watch = flatfs.store.key_locks.watch();
    let guard = flatfs.store.begin_write().await?;
    blocking::run(move || guard.commit_log.roll_forward()).await?;
    Ok(watch)
}

/// Passes all blocks to a sweep. It holds the permit for its files no longer: the next step waits for another one, and
/// collections that did so with a permit could wait for each other.
async fn visit(sweep: &Arc<Sweep>) -> Result<()> {
    let _permit = sweep.garbage.store().open_files.permit().await?;
    visit_blocks_once(sweep).await
}

/// Makes the removals durable.
async fn flush(flatfs: &FlatFs) -> Result<()> {
    let guard = flatfs.store.begin_write().await?;
    blocking::run(move || {
        let blocks = &guard.blocks;
        if blocks.disk().syncs_all_at_once() {
            return blocks.flusher().flush_all();
        }
        let dirs = shard_dirs(blocks.disk(), blocks.layout().root())?;
        let dirs = dirs.collect::<Result<Vec<_>>>()?;
        blocks.shards().flush(dirs)
    })
    .await
}

/// Returns how many bytes have to be removed.
async fn needed_for(room: Room, flatfs: &FlatFs) -> Result<Needed> {
    match room {
        Room::Size(target) => {
            let usage = flatfs.disk_usage().await?;
            if usage.accuracy == Accuracy::Unknown {
                return Err(Error::InvalidOption {
                    option: "target_size",
                    reason: "the disk usage of the store is not known yet",
                });
            }
            Ok(Needed {
                bytes: usage.bytes.saturating_sub(target),
                unit: 1,
            })
        }
        Room::Free(target) => {
            let guard = flatfs.store.begin_read().await?;
            let FreeSpace { bytes, unit } = blocking::run(move || {
                let root = guard.blocks.layout().root();
                let space = guard.blocks.disk().free_space(root);
                space.map_err(|error| Error::io("find the free space of", root, error))
            })
            .await?;
            Ok(Needed {
                bytes: target.saturating_sub(bytes),
                unit,
            })
        }
    }
}
