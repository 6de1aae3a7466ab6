//! The verification of any datastore.

use ds_flatfs::maintenance::VerifyBlocks;
use futures::{StreamExt, TryStreamExt};

use super::datastore_of;
use super::faulty::{Faults, Faulty};
use crate::support::{block, blocks};

#[tokio::test]
async fn unreadable_blocks_are_found_and_blocks_that_vanish_are_counted() {
    let store = Faulty::over(datastore_of(&blocks(10)).await);
    store.set(Faults {
        unreadable: vec![block(3).0],
        vanished: vec![block(4).0, block(5).0],
        ..Faults::default()
    });
    let mut findings = VerifyBlocks::new(store).start().await.unwrap();
    let found = findings.try_next().await.unwrap().unwrap();
    assert_eq!(found.problem.name(), "unreadable");
    assert!(findings.try_next().await.unwrap().is_none());
    let summary = findings.summary();
    assert_eq!((summary.blocks, summary.wrong, summary.vanished), (8, 1, 2));
}

#[tokio::test]
async fn a_datastore_whose_reads_all_fail_is_an_error_and_not_a_finding_for_each_block() {
    let blocks = blocks(1100);
    let store = Faulty::over(datastore_of(&blocks).await);
    store.set(Faults {
        unreadable: blocks.keys().cloned().collect(),
        ..Faults::default()
    });
    let findings = VerifyBlocks::new(store).start().await.unwrap();
    let found: Vec<_> = findings.collect().await;
    assert_eq!(found.len(), 1000);
    assert!(found.last().is_some_and(Result::is_err));
}
