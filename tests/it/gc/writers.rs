//! Collections in a store to which other tasks write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ds_flatfs::maintenance::Gc;
use ds_flatfs::{Durability, ExistingBlock, FlatFs};

use super::roots;
use crate::dags::{DAG_CBOR, Node, leaf, node, put_all};
use crate::support::Home;

/// The blocks that the writers put, again and again.
const BLOCKS: u64 = 60;

/// Puts the blocks until it is stopped, alternately one by one and in a batch. Checks after each acknowledged put
/// that the block is there, as long as the collection runs that was running when the put began.
async fn write(store: FlatFs, first: u64, running: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> u64 {
    let mut checked = 0;
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
                checked += 1;
            }
        }
        round += 1;
        tokio::task::yield_now().await;
    }
    checked
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
    let (running, stop) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (running, stop) = (Arc::clone(&running), Arc::clone(&stop));
            tokio::spawn(write(store.clone(), writer * 20, running, stop))
        })
        .collect();
    let mut removed = 0;
    for _ in 0..30 {
        let gc = Gc::open(&store).roots(roots([root]));
        let gc = gc.on_progress({
            // From the first report on, the collection has begun.
            let (running, mut is_first) = (Arc::clone(&running), true);
            move |_| {
                running.fetch_add(u64::from(is_first), Ordering::SeqCst);
                is_first = false;
                std::ops::ControlFlow::Continue(())
            }
        });
        removed += gc.run().await.unwrap().removed;
        running.fetch_add(1, Ordering::SeqCst);
    }
    stop.store(true, Ordering::SeqCst);
    let mut checked = 0;
    for writer in writers {
        checked += writer.await.unwrap();
    }
    for node in &chain {
        assert_eq!(
            store.get(&node.key()).await.unwrap().as_ref(),
            Some(&node.block)
        );
    }
    store.close().await.unwrap();
    assert!(
        checked > 0 && removed > 0,
        "{checked} checked, {removed} removed"
    );
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
    let (_home, store) = Home::with_store("next-to-last/2").await;
    put_all(&store, &(0..2_000).map(leaf).collect::<Vec<_>>()).await;
    let closing = store.clone();
    let gc = Gc::open(&store).remove_everything(true).run();
    let (collected, closed) = tokio::join!(gc, async move { closing.close().await });
    closed.unwrap();
    if let Err(error) = collected {
        assert!(error.is_closed(), "{error}");
    }
}
