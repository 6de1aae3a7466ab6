//! Collections in a store to which other tasks write.

use std::mem;
use std::ops::{ControlFlow, Range};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use ds_flatfs::dag::Inspect;
use ds_flatfs::maintenance::{Gc, Phase};
use ds_flatfs::{Durability, ExistingBlock, FlatFs};
use futures::future::try_join_all;
use futures::poll;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{keys, roots};
use crate::dags::{DAG_CBOR, DAG_PB, Node, leaf, node, put_all};
use crate::support::{Home, options, with_timeout};

/// The blocks that the writers put, again and again.
const BLOCKS: u64 = 60;

/// What the writers and the collections share.
#[derive(Default)]
struct Shared {
    /// Odd while a collection runs.
    running: AtomicU64,
    stop: AtomicBool,
}

/// Puts the blocks until it is stopped, alternately one by one and in a batch. Checks after each acknowledged put
/// that the block is there, as long as the collection runs that was running when the put began, and sends the number of
/// that collection.
async fn write(store: FlatFs, first: u64, shared: Arc<Shared>, checked: mpsc::Sender<u64>) {
    let Shared { running, stop } = &*shared;
    let mut round = 0;
    while !stop.load(Ordering::SeqCst) {
        let blocks: Vec<Node> = (0..4)
            .map(|index| leaf((first + round * 7 + index) % BLOCKS))
            .collect();
        let before = running.load(Ordering::SeqCst);
        match round % 2 {
            0 => put_all(&store, &blocks).await,
            _ => {
                for node in &blocks {
                    store.put(&node.key(), node.block.clone()).await.unwrap();
                }
            }
        }
        for node in &blocks {
            let has = store.has(&node.key()).await.unwrap();
            // A collection with an even number has ended; the next one may remove the block.
            if before % 2 == 1 && running.load(Ordering::SeqCst) == before {
                assert!(has, "a block that was put during a collection is gone");
                // Nobody receives it after the last collection.
                let _ = checked.send(before);
            }
        }
        round += 1;
        tokio::task::yield_now().await;
    }
}

