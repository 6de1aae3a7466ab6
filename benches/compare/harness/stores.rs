//! The stores that the workloads use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ds_flatfs::{Accuracy, Datastore, Durability, FlatFs, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::contender::{Access, Operation, Peer, time};
use super::environment::{Environment, KIB};
use crate::common::{Blocks, Floor};

/// Returns the default options of a workload: neither the store nor the floor makes anything durable.
pub(super) fn options() -> Options {
    FlatFs::options().durability(Durability::OnSync)
}

/// Creates a store below `dir`.
pub(super) fn create(runtime: &Runtime, dir: &Path, options: Options) -> Arc<dyn Datastore> {
    let store = runtime.block_on(options.create(root(dir)));
    Arc::new(store.expect("a new store"))
}

/// Returns the path at which [`create`] creates a store.
pub(super) fn root(dir: &Path) -> PathBuf {
    dir.join("flatfs")
}

/// Stores with the same blocks, all of them in the kernel's caches. The floor reads the files of our store.
pub(super) struct FilledStores {
    pub(super) blocks: Arc<Blocks>,
    /// The same number of blocks, none of which is in a store.
    pub(super) absent: Arc<Blocks>,
    pub(super) floor: Floor,
    pub(super) ours: Arc<dyn Datastore>,
    pub(super) peers: Vec<(&'static str, Arc<dyn Peer>)>,
    _dir: TempDir,
}

impl FilledStores {
    pub(super) fn new(env: &Environment, count: usize, size: usize) -> Self {
        let runtime = &env.multi;
        let dir = env.scratch();
        let blocks = Arc::new(Blocks::new(0..count, size));
        let ours = create(runtime, dir.path(), options());
        time(runtime, &ours, &blocks, Access::Batch);
        let peers: Vec<_> = env
            .peers
            .iter()
            .map(|kind| {
                let at = dir.path().join(kind.name);
                std::fs::create_dir(&at).expect("a directory");
                let peer = runtime.block_on((kind.create)(&at));
                time(runtime, &peer, &blocks, Access::Batch);
                (kind.name, peer)
            })
            .collect();
        let floor = Floor::over(&root(dir.path()));
        for name in &blocks.names {
            assert_eq!(floor.get(name).len(), size);
        }
        for (_, peer) in &peers {
            time(runtime, peer, &blocks, Access::Each(Operation::Get, 1));
        }
        FilledStores {
            absent: Arc::new(Blocks::new(count..2 * count, size)),
            blocks,
            floor,
            ours,
            peers,
            _dir: dir,
        }
    }
}

/// A closed store with many files that were not written through the store. Nearly all of them are empty,
/// so that a million of them fit in memory.
pub(super) struct PlantedStore {
    /// Blocks of 4 KiB that are distributed over the store.
    pub(super) probes: Arc<Blocks>,
    pub(super) root: PathBuf,
    _dir: TempDir,
}

/// The number of blocks of a [`PlantedStore`] that are not empty.
pub(super) const PROBES: usize = 10_000;

impl PlantedStore {
    pub(super) fn new(env: &Environment, count: usize) -> Self {
        let dir = env.scratch();
        let root = root(dir.path());
        let store = create(&env.multi, dir.path(), options());
        env.multi.block_on(store.close()).expect("a close");
        let floor = Floor::over(&root);
        let step = (count / PROBES).max(1);
        let probes = Arc::new(Blocks::new((0..count).step_by(step), 4 * KIB));
        let all = Blocks::new(0..count, 0);
        all.by_threads(2, |name, index| {
            if index % step == 0 {
                floor.plant(name, &probes.value(index / step));
            } else {
                floor.plant(name, &[]);
            }
        });
        let planted = PlantedStore {
            probes,
            root,
            _dir: dir,
        };
        planted.forget_usage();
        let store = planted.open(&env.multi);
        wait_for_count(&env.multi, &store);
        env.multi.block_on(store.close()).expect("a close");
        planted
    }

    pub(super) fn open(&self, runtime: &Runtime) -> Arc<dyn Datastore> {
        let store = runtime.block_on(options().open(&self.root));
        Arc::new(store.expect("a store"))
    }

    /// Removes the cached disk usage, so that the next open counts it.
    pub(super) fn forget_usage(&self) {
        let _ = std::fs::remove_file(self.root.join("diskUsage.cache"));
    }
}

/// Waits until the disk usage is counted.
pub(super) fn wait_for_count(runtime: &Runtime, store: &Arc<dyn Datastore>) {
    let usage = || runtime.block_on(store.disk_usage()).expect("a disk usage");
    while usage().accuracy != Accuracy::Exact {
        thread::sleep(Duration::from_micros(100));
    }
}
