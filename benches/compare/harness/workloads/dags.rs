//! Garbage collection and inspection of DAGs, which need the feature `dag`.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE32_NOPAD;
use ds_flatfs::cid::Cid;
use ds_flatfs::dag::{Inspect, UnknownCodec, links};
use ds_flatfs::maintenance::Gc;
use ds_flatfs::{FlatFs, Key, Shard};
use futures::stream;
use ipld_core::ipld;
use ipld_core::ipld::Ipld;
use tempfile::TempDir;

use super::note_size;
use crate::common::{Blocks, Floor};
use crate::harness::comparison::Comparison;
use crate::harness::context::Context;
use crate::harness::environment::KIB;
use crate::harness::row::{FLOOR, Goal, OURS, Row};
use crate::harness::stores::{create, options, root};

const THREADS: usize = 2;
/// The number of links of a block, as in kubo's files.
const FANOUT: usize = 174;
/// At least 0.8 times the rate of the floor.
const READ_GOAL: Goal = Goal::Ratio(1.25);
const SWEEP_GOAL: Goal = Goal::Ratio(1.2);

/// A store with a DAG, such as that of a large file.
struct DagStore {
    path: PathBuf,
    root: Cid,
    /// The blocks with links, and those without.
    inner: Vec<(String, Cid)>,
    leaves: Vec<String>,
    _dir: TempDir,
}

fn name(cid: &Cid) -> String {
    BASE32_NOPAD.encode(&cid.hash().to_bytes())
}

impl DagStore {
    fn create(context: &Context, leaves: usize) -> Self {
        let dir = context.env.scratch();
        let store = create(&context.env.multi, dir.path(), options());
        context.env.multi.block_on(store.close()).expect("a close");
        let path = root(dir.path());
        let floor = Floor::over(&path);
        let mut leaf_names = Vec::new();
        let mut level: Vec<Cid> = Vec::new();
        for number in 0..leaves as u64 {
            let block = number.to_le_bytes();
            let cid = Key::for_block(&block).to_cid().expect("a CID");
            floor.plant(&name(&cid), &block);
            leaf_names.push(name(&cid));
            level.push(cid);
        }
        let mut inner = Vec::new();
        while level.len() > 1 {
            let nodes = level.chunks(FANOUT).map(|links| {
                let block = node(links);
                let hash = Key::for_block(&block).to_multihash().expect("a hash");
                let cid = Cid::new_v1(0x70, hash);
                floor.plant(&name(&cid), &block);
                inner.push((name(&cid), cid));
                cid
            });
            level = nodes.collect();
        }
        // A loop that knows the names goes through them directory by directory.
        let shard = Shard::default();
        inner.sort_unstable_by_key(|(name, _)| shard.dir(name).to_string());
        leaf_names.sort_unstable_by_key(|name| shard.dir(name).to_string());
        DagStore {
            path,
            root: level[0],
            inner,
            leaves: leaf_names,
            _dir: dir,
        }
    }

    fn read_inner(&self, floor: &Floor) {
        by_threads(&self.inner, |(name, cid)| {
            let block = floor.get(name);
            black_box(links(cid, &block, UnknownCodec::Refuse).expect("links"));
        });
    }
}

/// Returns a block of dag-pb with links that have sizes, as those of files.
fn node(links: &[Cid]) -> Vec<u8> {
    let links = links
        .iter()
        .map(|link| ipld!({ "Hash": Ipld::Link(*link), "Name": "", "Tsize": 262_158 }));
    let links: Vec<Ipld> = links.collect();
    ipld_dagpb::from_ipld(&ipld!({ "Links": links })).expect("a block")
}

fn by_threads<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let work = &work;
    thread::scope(|scope| {
        for items in items.chunks(items.len().div_ceil(THREADS).max(1)) {
            scope.spawn(move || items.iter().for_each(work));
        }
    });
}

