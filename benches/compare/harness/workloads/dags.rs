//! Garbage collection and inspection of DAGs, which need the feature `dag`.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ds_flatfs::cid::Cid;
use ds_flatfs::dag::Inspect;
use ds_flatfs::maintenance::{Collected, Gc, Phase};
use ds_flatfs::{FlatFs, Key, Shard};
use futures::stream;
use tokio::runtime::Runtime;

use super::dag_store::{DagStore, FANOUT, by_threads, name};
use super::note_size;
use crate::common::{Blocks, Floor};
use crate::harness::comparison::{Comparison, Times, median as median_of};
use crate::harness::context::Context;
use crate::harness::environment::KIB;
use crate::harness::row::{FLOOR, Goal, OURS, Row};
use crate::harness::stores::{create, options, root};

/// At least 0.8 times the rate of the floor.
const READ_GOAL: Goal = Goal::Ratio(1.25);
const SWEEP_GOAL: Goal = Goal::Ratio(1.2);
/// The contender that also hashes.
const HASHED: &str = "hashed floor";
const OWN_DECODER: &str = "floor with our decoder";
/// The contender that also remembers the links.
const REMEMBERING: &str = "remembering floor";
/// The contender that also reads the sizes.
const SIZED: &str = "sized floor";

/// How long the parts of a collection took. The rest of it opens and closes the store, and makes the removals durable.
pub(super) struct GcTimes {
    pub(super) mark: Duration,
    /// The listing that looks for missing blocks without links.
    pub(super) listing: Duration,
    /// The listing of the garbage, and the removals.
    pub(super) sweep: Duration,
    pub(super) whole: Duration,
}

/// Runs a collection.
pub(super) fn timed_gc(runtime: &Runtime, gc: Gc) -> (GcTimes, Collected) {
    let (phases, entered) = mpsc::channel();
    let gc = gc.on_progress(move |progress| {
        let _ = phases.send((progress.phase, Instant::now()));
        ControlFlow::Continue(())
    });
    let begin = Instant::now();
    let collected = runtime.block_on(runtime.spawn(gc.run())).expect("no panic");
    let end = Instant::now();
    let phases: Vec<(Phase, Instant)> = entered.iter().collect();
    // A dry run has nothing to flush.
    let first = |wanted: fn(Phase) -> bool| {
        let mut times = phases.iter().filter(|(phase, _)| wanted(*phase));
        times.next().map_or(end, |(_, time)| *time)
    };
    let marking = first(|phase| phase == Phase::Marking);
    let listing = first(|phase| matches!(phase, Phase::Listing | Phase::Blocks));
    let sweep = first(|phase| phase == Phase::Blocks);
    let closing = first(|phase| phase == Phase::Closing);
    let times = GcTimes {
        mark: listing - marking,
        listing: sweep - listing,
        sweep: closing - sweep,
        whole: end - begin,
    };
    (times, collected.expect("a collection"))
}

pub(super) fn gc_of(path: &Path, root: Cid) -> Gc {
    Gc::new(path).roots(stream::iter([Ok(root)]))
}

