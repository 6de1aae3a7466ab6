//! Roots, and what happens without them.

use std::ops::ControlFlow;

use ds_flatfs::maintenance::{Gc, Phase};
use ds_flatfs::{Datastore, Error, Key, MemoryDatastore};
use futures::stream;

use super::{keys, keys_of, removed, roots};
use crate::dags::{DAG_PB, leaf, node, of_codec, put_all};
use crate::support::Home;

#[tokio::test]
async fn without_roots_nothing_is_removed_unless_that_is_allowed() {
    let store = MemoryDatastore::new();
    put_all(&store, [&leaf(1), &leaf(2)]).await;
    let error = Gc::over(store.clone()).run().await.unwrap_err();
    assert!(matches!(
        error,
        Error::InvalidOption {
            option: "roots",
            ..
        }
    ));
    assert_eq!(keys(&store).await.len(), 2);
    let gc = Gc::over(store.clone()).remove_everything(true);
    assert_eq!(gc.run().await.unwrap().removed, 2);
}

#[tokio::test]
async fn a_root_that_is_missing_is_an_error_even_if_it_has_no_links() {
    let store = MemoryDatastore::new();
    put_all(&store, [&leaf(1)]).await;
    let gc = Gc::over(store.clone()).roots(roots([&leaf(1), &leaf(2)]));
    let error = gc.run().await.unwrap_err();
    let named = leaf(2).cid.to_string();
    assert!(matches!(&error, Error::MissingBlock { cid, .. } if *cid == named));
    assert_eq!(keys(&store).await.len(), 1);
}

#[tokio::test]
async fn an_error_of_the_roots_ends_the_collection_before_anything_is_removed() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    put_all(&store, [&leaf(1), &leaf(2)]).await;
    let failing = stream::iter([Ok(leaf(1).cid), Err(Error::Runtime)]);
    let error = Gc::open(&store).roots(failing).run().await.unwrap_err();
    assert!(matches!(error, Error::Runtime));
    assert_eq!(keys(&store).await.len(), 2);
    store.close().await.unwrap();
    drop(home);
}

#[tokio::test]
async fn a_direct_root_is_kept_without_what_it_links_to() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    let (child, other) = (leaf(1), leaf(2));
    // Nobody knows the links of the second codec.
    let direct = [
        node(DAG_PB, 1, &[child.cid]),
        of_codec(0x7777, b"direct".to_vec()),
    ];
    put_all(&store, direct.iter().chain([&child, &other])).await;
    let gc = Gc::open(&store).direct_roots(roots(&direct));
    assert_eq!(removed(&store, gc).await, keys_of([&child, &other]));
}

#[tokio::test]
async fn a_direct_root_that_is_also_a_root_keeps_what_it_links_to() {
    let child = leaf(1);
    let parent = node(DAG_PB, 1, &[child.cid]);
    let store = MemoryDatastore::new();
    put_all(&store, [&parent, &child, &leaf(2)]).await;
    let gc = Gc::over(store.clone())
        .direct_roots(roots([&parent]))
        .roots(roots([&parent]));
    assert_eq!(gc.run().await.unwrap().removed, 1);
    assert_eq!(keys(&store).await, keys_of([&parent, &child]));
}

#[tokio::test]
async fn a_direct_root_that_is_missing_is_an_error() {
    let store = MemoryDatastore::new();
    put_all(&store, [&leaf(1)]).await;
    let missing = node(DAG_PB, 1, &[leaf(1).cid]);
    let gc = Gc::over(store.clone()).direct_roots(roots([&missing]));
    let error = gc.run().await.unwrap_err();
    assert!(matches!(error, Error::MissingBlock { .. }));
    assert_eq!(keys(&store).await.len(), 1);
}

#[tokio::test]
async fn keys_that_are_not_those_of_blocks_stay_unless_they_are_to_be_removed() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    let foreign = Key::new("/FOREIGN");
    store.put(&foreign, "x".into()).await.unwrap();
    put_all(&store, [&leaf(1)]).await;
    let gc = || Gc::open(&store).remove_everything(true);
    assert_eq!(removed(&store, gc()).await, keys_of([&leaf(1)]));
    assert_eq!(removed(&store, gc().foreign(true)).await, [foreign].into());
    store.close().await.unwrap();
}

