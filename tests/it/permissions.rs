//! Files and directories without the permissions that a store needs.

use std::fs;
use std::future::Future;
use std::path::Path;

use ds_flatfs::{FlatFs, Query, Result};
use futures::StreamExt;

use crate::platform::{become_other_user, set_mode};
use crate::support::{Home, assert_clear, block, options};

/// Runs a test as a user without privileges, since permissions do not apply to root. Only the thread of the
/// test and the pool threads that it starts change their user.
fn run_unprivileged<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        let run = || {
            become_other_user();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(test());
        };
        scope.spawn(run).join().unwrap();
    });
}

#[test]
#[cfg_attr(windows, ignore = "files on Windows have no mode")]
fn a_directory_without_write_permission_is_an_error_that_names_it() {
    let home = Home::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = options().create(home.store()).await.unwrap();
        let (key, value) = block(0);
        store.put(&key, value).await.unwrap();
        store.close().await.unwrap();
    });
    drop(runtime);
    let (key, value) = block(0);
    let path = home.block(&key);
    set_mode(&home.beside(""), 0o755);
    set_mode(&path, 0o644);
    set_mode(&home.store(), 0o555);
    let denied = |result: Result<FlatFs>, path: &Path| {
        let error = result.unwrap_err();
        let source = error.io_error().unwrap();
        assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied);
        assert_clear(&error, path.to_str().unwrap());
    };
    run_unprivileged(async || {
        fs::File::create(home.in_store("x")).unwrap_err();
        denied(options().open(home.store()).await, &home.store());
        denied(
            options().create(home.beside("new")).await,
            &home.beside("new"),
        );
        let reader = options().read_only(true).open(home.store()).await.unwrap();
        assert_eq!(reader.get(&key).await.unwrap(), Some(value));
        reader.close().await.unwrap();
    });
    set_mode(&home.store(), 0o000);
    run_unprivileged(async || {
        let reader = options().read_only(true);
        denied(reader.open(home.store()).await, &home.store());
    });
    set_mode(&home.store(), 0o755);
}

#[test]
#[cfg_attr(windows, ignore = "files on Windows have no mode")]
fn a_block_without_read_permission_is_an_error_and_a_query_returns_the_others() {
    let home = Home::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = options()
            .file_mode(0o644)
            .create(home.store())
            .await
            .unwrap();
        for seed in 0..3 {
            let (key, value) = block(seed);
            store.put(&key, value).await.unwrap();
        }
        store.close().await.unwrap();
    });
    drop(runtime);
    let (key, _) = block(0);
    let path = home.block(&key);
    set_mode(&home.beside(""), 0o755);
    set_mode(&path, 0o000);
    run_unprivileged(async || {
        let store = options().read_only(true).open(home.store()).await.unwrap();
        let error = store.get(&key).await.unwrap_err();
        assert_clear(&error, path.to_str().unwrap());
        let entries: Vec<_> = store.query(Query::new()).await.unwrap().collect().await;
        let (found, failed): (Vec<_>, Vec<_>) = entries.into_iter().partition(Result::is_ok);
        assert_eq!(found.len(), 2);
        assert_eq!(failed.len(), 1);
        assert_clear(failed[0].as_ref().unwrap_err(), path.to_str().unwrap());
        store.close().await.unwrap();
    });
}
