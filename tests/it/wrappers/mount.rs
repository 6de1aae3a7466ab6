//! [`Mount`]: several datastores as one.

use std::sync::Arc;

use ds_flatfs::wrappers::{AutoBatch, Mount, MountBuilder};
use ds_flatfs::{Accuracy, Datastore, DiskUsage, Error, Key, MemoryDatastore, Query};
use futures::FutureExt;

use super::rigged::{Call, Rigged};
use super::{get_many_values, keys, needs_no_later_key, put_all, shared, value};
use crate::support::{Home, assert_clear};

/// Returns empty datastores in memory and a mount that has them under these prefixes.
fn mounted<const N: usize>(prefixes: [&str; N]) -> ([MemoryDatastore; N], Mount) {
    let datastores = prefixes.map(|_| MemoryDatastore::new());
    let mount = |builder: MountBuilder, (prefix, datastore): (&str, &MemoryDatastore)| {
        builder.mount(prefix, shared(datastore))
    };
    let pairs = prefixes.into_iter().zip(&datastores);
    let built = pairs.fold(Mount::builder(), mount).build().unwrap();
    (datastores, built)
}

/// Returns rigged datastores and a mount that has them under `/a`, `/b` and `/c`.
fn rigged() -> ([Rigged; 3], Mount) {
    let datastores = ["a", "b", "c"].map(Rigged::new);
    let [a, b, c] = &datastores;
    let mount = Mount::builder()
        .mount("/a", shared(a))
        .mount("/b", shared(b))
        .mount("/c", shared(c));
    (datastores, mount.build().unwrap())
}

#[tokio::test]
async fn a_key_belongs_to_the_datastore_with_the_longest_matching_prefix() {
    let ([root, a, ab], mount) = mounted(["/", "/a", "/a/b"]);
    for (key, datastore, inner) in [
        ("/x", &root, "/x"),
        ("/ab", &root, "/ab"),
        ("/a", &a, "/"),
        ("/a/x", &a, "/x"),
        ("/a/bc", &a, "/bc"),
        ("/a/b", &ab, "/"),
        ("/a/b/c/d", &ab, "/c/d"),
    ] {
        put_all(&mount, &[(key, "value")]).await;
        assert_eq!(
            value(datastore, inner).await.as_deref(),
            Some("value"),
            "{key}"
        );
        assert_eq!(value(&mount, key).await.as_deref(), Some("value"), "{key}");
        mount.delete(&Key::new(key)).await.unwrap();
        assert_eq!(value(datastore, inner).await, None, "{key}");
    }
}

#[tokio::test]
async fn a_key_under_no_mount_has_no_value_and_cannot_be_put() {
    let (_, mount) = mounted(["/a", "/b"]);
    let key = Key::new("/ab");
    let batch = mount.batch().await.unwrap();
    for error in [
        mount.put(&key, "value".into()).await,
        batch.put(&key, "value".into()).await,
    ] {
        let error = error.unwrap_err();
        assert!(matches!(error, Error::InvalidKey { .. }), "{error:?}");
        assert_clear(&error, "/ab");
    }
    assert_eq!(mount.get(&key).await.unwrap(), None);
    assert!(!mount.has(&key).await.unwrap());
    assert_eq!(mount.get_size(&key).await.unwrap(), None);
    assert_eq!(batch.get(&key).await.unwrap(), None);
    mount.delete(&key).await.unwrap();
    batch.delete(&key).await.unwrap();
    batch.commit().await.unwrap();
    assert!(keys(&mount, Query::new().prefix("/ab")).await.is_empty());

    mount.close().await.unwrap();
    assert!(mount.get(&key).await.unwrap_err().is_closed());
}