/// The floor knows the names of the blocks with links, and reads and decodes them with two threads. The mark is a
/// dry run of a store that has no other blocks in its directories: its sweep is timed alone and subtracted.
pub(super) fn mark(context: &Context, title: &str) -> Vec<Row> {
    let leaves = context.env.pick(1_000_000, 100_000);
    if let Err(why) = context
        .env
        .check_space((leaves * 200) as u64, leaves as u64 * 2)
    {
        return vec![Row::skipped(title, READ_GOAL, why)];
    }
    let dag = DagStore::create(context, leaves);
    let floor = Floor::over(&dag.path);
    // Only the blocks that a mark reads are left, so that the time of the listing is small.
    for name in &dag.leaves {
        floor.delete(name);
    }
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || timed(|| dag.read_inner(&floor)));
    let runtime = &context.env.multi;
    let dry_run = |root: Cid| {
        let gc = Gc::new(&dag.path)
            .roots(stream::iter([Ok(root)]))
            .dry_run(true);
        let begin = Instant::now();
        let collected = runtime.block_on(runtime.spawn(gc.run())).expect("no panic");
        (begin.elapsed(), collected.expect("a collection").kept)
    };
    // A root without links is marked at once.
    let nothing = Cid::new_v1(0x55, *dag.root.hash());
    comparison.add(OURS, || {
        let (listing, _) = dry_run(nothing);
        let (time, kept) = dry_run(dag.root);
        assert_eq!(kept, dag.inner.len() as u64);
        time.saturating_sub(listing)
    });
    let times = comparison.run(context.env.rounds(), dag.inner.len());
    let row = Row::of_comparison(title, READ_GOAL, &times);
    vec![row.note(format!("{} blocks with {FANOUT} links", dag.inner.len()))]
}

/// The floor also looks up the size of each leaf, with two threads.
pub(super) fn inspect(context: &Context, title: &str) -> Vec<Row> {
    let leaves = context.env.pick(200_000, 20_000);
    if let Err(why) = context
        .env
        .check_space((leaves * 4_200) as u64, leaves as u64 * 2)
    {
        return vec![Row::skipped(title, READ_GOAL, why)];
    }
    let dag = DagStore::create(context, leaves);
    let floor = Floor::over(&dag.path);
    let blocks = dag.inner.len() + dag.leaves.len();
    let runtime = &context.env.multi;
    let store = runtime
        .block_on(FlatFs::options().open(&dag.path))
        .expect("a store");
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || {
        timed(|| {
            dag.read_inner(&floor);
            by_threads(&dag.leaves, |name| assert!(floor.has(name)));
        })
    });
    comparison.add(OURS, || {
        let (store, root) = (store.clone(), dag.root);
        let begin = Instant::now();
        let task = runtime.spawn(async move { Inspect::new(&store).run(&[root]).await });
        let reports = runtime.block_on(task).expect("no panic").expect("a report");
        assert_eq!(reports[0].blocks, blocks as u64);
        begin.elapsed()
    });
    let times = comparison.run(context.env.rounds(), blocks);
    let row = Row::of_comparison(title, READ_GOAL, &times);
    vec![note_size(context, row, &format!("{blocks} blocks"))]
}

/// The floor knows the names, sorted by directory, and removes them with two threads.
pub(super) fn sweep(context: &Context, title: &str) -> Vec<Row> {
    let count = context.env.block_count();
    if let Err(why) = context
        .env
        .check_space((count * 4 * KIB) as u64, count as u64 + 2_000)
    {
        return vec![Row::skipped(title, SWEEP_GOAL, why)];
    }
    let dir = context.env.scratch();
    let store = create(&context.env.multi, dir.path(), options());
    context.env.multi.block_on(store.close()).expect("a close");
    let path = root(dir.path());
    let floor = Floor::over(&path);
    // Names of hashes: others are not those of blocks, and stay.
    let values = Blocks::new(0..count, 4 * KIB);
    let mut names: Vec<String> = (0..count as u64)
        .map(|number| {
            let key = Key::for_block(&number.to_le_bytes());
            key.as_str().trim_start_matches('/').to_owned()
        })
        .collect();
    let shard = Shard::default();
    names.sort_unstable_by_key(|name| shard.dir(name).to_string());
    let plant = || {
        for (index, name) in names.iter().enumerate() {
            floor.plant(name, &values.value(index));
        }
    };
    let runtime = &context.env.multi;
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || {
        plant();
        timed(|| by_threads(&names, |name| floor.delete(name)))
    });
    comparison.add(OURS, || {
        plant();
        let gc = Gc::new(&path).remove_everything(true);
        let begin = Instant::now();
        let collected = runtime.block_on(runtime.spawn(gc.run())).expect("no panic");
        assert_eq!(collected.expect("a collection").removed, count as u64);
        begin.elapsed()
    });
    let times = comparison.run(context.env.rounds(), count);
    let row = Row::of_comparison(title, SWEEP_GOAL, &times);
    let left = fs::read_dir(&path).expect("a directory").count();
    assert!(left > 0, "the directories stay");
    vec![note_size(context, row, &format!("{count} blocks"))]
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}