/// The floors know the names of the blocks with links, and read and decode them with two threads. One of them also
/// checks the hashes, and one remembers the links too, as the mark does.
pub(super) fn mark(context: &Context, title: &str) -> Vec<Row> {
    let leaves = context
        .env
        .blocks
        .unwrap_or(context.env.pick(1_000_000, 100_000));
    if let Err(why) = context
        .env
        .check_space((leaves * 4_300) as u64, leaves as u64 * 2)
    {
        return vec![Row::skipped(title, READ_GOAL, why)];
    }
    let dag = DagStore::create(context, leaves);
    let floor = Floor::over(&dag.path);
    let blocks = dag.inner.len() + dag.leaves.len();
    let mut listings = Vec::new();
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || timed(|| dag.read_inner(&floor)));
    comparison.add(HASHED, || timed(|| dag.check_inner(&floor)));
    comparison.add(REMEMBERING, || timed(|| dag.remember_inner(&floor)));
    comparison.add(OWN_DECODER, || {
        timed(|| dag.read_inner_by_our_decoder(&floor))
    });
    comparison.add(OURS, || {
        let gc = gc_of(&dag.path, dag.root).dry_run(true);
        let (times, collected) = timed_gc(&context.env.multi, gc);
        assert_eq!(collected.kept, blocks as u64);
        listings.push(times.listing.as_secs_f64() * 1e6 / blocks as f64);
        times.mark
    });
    let times = comparison.run(context.env.rounds(), dag.inner.len());
    let median = |name| times.median(name);
    let mut row = Row::of_comparison(title, READ_GOAL, &times);
    row.peers.clear();
    let own = row
        .ours
        .zip(median(OWN_DECODER))
        .map(|(ours, floor)| ours / floor);
    let row = row.note(format!(
        "{} blocks with {FANOUT} links; the floor does not hash; {:.2} × a floor with our decoder; the listing that \
         looks for the leaves takes {:.2} µs for each block",
        dag.inner.len(),
        own.unwrap_or(f64::NAN),
        median_of(&listings),
    ));
    let hashed = beside(
        HASHED,
        Row::of_comparison(&format!("{title}: hashed"), READ_GOAL, &times),
        &times,
    );
    let remembering = Row::of_comparison(&format!("{title}: remembering"), READ_GOAL, &times);
    let remembering = beside(REMEMBERING, remembering, &times);
    vec![
        row,
        hashed.note("the floor checks the hashes too"),
        remembering.note(
            "the floor checks the hashes, and each thread has a HashSet of the links that it met",
        ),
    ]
}

/// Returns the row with another contender as its floor.
fn beside(floor: &str, mut row: Row, times: &Times) -> Row {
    row.peers.clear();
    row.floor = times.median(floor);
    row.spread = times.spread(OURS, floor);
    row
}

/// The floor also looks up the size of each leaf, with two threads.
pub(super) fn inspect(context: &Context, title: &str) -> Vec<Row> {
    let leaves = context
        .env
        .blocks
        .unwrap_or(context.env.pick(200_000, 20_000));
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
    comparison.add(HASHED, || {
        timed(|| {
            dag.check_inner(&floor);
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
    let mut row = Row::of_comparison(title, READ_GOAL, &times);
    row.peers.clear();
    let hashed = row
        .ours
        .zip(times.median(HASHED))
        .map(|(ours, floor)| ours / floor);
    let row = row.note(format!(
        "the floor does not hash; {:.2} × one that does",
        hashed.unwrap_or(f64::NAN)
    ));
    vec![note_size(context, row, &format!("{blocks} blocks"))]
}

/// The floors know the names, sorted by directory, and remove them with two threads. One of them also reads the size of
/// each file, which a collection subtracts from the disk usage. A root is kept.
pub(super) fn sweep(context: &Context, title: &str) -> Vec<Row> {
    let count = context.env.blocks.unwrap_or(context.env.block_count());
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
    let kept = Key::for_block(b"kept").to_cid().expect("a CID");
    floor.plant(&name(&kept), b"kept");
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
    let mut rest = Vec::new();
    let mut comparison = Comparison::default();
    comparison.add(FLOOR, || {
        plant();
        timed(|| by_threads(&names, |name| floor.delete(name)))
    });
    comparison.add(SIZED, || {
        plant();
        timed(|| {
            by_threads(&names, |name| {
                assert!(floor.has(name));
                floor.delete(name);
            });
        })
    });
    comparison.add(OURS, || {
        plant();
        let (times, collected) = timed_gc(runtime, gc_of(&path, kept));
        assert_eq!(collected.removed, count as u64);
        rest.push((times.whole - times.sweep).as_secs_f64() * 1_000.0);
        times.sweep
    });
    let times = comparison.run(context.env.rounds(), count);
    let mut row = Row::of_comparison(title, SWEEP_GOAL, &times);
    row.peers.clear();
    let row = row.note(format!(
        "the open, the flush and the close take {:.0} ms more",
        median_of(&rest)
    ));
    let left = fs::read_dir(&path).expect("a directory").count();
    assert!(left > 0, "the directories stay");
    let sized = Row::of_comparison(&format!("{title}: sized"), SWEEP_GOAL, &times);
    let sized = beside(SIZED, sized, &times).note("the floor reads the sizes too");
    vec![note_size(context, row, &format!("{count} blocks")), sized]
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}
