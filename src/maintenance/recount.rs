//! [`recount`] and [`count_disk_usage`]: counts of the disk usage, with and without the store's lock.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use super::progress::{Progress, ProgressCallback};
use crate::blocking;
use crate::datastore::DiskUsage;
use crate::disk_usage::count_dir;
use crate::error::{Error, Result};
use crate::store::{Opener, Options, Purpose, Store};

/// Counts the disk usage of a store, saves it for the next session, and returns it.
///
/// The store is opened for writing, so pending commits are applied. A store counts its disk usage by itself
/// after a crash. This function is for other cases: files that another program has added or removed, and
/// figures of go-ds-flatfs that are approximate, or stale after it has crashed.
///
/// `watch` is called with the progress from time to time, and stops the count by returning
/// [`Break`](ControlFlow::Break). The number of bytes is not known before the end.
///
/// ```no_run
/// use std::ops::ControlFlow;
///
/// # async fn example() -> ds_flatfs::Result<()> {
/// let usage = ds_flatfs::maintenance::recount("blocks", |progress| {
///     println!("{} of {} shards", progress.shards, progress.total_shards);
///     ControlFlow::Continue(())
/// });
/// println!("{} bytes", usage.await?.bytes);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Returns [`Error::Stopped`] if `watch` stopped the count; the errors of [`open`](crate::Options::open) and
/// [`close`](crate::FlatFs::close); and [`Error::Io`] if an entry can't be listed or its size can't be read.
///
/// # Cancel safety
///
/// If the future is dropped, the count continues in the background, and `watch` is still called.
pub async fn recount(
    dir: impl AsRef<Path>,
    watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
) -> Result<DiskUsage> {
    let opening = Opener::of(dir.as_ref()).await?;
    blocking::run(move || run(opening, ProgressCallback::new(watch))).await
}

/// Counts the disk usage of a store and returns it, without the store's lock: nothing in the store changes, and the
/// figure is exact unless another program writes to the store during the count.
///
/// `watch` is called with the progress from time to time, and stops the count by returning
/// [`Break`](ControlFlow::Break). The number of bytes is not known before the end.
///
/// # Errors
///
/// Returns [`Error::Stopped`] if `watch` stopped the count; the errors of [`open`](crate::Options::open) for a store
/// that is opened [read-only](crate::Options::read_only); and [`Error::Io`] if an entry can't be listed or its size
/// can't be read.
///
/// # Cancel safety
///
/// If the future is dropped, the count continues in the background, and `watch` is still called.
pub async fn count_disk_usage(
    dir: impl AsRef<Path>,
    watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
) -> Result<DiskUsage> {
    let opener = Opener::of(dir.as_ref()).await?;
    let opener = Opener {
        options: Options::new().read_only(true),
        ..opener
    };
    blocking::run(move || {
        let store = opener.run(Purpose::Open)?;
        let counted = count(&store, ProgressCallback::new(watch));
        store.close().and(counted)
    })
    .await
}

pub(crate) fn run(opening: Opener, callback: ProgressCallback) -> Result<DiskUsage> {
    let store = opening.run(Purpose::Open)?;
    let counted = count(&store, callback);
    if let Ok(figure) = counted {
        store.saved_usage.set_counted(figure);
    }
    let closed = store.close();
    let figure = counted?;
    closed?;
    Ok(figure)
}

pub(super) fn count(store: &Store, callback: ProgressCallback) -> Result<DiskUsage> {
    let dirs = store
        .blocks
        .usage()
        .begin_count(store.blocks.disk(), store.blocks.layout())?;
    let reporter = CountProgress::new(callback, dirs.len() as u64);
    reporter.report();
    reporter.check()?;
    for dir in dirs {
        let stop = || reporter.one_more_block();
        count_dir(
            store.blocks.usage(),
            store.blocks.disk(),
            store.blocks.layout(),
            &dir,
            stop,
        )?;
        reporter.check()?;
        reporter.one_more_shard();
        reporter.check()?;
    }
    store.blocks.usage().finish_count();
    Ok(store.blocks.usage().figure())
}

/// Reports the progress of a count, which asks before each block whether to stop.
struct CountProgress {
    callback: RefCell<ProgressCallback>,
    progress: Cell<Progress>,
    last_report: Cell<Instant>,
    stopped: Cell<bool>,
}

impl CountProgress {
    fn new(callback: ProgressCallback, total_shards: u64) -> Self {
        CountProgress {
            callback: RefCell::new(callback),
            progress: Cell::new(Progress {
                total_shards,
                ..Progress::default()
            }),
            last_report: Cell::new(Instant::now()),
            stopped: Cell::new(false),
        }
    }

    /// Returns whether to stop.
    fn one_more_block(&self) -> bool {
        const REPORT_INTERVAL: Duration = Duration::from_millis(50);
        let mut progress = self.progress.get();
        progress.blocks += 1;
        self.progress.set(progress);
        if self.last_report.get().elapsed() > REPORT_INTERVAL {
            self.report();
        }
        self.stopped.get()
    }

    fn one_more_shard(&self) {
        let mut progress = self.progress.get();
        progress.shards += 1;
        self.progress.set(progress);
        self.report();
    }

    fn report(&self) {
        let reported = self.callback.borrow_mut().report(self.progress.get());
        self.stopped.set(self.stopped.get() || reported.is_err());
        self.last_report.set(Instant::now());
    }

    fn check(&self) -> Result<()> {
        if self.stopped.get() {
            return Err(Error::Stopped);
        }
        Ok(())
    }
}
