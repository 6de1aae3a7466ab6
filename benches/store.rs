//! The store and its floor, the same work as a plain `std::fs` loop, in the same run.
//!
//! Absolute times depend on the machine and its load, so compare the two rows of a group. `BENCH_DIR` is
//! the directory to work in, on the file system to measure; a file system in memory shows the cost of the
//! program itself. Neither the store nor the floor makes anything durable.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark is its own program"
)]

#[allow(dead_code, reason = "each benchmark uses a part")]
mod common;

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ds_flatfs::{Datastore, Durability, FlatFs, Key, Query};
use futures::{StreamExt, TryStreamExt};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::common::{Blocks, Floor, name};

/// The number of blocks in the stores that are read.
const BLOCKS: usize = 10_000;
const BLOCK: usize = 4096;
const CONCURRENCY: usize = 16;

fn work_dir() -> TempDir {
    let base = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(base).expect("a directory to work in")
}

fn block() -> Bytes {
    Bytes::from(vec![0x5A; BLOCK])
}

async fn new_store(dir: &TempDir) -> Arc<dyn Datastore> {
    let store = FlatFs::options()
        .durability(Durability::OnSync)
        .create(dir.path().join("flatfs"))
        .await
        .expect("a new store");
    Arc::new(store)
}

async fn fill(store: &Arc<dyn Datastore>, names: &[String]) {
    let batch = store.batch().await.expect("a batch");
    for name in names {
        batch.put(&Key::new(name), block()).await.expect("a put");
    }
    batch.commit().await.expect("a commit");
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

fn puts(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("put 4 KiB");
    group.throughput(Throughput::Elements(1));
    let dir = work_dir();
    let floor = Floor::new(dir.path());
    let mut numbers = 0..;
    let mut next = move || name(numbers.next().unwrap_or(0));
    let mut names = next.clone();
    group.bench_function("floor", |bencher| {
        bencher.iter_batched(
            &mut names,
            |name| floor.put(&name, &block()),
            BatchSize::SmallInput,
        );
    });
    let store = runtime.block_on(new_store(&dir));
    group.bench_function("flatfs", |bencher| {
        let setup = || Key::new(next());
        bencher.to_async(&runtime).iter_batched(
            setup,
            |key| {
                let store = Arc::clone(&store);
                async move { store.put(&key, block()).await.expect("a put") }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let runtime = runtime();
    let dir = work_dir();
    let names: Vec<String> = (0..BLOCKS).map(name).collect();
    let absent: Vec<String> = (BLOCKS..2 * BLOCKS).map(name).collect();
    let floor = Floor::new(dir.path());
    for name in &names {
        floor.put(name, &block());
    }
    let store = runtime.block_on(async {
        let store = new_store(&dir).await;
        fill(&store, &names).await;
        store
    });
    let keys = |names: &[String]| names.iter().map(Key::new).collect::<Vec<Key>>();
    let (keys, absent_keys) = (keys(&names), keys(&absent));

    let mut group = criterion.benchmark_group("get 4 KiB");
    group.throughput(Throughput::Elements(1));
    let mut cycle = names.iter().cycle();
    group.bench_function("floor", |bencher| {
        bencher.iter(|| black_box(cycle.next().map(|name| floor.get(name))));
    });
    let mut cycle = keys.iter().cycle();
    group.bench_function("flatfs", |bencher| {
        bencher.to_async(&runtime).iter(|| {
            let key = cycle.next().cloned().unwrap_or_else(Key::root);
            let store = Arc::clone(&store);
            async move { black_box(store.get(&key).await.expect("a read")) }
        });
    });
    group.finish();

    for (title, names, keys) in [
        ("has, present", &names, &keys),
        ("has, absent", &absent, &absent_keys),
    ] {
        let mut group = criterion.benchmark_group(title);
        group.throughput(Throughput::Elements(1));
        let mut cycle = names.iter().cycle();
        group.bench_function("floor", |bencher| {
            bencher.iter(|| black_box(cycle.next().map(|name| floor.has(name))));
        });
        let mut cycle = keys.iter().cycle();
        group.bench_function("flatfs", |bencher| {
            bencher.to_async(&runtime).iter(|| {
                let key = cycle.next().cloned().unwrap_or_else(Key::root);
                let store = Arc::clone(&store);
                async move { black_box(store.has(&key).await.expect("a lookup")) }
            });
        });
        group.finish();
    }

    for (title, query) in [
        ("query keys", Query::new().keys_only()),
        ("query sizes", Query::new().keys_only().returns_sizes()),
        ("query values", Query::new()),
    ] {
        let mut group = criterion.benchmark_group(title);
        group.throughput(Throughput::Elements(BLOCKS as u64));
        group.sample_size(10);
        group.bench_function("floor", |bencher| {
            bencher.iter(|| black_box(floor.query(&query)));
        });
        group.bench_function("flatfs", |bencher| {
            bencher.to_async(&runtime).iter(|| {
                let (store, query) = (Arc::clone(&store), query.clone());
                async move {
                    let entries = store.query(query).await.expect("a query");
                    let count = entries.try_fold(0, |n, _| async move { Ok(n + 1) });
                    assert_eq!(count.await.expect("entries"), BLOCKS);
                }
            });
        });
        group.finish();
    }
}

fn puts_and_batches(criterion: &mut Criterion) {
    const COUNT: usize = 2_000;
    let runtime = runtime();
    let blocks = Blocks::new(0..COUNT, BLOCK);
    let names = &blocks.names;

    let mut group = criterion.benchmark_group("2,000 puts of 4 KiB, 16 at a time");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.sample_size(10);
    group.bench_function("floor, 2 threads", |bencher| {
        bencher.iter_custom(|times| {
            repeat(times, || {
                let dir = work_dir();
                let floor = Floor::new(dir.path());
                let begin = Instant::now();
                floor.put_by(2, &blocks);
                begin.elapsed()
            })
        });
    });
    group.bench_function("flatfs", |bencher| {
        bencher.iter_custom(|times| {
            repeat(times, || {
                let dir = work_dir();
                runtime.block_on(async {
                    let store = new_store(&dir).await;
                    let begin = Instant::now();
                    futures::stream::iter(names)
                        .for_each_concurrent(CONCURRENCY, |name| {
                            let store = Arc::clone(&store);
                            async move {
                                let put = store.put(&Key::new(name), block()).await;
                                put.expect("a put");
                            }
                        })
                        .await;
                    begin.elapsed()
                })
            })
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("a batch of 2,000 puts of 4 KiB and its commit");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.sample_size(10);
    group.bench_function("floor, 2 threads", |bencher| {
        bencher.iter_custom(|times| {
            repeat(times, || {
                let dir = work_dir();
                let floor = Floor::new(dir.path());
                let begin = Instant::now();
                floor.batch_by(2, &blocks);
                begin.elapsed()
            })
        });
    });
    group.bench_function("flatfs", |bencher| {
        bencher.iter_custom(|times| {
            repeat(times, || {
                let dir = work_dir();
                runtime.block_on(async {
                    let store = new_store(&dir).await;
                    let begin = Instant::now();
                    fill(&store, names).await;
                    begin.elapsed()
                })
            })
        });
    });
    group.finish();
}

fn repeat(times: u64, mut once: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| once()).sum()
}

criterion_group!(benches, puts, reads, puts_and_batches);
criterion_main!(benches);