async fn check(existing: ExistingBlock, durability: Durability) {
    let home = Home::new();
    let options = FlatFs::options()
        .existing_block(existing)
        .durability(durability);
    let store = options.create(home.store()).await.unwrap();
    // A chain that takes a while to mark.
    let mut chain = vec![leaf(1 << 30)];
    for number in 0..200 {
        let below = chain.last().unwrap().cid;
        chain.push(node(DAG_CBOR, number, &[below]));
    }
    put_all(&store, &chain).await;
    let root = chain.last().unwrap();
    let shared = Arc::new(Shared::default());
    let (checks, checked) = mpsc::channel();
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (shared, checks) = (Arc::clone(&shared), checks.clone());
            tokio::spawn(write(store.clone(), writer * 20, shared, checks))
        })
        .collect();
    // If all writers have panicked, nothing more is received, and the test fails.
    drop(checks);
    let checked = Arc::new(Mutex::new(checked));
    let mut removed = 0;
    for number in 0..30 {
        put_all(&store, &[leaf(1_000 + number)]).await;
        let gc = Gc::open(&store).roots(roots([root]));
        let gc = gc.on_progress({
            let (shared, checked, mut is_first) = (Arc::clone(&shared), Arc::clone(&checked), true);
            move |_| {
                // From the first report on, the collection has begun. It waits until a writer has put blocks meanwhile.
                if mem::take(&mut is_first) {
                    let number = shared.running.fetch_add(1, Ordering::SeqCst) + 1;
                    let checked = checked.lock().unwrap();
                    assert!(checked.iter().any(|checked| checked == number));
                }
                ControlFlow::Continue(())
            }
        });
        removed += gc.run().await.unwrap().removed;
        shared.running.fetch_add(1, Ordering::SeqCst);
    }
    shared.stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    for node in &chain {
        assert_eq!(
            store.get(&node.key()).await.unwrap().as_ref(),
            Some(&node.block)
        );
    }
    store.close().await.unwrap();
    // At least one block for each collection that no writer puts.
    assert!(removed >= 30, "{removed} removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_during_a_collection_stays() {
    check(ExistingBlock::Overwrite, Durability::OnSync).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_finds_its_block_during_a_collection_keeps_it() {
    check(ExistingBlock::Keep, Durability::OnSync).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn durable_puts_during_a_collection_stay() {
    check(ExistingBlock::Keep, Durability::EveryWrite).await;
}

#[tokio::test]
async fn a_close_ends_a_collection() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    put_all(&store, &(0..200).map(leaf).collect::<Vec<_>>()).await;
    let (removes, removed) = oneshot::channel();
    let (closes, closing) = mpsc::channel();
    let mut first = Some((removes, closing));
    let gc = Gc::open(&store).remove_everything(true);
    // The first removal waits until the store is being closed.
    let gc = gc.on_garbage(move |_, _| {
        if let Some((removes, closing)) = first.take() {
            removes.send(()).unwrap();
            closing.recv().unwrap();
        }
    });
    let close = async {
        removed.await.unwrap();
        let mut close = pin!(store.close());
        assert!(poll!(&mut close).is_pending());
        closes.send(()).unwrap();
        close.await
    };
    let (collected, closed) = tokio::join!(gc.run(), close);
    closed.unwrap();
    let error = collected.unwrap_err();
    assert!(error.is_closed(), "{error}");
    let store = FlatFs::options().open(home.store()).await.unwrap();
    assert!(!keys(&store).await.is_empty());
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_callback_may_wait_for_a_put_of_any_block_that_is_removed() {
    // Many blocks in each directory, so that many of them are removed at a time.
    let (_home, store) = Home::with_store("prefix/1").await;
    let garbage: Vec<Node> = (0..400).map(leaf).collect();
    put_all(&store, &garbage).await;
    let (writer, runtime) = (store.clone(), tokio::runtime::Handle::current());
    let mut is_first = true;
    let gc = Gc::open(&store).remove_everything(true);
    let gc = gc.on_garbage(move |_, _| {
        if mem::take(&mut is_first) {
            runtime.block_on(put_all(&writer, &garbage));
        }
    });
    let collected = with_timeout(gc.run()).await.unwrap();
    // Those of the first chunk were removed and put again, and the others were put before they would have been removed.
    assert_eq!(keys(&store).await.len(), 400);
    assert!(collected.removed > 1, "{collected:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn many_collections_at_the_same_time_do_not_wait_for_each_other() {
    let home = Home::new();
    let options = options().max_open_files(32);
    let store = options.create(home.store()).await.unwrap();
    // The root lacks a leaf, so that it is read again.
    let root = node(DAG_CBOR, 1, &[leaf(1).cid]);
    put_all(&store, [&root, &leaf(9)]).await;
    let collections = (0..20).map(|_| {
        let gc = Gc::open(&store).roots(roots([&root])).allow_missing(true);
        gc.run()
    });
    let collected = with_timeout(try_join_all(collections)).await.unwrap();
    assert_eq!(collected.iter().map(|done| done.removed).sum::<u64>(), 1);
    store.close().await.unwrap();
}

/// The DAGs that each task of the test below writes.
const DAGS: u64 = 20;
/// The leaves of each DAG that are garbage until the DAG is written.
const OLD_LEAVES: u64 = 4;

/// Returns the leaves that are garbage, and a DAG that links to them and has other blocks, with its root at the end.
fn new_dag(number: u64) -> (Vec<Node>, Vec<Node>) {
    let first = 1_000 + number * 100;
    let old: Vec<Node> = (0..OLD_LEAVES).map(|index| leaf(first + index)).collect();
    let mut dag = old.clone();
    dag.extend((OLD_LEAVES..2 * OLD_LEAVES).map(|index| leaf(first + index)));
    let links = |nodes: &[Node]| nodes.iter().map(|node| node.cid).collect::<Vec<_>>();
    let (left, right) = dag.split_at(3);
    let inner = [left, right].map(|below| node(DAG_CBOR, first, &links(below)));
    let root = node(DAG_PB, first, &links(&inner));
    dag.extend(inner);
    dag.push(root);
    (old, dag)
}

/// Writes DAGs from their leaves to their roots, one by one or in batches, and announces each of them.
async fn write_dags(store: FlatFs, numbers: Range<u64>, announce: mpsc::Sender<()>) {
    for number in numbers {
        let (_, dag) = new_dag(number);
        let (blocks, root) = dag.split_at(dag.len() - 1);
        match number % 2 {
            0 => put_all(&store, blocks).await,
            _ => {
                for node in blocks {
                    store.put(&node.key(), node.block.clone()).await.unwrap();
                }
            }
        }
        put_all(&store, root).await;
        // Nobody receives it after the collection.
        let _ = announce.send(());
        tokio::task::yield_now().await;
    }
}

async fn check_dags(existing: ExistingBlock) {
    let home = Home::new();
    let options = FlatFs::options()
        .existing_block(existing)
        .durability(Durability::OnSync);
    let store = options.create(home.store()).await.unwrap();
    let mut kept = vec![leaf(1 << 30)];
    for number in 0..100 {
        let below = kept.last().unwrap().cid;
        kept.push(node(DAG_CBOR, number, &[below]));
    }
    put_all(&store, &kept).await;
    let garbage: Vec<Node> = (0..3 * DAGS).flat_map(|number| new_dag(number).0).collect();
    let never_put: Vec<Node> = (0..100).map(|number| leaf((1 << 40) + number)).collect();
    put_all(&store, garbage.iter().chain(&never_put)).await;
    let (announce, announced) = mpsc::channel();
    let (runtime, writers) = (Handle::current(), Arc::new(Mutex::new(Vec::new())));
    let gc = Gc::open(&store).roots(roots([kept.last().unwrap()]));
    let gc = gc.on_progress({
        let (store, writers, mut announce) = (store.clone(), Arc::clone(&writers), Some(announce));
        move |progress| {
            // The first report comes after the collection has begun to note writes.
            if let Some(announce) = announce.take() {
                let tasks = (0..3).map(|task| {
                    let numbers = task * DAGS..(task + 1) * DAGS;
                    runtime.spawn(write_dags(store.clone(), numbers, announce.clone()))
                });
                writers.lock().unwrap().extend(tasks);
            }
            // So some DAGs are complete before the removal begins, and others are written between its steps. It is an
            // error once all of them are written.
            if progress.phase == Phase::Blocks {
                let _ = announced.recv();
            }
            ControlFlow::Continue(())
        }
    });
    let collected = with_timeout(gc.run()).await.unwrap();
    let writers = mem::take(&mut *writers.lock().unwrap());
    assert_eq!(writers.len(), 3);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(collected.removed >= never_put.len() as u64, "{collected:?}");
    let new_roots: Vec<Node> = (0..3 * DAGS)
        .map(|number| new_dag(number).1.pop().unwrap())
        .collect();
    let all = kept.last().into_iter().chain(&new_roots);
    let all: Vec<_> = all.map(|root| root.cid).collect();
    let inspect = Inspect::new(&store).check_hashes(true);
    for report in inspect.run(&all).await.unwrap() {
        assert!(report.is_complete(), "{report:?}");
    }
    let has = keys(&store).await;
    assert!(never_put.iter().all(|node| !has.contains(&node.key())));
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dags_that_are_written_during_a_collection_are_complete_after_it() {
    check_dags(ExistingBlock::Overwrite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dags_of_blocks_that_were_garbage_are_complete_after_a_collection() {
    check_dags(ExistingBlock::Keep).await;
}
