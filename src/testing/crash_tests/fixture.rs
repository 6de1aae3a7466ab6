//! Stores on the fault disk, and what is done to them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;

use super::model::Model;
use crate::blocking;
use crate::datastore::{Accuracy, Datastore, DiskUsage};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::query::Query;
use crate::store::{Durability, ExistingBlock, FlatFs, Options, Purpose};
use crate::testing::fault_disk::{Abilities, FaultDisk, Loss, Op, Refusal};

pub(super) const STORE: &str = "/disk/store";
pub(super) const TEMP: &str = "/disk/store/.temp/";

/// The blocks of a store.
pub(super) type Blocks = BTreeMap<String, Bytes>;

/// How a store is opened, and on what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) durability: Durability,
    pub(super) existing_block: ExistingBlock,
    pub(super) abilities: Abilities,
}

pub(super) const SAFE: Setting = Setting {
    durability: Durability::EveryWrite,
    existing_block: ExistingBlock::Overwrite,
    abilities: Abilities::ALL,
};

/// As on a system other than Linux.
pub(super) const WITHOUT_SYNCFS: Abilities = Abilities {
    syncfs: false,
    ..Abilities::ALL
};

pub(super) const NO_ABILITIES: Abilities = Abilities {
    syncfs: false,
    links: false,
};

/// Every durability, on a disk that can do everything, without a flush of the whole file system, and
/// without hard links too.
pub(super) fn settings() -> impl Iterator<Item = Setting> {
    let modes = [
        Durability::EveryWrite,
        Durability::Commits,
        Durability::OnSync,
    ];
    modes.into_iter().flat_map(|durability| {
        [Abilities::ALL, WITHOUT_SYNCFS, NO_ABILITIES].map(|abilities| Setting {
            durability,
            abilities,
            ..SAFE
        })
    })
}

/// The strictest durability, with and without a flush of the whole file system.
pub(super) fn safe_with_and_without_syncfs() -> [Setting; 2] {
    [Abilities::ALL, WITHOUT_SYNCFS].map(|abilities| Setting { abilities, ..SAFE })
}

/// Every durability, where it is all the same how the disk flushes.
pub(super) fn modes() -> impl Iterator<Item = Setting> {
    settings().filter(|setting| setting.abilities == Abilities::ALL)
}

impl Setting {
    /// A disk without a store.
    pub(super) fn disk(self) -> FaultDisk {
        FaultDisk::with(self.abilities)
    }

    pub(super) async fn begin(self, disk: &FaultDisk, purpose: Purpose) -> Result<FlatFs> {
        let options = Options::new()
            .durability(self.durability)
            .max_open_files(64)
            .existing_block(self.existing_block);
        let disk = Arc::new(disk.clone());
        options.begin_on(disk, PathBuf::from(STORE), purpose).await
    }

    pub(super) async fn open(self, disk: &FaultDisk) -> FlatFs {
        self.begin(disk, Purpose::Open).await.unwrap()
    }

    /// A disk with a store that was closed with these blocks.
    pub(super) async fn closed_with(self, blocks: &[(&'static str, &'static str)]) -> FaultDisk {
        let disk = self.disk();
        let store = self.begin(&disk, Purpose::Create).await.unwrap();
        for &(key, value) in blocks {
            store.put(&Key::new(key), value.into()).await.unwrap();
        }
        store.close().await.unwrap();
        disk.reboot(Loss::None)
    }

    /// A store with these blocks, and its disk.
    pub(super) async fn store_with(
        self,
        blocks: &[(&'static str, &'static str)],
    ) -> (FaultDisk, FlatFs) {
        let disk = self.closed_with(blocks).await;
        let store = self.open(&disk).await;
        (disk, store)
    }

    /// Checks that the store that a crash has left keeps what the model promises.
    pub(super) async fn check(self, found: &FaultDisk, model: &Model, loss: Loss) {
        if let Err(wrong) = model.check(&self.recover(found).await, loss) {
            panic!("{self:?} {loss:?}: {wrong}");
        }
    }

