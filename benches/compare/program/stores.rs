//! Stores to work on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ds_flatfs::{Accuracy, Datastore, Durability, FlatFs, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::bench::{Bench, KIB};
use super::subject::{Job, Peer, Verb, time};
use crate::common::{Blocks, Floor};

/// What a store is opened with where nothing else is said: nothing is made durable on either side.
pub(super) fn options() -> Options {
    FlatFs::options().durability(Durability::OnSync)
}

/// A new store below `dir`.
pub(super) fn create(runtime: &Runtime, dir: &Path, options: Options) -> Arc<dyn Datastore> {
    let store = runtime.block_on(options.create(root(dir)));
    Arc::new(store.expect("a new store"))
}

/// Where [`create`] makes a store.
pub(super) fn root(dir: &Path) -> PathBuf {
    dir.join("flatfs")
}

/// Stores that hold the same blocks, all of them in the kernel's caches. The floor reads our files.
pub(super) struct Filled {
    pub(super) blocks: Arc<Blocks>,
    /// As many, and none of them is there.
    pub(super) absent: Arc<Blocks>,
    pub(super) floor: Floor,
    pub(super) ours: Arc<dyn Datastore>,
    pub(super) peers: Vec<(&'static str, Arc<dyn Peer>)>,
    _dir: TempDir,
}

impl Filled {
    pub(super) fn new(bench: &Bench, count: usize, size: usize) -> Self {
        let runtime = &bench.multi;
        let dir = bench.scratch();
        let blocks = Arc::new(Blocks::new(0..count, size));
        let ours = create(runtime, dir.path(), options());
        time(runtime, &ours, &blocks, Job::Batch);
        let peers: Vec<_> = bench
            .peers
            .iter()
            .map(|kind| {
                let at = dir.path().join(kind.name);
                std::fs::create_dir(&at).expect("a directory");
                let peer = runtime.block_on((kind.create)(&at));
                time(runtime, &peer, &blocks, Job::Batch);
                (kind.name, peer)
            })
            .collect();
        let floor = Floor::over(&root(dir.path()));
        for name in &blocks.names {
            assert_eq!(floor.get(name).len(), size);
        }
        for (_, peer) in &peers {
            time(runtime, peer, &blocks, Job::Each(Verb::Get, 1));
        }
        Filled {
            absent: Arc::new(Blocks::new(count..2 * count, size)),
            blocks,
            floor,
            ours,
            peers,
            _dir: dir,
        }
    }
}

/// A closed store of many files that were made without going through it. Nearly all of them are
/// empty, so that a million of them fit in memory.
pub(super) struct Planted {
    /// Blocks of 4 KiB, spread over the store.
    pub(super) probes: Arc<Blocks>,
    pub(super) root: PathBuf,
    _dir: TempDir,
}

/// How many blocks of a [planted](Planted) store are not empty.
pub(super) const PROBES: usize = 10_000;

impl Planted {
    pub(super) fn new(bench: &Bench, count: usize) -> Self {
        let dir = bench.scratch();
        let root = root(dir.path());
        let store = create(&bench.multi, dir.path(), options());
        bench.multi.block_on(store.close()).expect("a close");
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
        let planted = Planted {
            probes,
            root,
            _dir: dir,
        };
        planted.forget_usage();
        let store = planted.open(&bench.multi);
        wait_for_count(&bench.multi, &store);
        bench.multi.block_on(store.close()).expect("a close");
        planted
    }

    pub(super) fn open(&self, runtime: &Runtime) -> Arc<dyn Datastore> {
        let store = runtime.block_on(options().open(&self.root));
        Arc::new(store.expect("a store"))
    }

    /// Lets the next open count the disk usage anew.
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