#[tokio::test]
async fn values_below_another_mount_are_hidden() {
    let ([root, a], mount) = mounted(["/", "/a"]);
    put_all(
        &root,
        &[("/a", "hidden"), ("/a/x", "hidden"), ("/b", "seen")],
    )
    .await;
    put_all(&a, &[("/y", "seen")]).await;
    assert_eq!(value(&mount, "/a/x").await, None);
    assert_eq!(keys(&mount, Query::new()).await, ["/b", "/a/y"]);
    assert_eq!(keys(&mount, Query::new().limit(1)).await, ["/b"]);
    assert_eq!(keys(&mount, Query::new().prefix("/a")).await, ["/a/y"]);
}

#[tokio::test]
async fn a_query_reads_only_the_datastores_that_it_concerns() {
    let ([_, _, other], mount) = mounted(["/", "/a", "/other"]);
    other.close().await.unwrap();
    assert!(keys(&mount, Query::new().prefix("/a/b")).await.is_empty());
    assert!(keys(&mount, Query::new().prefix("/b")).await.is_empty());
    assert!(mount.query(Query::new()).await.err().unwrap().is_closed());
}

#[tokio::test]
async fn an_error_names_the_key_of_the_mount() {
    let (_home, files) = Home::with_store("next-to-last/2").await;
    let mount = Mount::builder().mount("/blocks", shared(&files));
    let mount = mount.build().unwrap();
    let error = mount.put(&Key::new("/blocks/lower"), "value".into()).await;
    assert_clear(&error.unwrap_err(), "\"/blocks/lower\"");
}

#[tokio::test]
async fn an_error_about_an_earlier_write_names_the_key_of_that_write() {
    let inner = Rigged::new("inner");
    inner.reject("/rejected");
    let batches = AutoBatch::new(shared(&inner));
    let mount = Mount::builder().mount("/blocks", shared(&batches));
    let mount = mount.build().unwrap();
    put_all(&mount, &[("/blocks/rejected", "1")]).await;
    assert_clear(&mount.sync().await.unwrap_err(), "\"/blocks/rejected\"");
    put_all(&mount, &[("/blocks/rejected", "1")]).await;
    batches.batch().await.unwrap().commit().await.unwrap();
    let key = Key::new("/blocks/sound");
    let error = mount.put(&key, "2".into()).await.unwrap_err();
    assert_clear(&error, "\"/blocks/rejected\"");
}

#[tokio::test]
async fn a_bulk_read_makes_one_call_to_each_datastore() {
    let ([a, b, c], mount) = rigged();
    put_all(&mount, &[("/a/x", "1"), ("/b/x", "2"), ("/a/y", "3")]).await;
    let wanted = ["/a/x", "/b/x", "/nowhere", "/a/y", "/a/none", "/a/x"];
    let [one, two, three] = ["1", "2", "3"].map(|value| Some(value.to_owned()));
    let found = get_many_values(&mount, &wanted).await;
    assert_eq!(found, [one.clone(), two, None, three, None, one]);
    let reads = [&a, &b, &c].map(Rigged::reads);
    assert_eq!(
        reads,
        [(0, 2), (0, 2), (0, 0)],
        "one get_many, one has_many"
    );
    needs_no_later_key(&mount, &wanted).await;
}

#[tokio::test]
async fn keys_of_two_datastores_may_alternate_in_a_long_bulk_read() {
    let (_, mount) = mounted(["/a", "/b"]);
    put_all(&mount, &[("/a/x", "1"), ("/b/x", "2")]).await;
    let wanted = ["/a/x", "/b/x"].repeat(3000);
    let found = get_many_values(&mount, &wanted).await;
    let expected = ["1", "2"].repeat(3000);
    assert!(
        found
            .iter()
            .map(Option::as_deref)
            .eq(expected.into_iter().map(Some))
    );
}

#[test]
fn prefixes_that_are_unclean_or_repeated_are_errors_that_name_them() {
    let memory = || Arc::new(MemoryDatastore::new());
    for prefix in ["", "blocks", "/blocks/", "/a//b", "/../a"] {
        let error = Mount::builder().mount(prefix, memory()).build();
        assert_clear(&error.unwrap_err(), &format!("{prefix:?}"));
    }
    for prefix in ["/", "/a"] {
        let twice = Mount::builder().mount(prefix, memory());
        let error = twice.mount("/b", memory()).mount(prefix, memory()).build();
        assert_clear(&error.unwrap_err(), &format!("{prefix:?}"));
    }
    assert_clear(&Mount::builder().build().unwrap_err(), "nothing is mounted");
}