    /// The blocks of the store that a crash has left. Checks that the open cleans up, and that the disk
    /// usage is right.
    pub(super) async fn recover(self, found: &FaultDisk) -> Blocks {
        let store = self.open(found).await;
        assert_eq!(below_temp(found), [""; 0], "{self:?}");
        let blocks = blocks(&store).await;
        let figure = counted(&store).await.bytes;
        assert_eq!(figure, usage(found), "{:?}", found.tree());
        store.close().await.unwrap();
        blocks
    }
}

/// Something that is done to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Put(&'static str, &'static str),
    Delete(&'static str),
    Commit(Vec<Change>),
    Sync,
    Close,
}

/// A part of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Put(&'static str, &'static str),
    Delete(&'static str),
}

impl Write {
    pub(super) async fn run(&self, store: &dyn Datastore) -> Result<()> {
        match self {
            Write::Put(key, value) => store.put(&Key::new(key), (*value).into()).await,
            Write::Delete(key) => store.delete(&Key::new(key)).await,
            Write::Sync => store.sync().await,
            Write::Close => store.close().await,
            Write::Commit(changes) => {
                let batch = store.batch().await?;
                for change in changes {
                    match *change {
                        Change::Put(key, value) => batch.put(&Key::new(key), value.into()).await?,
                        Change::Delete(key) => batch.delete(&Key::new(key)).await?,
                    }
                }
                batch.commit().await
            }
        }
    }
}

/// A tool for whole stores, and what must hold of a disk that it ran on.
pub(super) trait Tool {
    async fn run(&self, disk: &FaultDisk) -> Result<()>;

    /// Checks what an interruption has left: nothing is lost, and nobody takes it for what it isn't.
    async fn check_between(&self, found: &FaultDisk);

    /// Checks what the tool leaves when it is done.
    async fn check_done(&self, found: &FaultDisk);
}

/// Lets `work` crash at its first step, on another copy of the disk at its second one, and so on until it
/// comes to its end without. `check` gets the step, the disk and what the work answered.
pub(super) async fn crash_at_any_step<T>(
    base: &FaultDisk,
    work: impl AsyncFn(&FaultDisk) -> Result<T>,
    mut check: impl AsyncFnMut(u64, &FaultDisk, Result<T>),
) {
    for steps in 0.. {
        let disk = base.reboot(Loss::None);
        disk.crash_after(steps);
        let done = work(&disk).await;
        check(steps, &disk, done).await;
        if !disk.has_crashed() {
            return;
        }
    }
}

/// Checks that whatever a crash at any step of a tool leaves, the tool completes it.
pub(super) async fn survives_crashes(
    base: &FaultDisk,
    tool: &impl Tool,
    cuts: u64,
    tally: &mut Tally,
) {
    let run = async |disk: &FaultDisk| tool.run(disk).await;
    crash_at_any_step(base, run, async |steps, disk, done| {
        tally.points += 1;
        for loss in losses(steps, cuts) {
            let found = disk.reboot(loss);
            if done.is_ok() {
                tool.check_done(&found).await;
                continue;
            }
            tool.check_between(&found).await;
            tool.run(&found).await.unwrap();
            tool.check_done(&found.reboot(Loss::All)).await;
            tally.survived(loss);
        }
    })
    .await;
}

/// Checks that whatever a failure of any step of a tool leaves, with a power cut after it and without, the
/// tool completes it.
pub(super) async fn survives_failures(
    base: &FaultDisk,
    tool: &impl Tool,
    kind: ErrorKind,
    tally: &mut Tally,
) {
    for steps in 0.. {
        let disk = base.reboot(Loss::None);
        disk.fail_after(steps, kind);
        let before = disk.steps();
        let done = tool.run(&disk).await;
        if disk.steps() - before <= steps {
            return;
        }
        tally.points += 1;
        let cut = disk.reboot(Loss::Some(steps));
        if let Err(error) = &done {
            tool.check_between(&disk).await;
            tool.run(&disk).await.unwrap();
            tool.check_done(&disk).await;
            // What could not be flushed once may never be, and nobody knows.
            if !is_of_a_flush(error) {
                tool.check_done(&disk.reboot(Loss::All)).await;
            }
            tool.check_between(&cut).await;
            tool.run(&cut).await.unwrap();
        }
        tool.check_done(&cut).await;
        tally.survived(Loss::All);
    }
}

