//! How failures are distinguished, and what their messages contain.

use std::error::Error as _;

use ds_flatfs::object::ObjectDatastore;
use ds_flatfs::object_store::RetryConfig;
use ds_flatfs::{Batch, Datastore, Error, Key};
use ds_flatfs_object_store::{READER, Server, WRITER};
use futures::future::{BoxFuture, FutureExt, TryFutureExt};

async fn open_error(server: &Server, key: [&str; 2], url: &str) -> Error {
    let opened = server.options(key).open_url(url).await;
    opened.expect_err("it should not open")
}

/// Returns the messages of the whole chain, which must not contain a secret.
fn messages(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    for secret in [WRITER[1], READER[1], "wrong-secret"] {
        assert!(!format!("{text} {error:?}").contains(secret), "{text}");
    }
    text
}

#[tokio::test]
async fn a_wrong_key_and_a_wrong_secret_are_refused_credentials() {
    let server = Server::start().await;
    for key in [["UNKNOWN", "wrong-secret"], [WRITER[0], "wrong-secret"]] {
        let error = open_error(&server, key, "s3://bucket/blocks").await;
        assert!(error.is_unauthenticated(), "{}", messages(&error));
        assert!(messages(&error).contains("s3://bucket/blocks"), "{error}");
    }
}

#[tokio::test]
async fn a_missing_bucket_is_an_error_and_not_an_empty_datastore() {
    let server = Server::start().await;
    let error = open_error(&server, WRITER, "s3://missing/blocks").await;
    assert!(error.is_bucket_missing(), "{}", messages(&error));
    assert!(
        messages(&error).contains("the bucket does not exist"),
        "{error}"
    );
}

#[tokio::test]
async fn a_read_only_key_reads_and_its_writes_are_denied() {
    let server = Server::start().await;
    let key = Key::new("K");
    let writer = server.open("blocks").await;
    writer.put(&key, "value".into()).await.unwrap();

    let options = server.options(READER);
    let reader: ObjectDatastore = options.open_url("s3://bucket/blocks").await.unwrap();
    assert_eq!(reader.get(&key).await.unwrap().unwrap(), "value");
    let error = reader.put(&key, "other".into()).await.unwrap_err();
    assert!(error.is_permission_denied(), "{}", messages(&error));
    assert!(messages(&error).contains("s3://bucket/blocks/K"), "{error}");
    assert!(
        reader
            .delete(&key)
            .await
            .unwrap_err()
            .is_permission_denied()
    );
    let batch = reader.batch().await.unwrap();
    batch.put(&key, "other".into()).await.unwrap();
    let error = batch.commit().await.unwrap_err();
    assert!(error.is_permission_denied(), "{}", messages(&error));
    assert_eq!(writer.get(&key).await.unwrap().unwrap(), "value");
}

#[tokio::test]
async fn debug_output_has_no_secret() {
    let server = Server::start().await;
    let datastore = server.open("blocks").await;
    let shown = format!("{datastore:?} {:?}", server.options(WRITER));
    assert!(!shown.contains(WRITER[1]), "{shown}");
}

#[tokio::test]
async fn a_server_that_asks_for_fewer_requests_and_one_that_does_not_respond_are_distinguished() {
    let server = Server::start().await;
    let retries = |max_retries| RetryConfig {
        max_retries,
        ..RetryConfig::default()
    };
    let options = server.options(WRITER).retry(retries(1));
    let datastore = options.open_url("s3://bucket/blocks").await.unwrap();
    // Long enough for the requests of the open on a busy machine.
    let options = server.options(WRITER).retry(retries(0));
    let options = options.client_option("timeout", "2s");
    let impatient = options.open_url("s3://bucket/blocks").await.unwrap();
    let key = Key::new("K");
    server.faults.hold_puts_after(0);
    let error = impatient.put(&key, "value".into()).await.unwrap_err();
    assert!(error.is_timed_out() && !error.is_throttled(), "{error:?}");
    assert!(messages(&error).contains("s3://bucket/blocks/K"), "{error}");

    server.faults.throttle();
    server.faults.release_puts();
    let calls: [(&str, BoxFuture<'_, Result<(), Error>>); 4] = [
        ("put", datastore.put(&key, "value".into())),
        ("get", datastore.get(&key).map_ok(drop).boxed()),
        ("has", datastore.has(&key).map_ok(drop).boxed()),
        ("delete", datastore.delete(&key)),
    ];
    for (name, call) in calls {
        let error = call.await.unwrap_err();
        assert!(
            error.is_throttled() && !error.is_timed_out(),
            "{name}: {error:?}"
        );
    }
}