#[tokio::test]
async fn sync_and_close_call_all_datastores_and_return_the_first_error() {
    let ([a, b, c], mount) = rigged();
    b.fail(Call::Sync);
    c.fail(Call::Sync);
    assert_clear(&mount.sync().await.unwrap_err(), "Sync of b failed");
    b.fail(Call::Close);
    c.fail(Call::Close);
    assert_clear(&mount.close().await.unwrap_err(), "Close of b failed");
    for datastore in [a, b, c] {
        assert!(datastore.has(&Key::root()).await.unwrap_err().is_closed());
    }
}

#[tokio::test]
async fn the_disk_usage_is_the_sum_and_as_accurate_as_the_least_accurate() {
    let ([a, b, c], mount) = rigged();
    put_all(&mount, &[("/a/x", "1"), ("/b/x", "22"), ("/c/x", "333")]).await;
    for accuracy in [
        Accuracy::Exact,
        Accuracy::Approximate,
        Accuracy::TimedOut,
        Accuracy::Unknown,
    ] {
        b.set_accuracy(accuracy);
        let usage = mount.disk_usage().await.unwrap();
        assert_eq!(usage, DiskUsage::new(6, accuracy));
        a.set_accuracy(accuracy);
    }
    c.close().await.unwrap();
    assert!(mount.disk_usage().await.unwrap_err().is_closed());
}

#[tokio::test]
async fn a_batch_begins_an_inner_batch_only_where_it_writes() {
    let ([a, b, c], mount) = rigged();
    let batch = mount.batch().await.unwrap();
    assert_eq!(batch.get(&Key::new("/c/x")).await.unwrap(), None);
    batch.put(&Key::new("/a/x"), "1".into()).await.unwrap();
    batch.delete(&Key::new("/b/x")).await.unwrap();
    batch.put(&Key::new("/a/y"), "2".into()).await.unwrap();
    batch.commit().await.unwrap();
    assert_eq!([&a, &b, &c].map(Rigged::batches), [1, 1, 0]);
    assert_eq!([&a, &b, &c].map(Rigged::commits), [1, 1, 0]);
}

/// Returns a batch that writes to all three datastores.
async fn batch_of_three(mount: &Mount) -> Box<dyn ds_flatfs::Batch> {
    let batch = mount.batch().await.unwrap();
    for key in ["/c/x", "/b/x", "/a/x"] {
        batch.put(&Key::new(key), "value".into()).await.unwrap();
    }
    batch
}

#[tokio::test]
async fn a_commit_that_fails_half_way_names_the_committed_mounts() {
    let ([_, b, _], mount) = rigged();
    b.fail(Call::Commit);
    let error = batch_of_three(&mount).await.commit().await.unwrap_err();
    let Error::PartlyCommitted {
        committed, failed, ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(
        (&committed[..], failed.as_str()),
        (&[Key::new("/a")][..], "/b")
    );
    assert_clear(&error, "/a");
    assert_eq!(keys(&mount, Query::new()).await, ["/a/x"]);
}

#[tokio::test]
async fn a_commit_that_fails_at_the_first_mount_changes_nothing() {
    let ([a, _, _], mount) = rigged();
    a.fail(Call::Commit);
    let error = batch_of_three(&mount).await.commit().await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error:?}");
    assert!(keys(&mount, Query::new()).await.is_empty());
}

#[tokio::test]
async fn a_commit_continues_when_its_future_is_dropped() {
    let ([_, b, c], mount) = rigged();
    b.block_commits();
    let batch = batch_of_three(&mount).await;
    assert!(batch.commit().now_or_never().is_none());
    b.release_commits();
    while c.commits() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(keys(&mount, Query::new()).await, ["/a/x", "/b/x", "/c/x"]);
}
