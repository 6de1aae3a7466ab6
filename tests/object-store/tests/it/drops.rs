//! Calls whose futures are dropped before they end.

use std::collections::BTreeMap;
use std::fs;
use std::pin::pin;

use bytes::Bytes;
use ds_flatfs::object::ObjectDatastore;
use ds_flatfs::{Batch, Datastore, Key, Result};
use ds_flatfs_object_store::Server;
use futures::future::{Either, select};
use tokio::task::yield_now;

/// So large that a request is sent in several parts.
const SIZE: usize = 100 << 10;

/// Runs a future while the other tasks of the runtime are polled this number of times, and drops it. Repolls its output if
/// it is ready.
async fn run_for<T>(future: impl Future<Output = T>, polls: u64) -> Option<T> {
    let polls = async {
        for _ in 0..polls {
            yield_now().await;
        }
    };
    match select(pin!(future), pin!(polls)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

type Blocks = BTreeMap<&'static str, Bytes>;

fn stored(server: &Server) -> BTreeMap<String, Bytes> {
    let files = fs::read_dir(server.bucket_dir().join("blocks")).unwrap();
    let files = files.map(|file| {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        (name, fs::read(file.path()).unwrap().into())
    });
    files.collect()
}

/// Drops the future of a call at once, then a little later, and so on until it ends. Each block is then as before the call
/// or as after it, and the same call makes all as after it.
async fn drop_at_any_point(
    before: &Blocks,
    after: &Blocks,
    call: impl AsyncFn(ObjectDatastore) -> Result<()>,
) {
    let server = Server::start().await;
    let dir = server.bucket_dir().join("blocks");
    let mut polls = 0;
    loop {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        for (name, value) in before {
            fs::write(dir.join(name), value).unwrap();
        }
        let datastore = server.open("blocks").await;
        let completed = run_for(call(datastore.clone()), polls).await;
        // A commit continues in a task of its own.
        datastore.close().await.unwrap();
        drop(datastore);
        server.serve_all().await;
        let found = stored(&server);
        for name in before.keys().chain(after.keys()) {
            let value = found.get(*name);
            let is_whole = value == before.get(name) || value == after.get(name);
            assert!(
                is_whole,
                "{name} has {:?} bytes after {polls} polls",
                value.map(Bytes::len)
            );
        }
        if let Some(done) = completed {
            done.unwrap();
            assert!(polls > 0, "the call was never dropped");
            return;
        }
        polls = 2 * polls + 1;
        call(server.open("blocks").await).await.unwrap();
        let expected = after
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        assert!(stored(&server) == expected.collect(), "after {polls} polls");
    }
}

fn block(byte: u8) -> Bytes {
    vec![byte; SIZE].into()
}

#[tokio::test]
async fn a_dropped_put_leaves_the_old_block_or_the_new_one() {
    let (before, after) = ([("K", block(1))].into(), [("K", block(2))].into());
    drop_at_any_point(&before, &after, async |datastore| {
        datastore.put(&Key::new("K"), block(2)).await
    })
    .await;
}

#[tokio::test]
async fn a_dropped_delete_leaves_the_block_or_removes_it() {
    let before = [("K", block(1)), ("OTHER", block(2))].into();
    let after = [("OTHER", block(2))].into();
    drop_at_any_point(&before, &after, async |datastore| {
        datastore.delete(&Key::new("K")).await
    })
    .await;
}

#[tokio::test]
async fn a_dropped_commit_is_completed_by_another_one() {
    let before = [("OLD", block(1))].into();
    let names = ["A", "B", "C", "D"];
    let after = names.map(|name| (name, block(name.as_bytes()[0]))).into();
    drop_at_any_point(&before, &after, async |datastore| {
        let batch = datastore.batch().await?;
        for name in names {
            let value = block(name.as_bytes()[0]);
            Batch::put(&batch, &Key::new(name), value).await?;
        }
        Batch::delete(&batch, &Key::new("OLD")).await?;
        batch.commit().await
    })
    .await;
}

#[tokio::test]
async fn a_commit_whose_future_is_dropped_is_completed_and_deletes_after_all_puts() {
    let server = Server::start().await;
    let datastore = server.open("blocks").await;
    datastore.put(&Key::new("OLD"), block(1)).await.unwrap();
    let names = ["A", "B", "C", "D"];
    let batch = datastore.batch().await.unwrap();
    for name in names {
        Batch::put(&batch, &Key::new(name), block(2)).await.unwrap();
    }
    Batch::delete(&batch, &Key::new("OLD")).await.unwrap();

    server.faults.hold_puts_after(names.len() - 1);
    {
        let commit = pin!(batch.commit());
        let held = pin!(server.faults.put_is_held());
        let ended = select(commit, held).await;
        assert!(matches!(ended, Either::Right(_)), "a put is held");
    }
    drop(batch);
    assert!(stored(&server).contains_key("OLD"));
    server.faults.release_puts();
    datastore.close().await.unwrap();
    let expected = names.map(|name| (name.to_owned(), block(2)));
    assert!(stored(&server) == expected.into());
}