/// What a power cut and the kill of a process may leave, differently for each `seed`.
pub(super) fn losses(seed: u64, cuts: u64) -> impl Iterator<Item = Loss> {
    let some = (0..cuts).map(move |cut| Loss::Some(seed * 1000 + cut));
    [Loss::None, Loss::All].into_iter().chain(some)
}

/// Everything that a store has.
pub(super) async fn blocks(store: &dyn Datastore) -> Blocks {
    let entries: Vec<_> = store
        .query(Query::new())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let entries = entries.into_iter();
    let named = entries.map(|entry| (entry.key.name().to_owned(), entry.value.unwrap()));
    named.collect()
}

pub(super) fn below_temp(disk: &FaultDisk) -> Vec<String> {
    let tree = disk.tree().into_iter();
    tree.filter(|path| path.len() > TEMP.len() && path.starts_with(TEMP))
        .collect()
}

/// Lets others have a turn on the runtime and on its pool.
pub(super) async fn pool_turn() {
    blocking::run(|| Ok(())).await.unwrap();
}

/// Waits until nothing goes on in the background of a store that nobody else uses.
pub(super) async fn idle(store: &FlatFs) {
    while Arc::strong_count(&store.store) > 1 {
        pool_turn().await;
    }
}

/// Counts the operations that are tried, those that change nothing too, until the guard is dropped.
pub(super) fn counting(
    disk: &FaultDisk,
    matches: impl Fn(Op, &Path) -> bool + Send + 'static,
) -> (Refusal, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let guard = disk.refuse(move |op, path| {
        counter.fetch_add(usize::from(matches(op, path)), Ordering::SeqCst);
        None
    });
    (guard, count)
}

/// The disk usage as soon as it is exact.
pub(super) async fn counted(store: &FlatFs) -> DiskUsage {
    loop {
        let usage = store.disk_usage().await.unwrap();
        if usage.accuracy == Accuracy::Exact {
            return usage;
        }
        pool_turn().await;
    }
}

/// The disk usage by its definition.
pub(super) fn usage(disk: &FaultDisk) -> u64 {
    const DIR: u64 = 4096;
    let uncounted =
        ["/.lock", "/.unclean", "/diskUsage.cache"].map(|name| format!("{STORE}{name}"));
    let tree = disk.tree().into_iter();
    let counted = tree.filter(|path| {
        let in_temp = path.starts_with(TEMP) && path != TEMP;
        path.starts_with(STORE) && !in_temp && !uncounted.contains(path)
    });
    let sizes = counted.map(|path| match path.ends_with('/') {
        true => DIR,
        false => disk.read_live(&path).unwrap().len() as u64,
    });
    sizes.sum()
}

/// Whether a flush failed: what it was about may be lost though a later one succeeds.
pub(super) fn is_of_a_flush(error: &Error) -> bool {
    match error {
        Error::Io { action, .. } | Error::Full { action, .. } => *action == "sync",
        error => matches!(error, Error::FlushFailed { .. }),
    }
}

/// What a test has tried.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) points: u64,
    pub(super) kills: u64,
    pub(super) power_cuts: u64,
}

impl Tally {
    pub(super) fn survived(&mut self, loss: Loss) {
        match loss {
            Loss::None => self.kills += 1,
            Loss::All | Loss::Some(_) => self.power_cuts += 1,
        }
    }

    pub(super) fn add(&mut self, other: &Tally) {
        self.points += other.points;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
    }

    /// Prints it, past the test harness, which keeps what `println!` prints of tests that pass to
    /// itself. A check that fails panics, so there is nothing lost or torn to be told.
    pub(super) fn print(&self, what: &str) {
        writeln!(io::stderr(), "{what}: {self}").unwrap();
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            points,
            kills,
            power_cuts,
        } = self;
        write!(
            f,
            "{points} crash points tried, {kills} kills and {power_cuts} power cuts survived, torn 0, lost 0"
        )
    }
}