#[tokio::test]
async fn short_keys_that_decode_as_an_empty_digest_or_an_inline_block_are_not_those_of_blocks() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    for key in ["/AAAA", "/AFKQAAA", "/AAAUC", "/GEAA"] {
        assert!(Key::new(key).to_cid().is_some());
        store.put(&Key::new(key), "x".into()).await.unwrap();
    }
    let gc = || Gc::open(&store).remove_everything(true);
    assert_eq!(removed(&store, gc()).await, [].into());
    assert_eq!(removed(&store, gc().foreign(true)).await.len(), 4);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_is_locked_during_a_collection_and_not_during_a_dry_run() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    put_all(&store, [&leaf(1), &leaf(2)]).await;
    let gc = || Gc::new(home.store()).roots(roots([&leaf(1)]));
    let error = gc().run().await.unwrap_err();
    assert!(error.is_locked(), "{error}");
    let dry = gc().dry_run(true).run().await.unwrap();
    assert_eq!((dry.kept, dry.removed, dry.removed_bytes), (1, 1, 6));
    store.close().await.unwrap();
    assert_eq!(gc().run().await.unwrap().removed, 1);
    let store = ds_flatfs::FlatFs::options()
        .open(home.store())
        .await
        .unwrap();
    assert_eq!(keys(&store).await, keys_of([&leaf(1)]));
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_disk_usage_is_right_after_a_collection() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let garbage: Vec<_> = (0..50).map(leaf).collect();
    put_all(&store, &garbage).await;
    put_all(&store, [&leaf(99)]).await;
    let gc = Gc::open(&store).roots(roots([&leaf(99)]));
    assert_eq!(removed(&store, gc).await.len(), 50);
    let usage = store.disk_usage().await.unwrap().bytes;
    assert_eq!(usage, crate::support::true_usage(&home.store()));
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_callback_gets_each_phase_and_can_stop_the_collection() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    let root = node(DAG_PB, 1, &[leaf(1).cid]);
    put_all(&store, [&leaf(1), &root, &leaf(2)]).await;
    for (stop_at, left) in [
        (Phase::Marking, 3),
        (Phase::Listing, 3),
        (Phase::Blocks, 3),
        (Phase::Closing, 2),
    ] {
        let gc = Gc::open(&store)
            .roots(roots([&root]))
            .on_progress(move |progress| match progress.phase == stop_at {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            });
        let stopped = gc.run().await;
        let is_stopped = matches!(stopped, Err(Error::Stopped));
        assert_eq!(is_stopped, stop_at != Phase::Closing);
        assert_eq!(keys(&store).await.len(), left);
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn roots_without_links_are_looked_up_and_need_no_listing() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    put_all(&store, (0..30).map(leaf).collect::<Vec<_>>().iter()).await;
    let kept: Vec<_> = (0..10).map(leaf).collect();
    let gc = Gc::open(&store)
        .roots(roots(&kept))
        .on_progress(|progress| {
            assert_ne!(progress.phase, Phase::Listing);
            ControlFlow::Continue(())
        });
    assert_eq!(gc.run().await.unwrap().removed, 20);
    assert_eq!(keys(&store).await, keys_of(&kept));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_missing_block_is_named_with_the_block_that_links_to_it() {
    let store = MemoryDatastore::new();
    let missing = node(DAG_PB, 0, &[]);
    let parent = node(DAG_PB, 1, &[missing.cid]);
    put_all(&store, [&parent]).await;
    let gc = Gc::over(store.clone()).roots(roots([&parent]));
    let error = gc.run().await.unwrap_err().to_string();
    assert!(error.contains(&missing.cid.to_string()), "{error}");
    assert!(error.contains(&parent.cid.to_string()), "{error}");
    assert!(store.has(&parent.key()).await.unwrap());
}
