//! How a repair begins, reports its progress, stops and ends.

use std::fs;
use std::ops::ControlFlow;
use std::sync::mpsc;

use ds_flatfs::Error;
use ds_flatfs::maintenance::{Phase, Repair, Verify};
use futures::{StreamExt, stream};

use super::{cid_of, read};
use crate::support::options;
use crate::verify::{all, store_of};

#[tokio::test]
async fn a_repair_reports_its_phases() {
    let (home, _) = store_of(1).await;
    let (sender, phases) = mpsc::channel();
    let repair = Repair::new(home.store()).on_progress(move |progress| {
        sender.send(progress.phase).unwrap();
        ControlFlow::Continue(())
    });
    all(&mut repair.start().await.unwrap()).await;
    let mut phases: Vec<_> = phases.iter().collect();
    phases.dedup();
    let expected = [
        Phase::Blocks,
        Phase::Misplaced,
        Phase::Copies,
        Phase::Closing,
    ];
    assert_eq!(phases, expected);
}

#[tokio::test]
async fn a_repair_needs_the_lock() {
    let (home, _) = store_of(1).await;
    let store = options().open(home.store()).await.unwrap();
    let error = Repair::new(home.store()).start().await.unwrap_err();
    assert!(error.is_locked(), "{error:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_stopped_or_dropped_repair_is_completed_by_the_next_one() {
    let (home, blocks) = store_of(100).await;
    for (key, _) in &blocks[..50] {
        fs::write(home.block(key), b"damaged").unwrap();
    }
    let stopped = Repair::new(home.store()).on_progress(|_| ControlFlow::Break(()));
    let found: Vec<_> = stopped.start().await.unwrap().collect().await;
    assert!(matches!(found.last(), Some(Err(Error::Stopped))));
    let mut dropped = Repair::new(home.store()).start().await.unwrap();
    let _ = futures::poll!(dropped.next());
    drop(dropped);
    let copies = blocks.iter();
    let copies = copies.map(|(key, value)| Ok((cid_of(key), value.clone())));
    let repair = loop {
        let copies = stream::iter(copies.clone().collect::<Vec<_>>());
        match Repair::new(home.store()).copies(copies).start().await {
            Err(error) if error.is_locked() => tokio::task::yield_now().await,
            started => break started,
        }
    };
    let mut findings = repair.unwrap();
    all(&mut findings).await;
    assert_eq!(findings.summary().wrong, 0);
    assert_eq!(read(&home.store()).await, blocks.into_iter().collect());
    let mut clean = Verify::new(home.store()).start().await.unwrap();
    assert_eq!(all(&mut clean).await.len(), 0);
}
