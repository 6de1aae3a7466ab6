//! A count of the disk usage, with nobody else in the store.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use super::progress::{Progress, Watcher};
use crate::blocking;
use crate::datastore::DiskUsage;
use crate::disk_usage::count_dir;
use crate::error::{Error, Result};
use crate::store::{Opener, Purpose, Store};

/// Counts the disk usage of a store exactly, writes it down for the next session, and answers it.
///
/// It opens the store as a writer and so completes the commits that a crash cut short. A store counts
/// its disk usage by itself after a crash; this is for the rest: files that somebody else has added or
/// removed, and a figure that go-ds-flatfs wrote as approximate.
///
/// `watch` is called with the progress now and then, and stops the count by
/// [`Break`](ControlFlow::Break). The bytes aren't known before the end.
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
/// [`Error::Stopped`] if `watch` stopped it; as for [`open`](crate::Options::open) and
/// [`close`](crate::FlatFs::close); and [`Error::Io`] if something can't be listed or sized.
///
/// # Cancel safety
///
/// It goes on on its own, and `watch` is still called.
pub async fn recount(
    dir: impl AsRef<Path>,
    watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
) -> Result<DiskUsage> {
    let opening = Opener::of(dir.as_ref()).await?;
    blocking::run(move || run(opening, Watcher::new(watch))).await
}

pub(crate) fn run(opening: Opener, watcher: Watcher) -> Result<DiskUsage> {
    let store = opening.run(Purpose::Open)?;
    let counted = count(&store, watcher);
    if let Ok(figure) = counted {
        store.saved_usage.set_counted(figure);
    }
    let closed = store.close();
    let figure = counted?;
    closed?;
    Ok(figure)
}

fn count(store: &Store, watcher: Watcher) -> Result<DiskUsage> {
    let dirs = store
        .blocks
        .usage()
        .begin_count(store.blocks.disk(), store.blocks.layout())?;
    let telling = Telling::new(watcher, dirs.len() as u64);
    telling.tell();
    telling.check()?;
    for dir in dirs {
        let stop = || telling.one_more_block();
        count_dir(
            store.blocks.usage(),
            store.blocks.disk(),
            store.blocks.layout(),
            &dir,
            stop,
        )?;
        telling.check()?;
        telling.one_more_shard();
        telling.check()?;
    }
    store.blocks.usage().finish_count();
    Ok(store.blocks.usage().figure())
}

/// Tells the watcher how far the count is, which asks before each block whether to stop.
struct Telling {
    watcher: RefCell<Watcher>,
    progress: Cell<Progress>,
    told: Cell<Instant>,
    stopped: Cell<bool>,
}

impl Telling {
    fn new(watcher: Watcher, total_shards: u64) -> Self {
        Telling {
            watcher: RefCell::new(watcher),
            progress: Cell::new(Progress {
                total_shards,
                ..Progress::default()
            }),
            told: Cell::new(Instant::now()),
            stopped: Cell::new(false),
        }
    }

    /// Answers whether to stop.
    fn one_more_block(&self) -> bool {
        const OFTEN: Duration = Duration::from_millis(50);
        let mut progress = self.progress.get();
        progress.blocks += 1;
        self.progress.set(progress);
        if self.told.get().elapsed() > OFTEN {
            self.tell();
        }
        self.stopped.get()
    }

    fn one_more_shard(&self) {
        let mut progress = self.progress.get();
        progress.shards += 1;
        self.progress.set(progress);
        self.tell();
    }

    fn tell(&self) {
        let told = self.watcher.borrow_mut().tell(self.progress.get());
        self.stopped.set(self.stopped.get() || told.is_err());
        self.told.set(Instant::now());
    }

    fn check(&self) -> Result<()> {
        if self.stopped.get() {
            return Err(Error::Stopped);
        }
        Ok(())
    }
}
