//! The cost of a block in a garbage collection and an inspection of a large DAG, compared with a small one, and the
//! memory that they take.

use std::path::Path;
use std::time::{Duration, Instant};

use ds_flatfs::FlatFs;
use ds_flatfs::dag::Inspect;
use ds_flatfs::maintenance::Gc;

use super::dag_store::DagStore;
use super::dags::{GcTimes, gc_of, timed_gc};
use crate::harness::context::Context;
use crate::harness::peak_memory::{MemoryTask, peak};
use crate::harness::row::{Goal, Row, Unit};

const GOAL: Goal = Goal::Ratio(1.3);
/// A block with links takes at most 40 bytes, and in these DAGs one block in 174 has links.
const MEMORY_GOAL: Goal = Goal::AtMost(16.0 + 40.0 / 174.0);

/// The time that one block takes.
struct Times {
    mark: f64,
    dry_run: f64,
    sweep: f64,
    dag: f64,
}

/// The floor of these rows is our own store with a tenth of the blocks.
pub(super) fn all(context: &Context, title: &str) -> Vec<Row> {
    if context.env.quick {
        return vec![Row::skipped(title, GOAL, "not part of a quick run")];
    }
    let count = context.env.blocks.unwrap_or(1_000_000);
    let space = context
        .env
        .check_space((count * 4_800) as u64, count as u64 * 3);
    if let Err(why) = space {
        return vec![Row::skipped(title, GOAL, why)];
    }
    let measure = |count| {
        let dag = DagStore::create(context, count);
        let memory = peak_of_gc(&dag, count);
        (times(context, &dag, count), memory)
    };
    let (small, few) = measure(count / 10);
    let (large, many) = measure(count);
    let note = format!("a block of {count} compared with one of {}", count / 10);
    let row = |name: &str, figure: fn(&Times) -> f64| {
        let row = Row::new(&format!("{title}: {name}"), GOAL, Unit::Time);
        row.grown(figure(&small), figure(&large)).note(&*note)
    };
    let memory = (many - few) / (count - count / 10) as f64;
    let memory = Row::new(&format!("{title}: memory"), MEMORY_GOAL, Unit::Number)
        .figures(None, memory)
        .note(format!(
            "bytes of gc for each additional block; its peak is {:.1} MiB for {count}, {:.1} MiB for {}",
            many / f64::from(1 << 20),
            few / f64::from(1 << 20),
            count / 10,
        ));
    vec![
        row("mark", |times| times.mark),
        row("gc --dry-run", |times| times.dry_run),
        row("sweep", |times| times.sweep),
        row("dag", |times| times.dag),
        memory,
    ]
}

fn peak_of_gc(dag: &DagStore, count: usize) -> f64 {
    let root = dag.root.to_string();
    std::fs::write(dag.path.with_extension("root"), root).expect("a file");
    peak(MemoryTask::Gc, &dag.path, count + dag.inner.len())
}

/// Makes a dry run in a child process, whose memory is measured.
pub(crate) async fn dry_run(path: &Path, count: usize) {
    let root = std::fs::read_to_string(path.with_extension("root")).expect("a root");
    let gc = gc_of(path, root.parse().expect("a CID")).dry_run(true);
    let collected = gc.run().await.expect("a collection");
    assert_eq!(collected.kept, count as u64);
}

/// The blocks are gone after that.
fn times(context: &Context, dag: &DagStore, count: usize) -> Times {
    let runtime = &context.env.multi;
    let blocks = (count + dag.inner.len()) as f64;
    let per_block = |time: Duration| time.as_secs_f64() / blocks;
    let inspect = || {
        let open = FlatFs::options().read_only(true).open(&dag.path);
        let store = runtime.block_on(open).expect("a store");
        let root = dag.root;
        let begin = Instant::now();
        let task = runtime.spawn(async move { Inspect::new(&store).run(&[root]).await });
        let reports = runtime.block_on(task).expect("no panic").expect("a report");
        assert_eq!(reports[0].blocks as f64, blocks);
        begin.elapsed()
    };
    let dry_run = || timed_gc(runtime, gc_of(&dag.path, dag.root).dry_run(true));
    // Once to warm up.
    let _ = dry_run();
    let runs = (0..context.env.few_rounds()).map(|_| {
        let (times, _) = dry_run();
        (times, inspect())
    });
    let runs: Vec<_> = runs.collect();
    let fastest = |time: fn(&(GcTimes, Duration)) -> Duration| {
        per_block(runs.iter().map(time).min().expect("a run"))
    };
    let (times, _) = timed_gc(runtime, Gc::new(&dag.path).remove_everything(true));
    Times {
        mark: fastest(|(times, _)| times.mark),
        dry_run: fastest(|(times, _)| times.whole),
        sweep: per_block(times.sweep),
        dag: fastest(|(_, dag)| *dag),
    }
}
