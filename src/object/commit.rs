//! The commit of a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures::stream::{self, StreamExt, TryStreamExt};

use super::shared::Shared;
use super::staging::{StagedWrite, Writes, iterate};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::observe;

/// How many writes have taken effect.
#[derive(Debug, Default)]
struct Done {
    puts: AtomicUsize,
    bytes: AtomicU64,
    deletes: AtomicUsize,
}

/// Sends the puts, then the deletes.
pub(super) async fn commit(shared: &Arc<Shared>, writes: Arc<Writes>) -> Result<()> {
    let puts = writes.values().filter(|write| write.len().is_some());
    let puts = puts.count();
    let deletes = writes.len() - puts;
    let done = Done::default();
    let result = match put_all(shared, &writes, &done).await {
        // The deletes come last: if a put fails, nothing that other blocks may refer to has been deleted.
        Ok(()) => delete_all(shared, &writes, &done).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {
            let bytes = done.bytes.load(Ordering::Relaxed);
            observe::sent(&shared.location(), puts, deletes, bytes);
            Ok(())
        }
        Err(source) => Err(Error::PartlyStored {
            stored: done.puts.load(Ordering::Relaxed),
            puts,
            deleted: done.deletes.load(Ordering::Relaxed),
            deletes,
            source: Arc::new(source),
        }),
    }
}

async fn put_all(shared: &Shared, writes: &Arc<Writes>, done: &Done) -> Result<()> {
    let put = async |(key, write): (Key, StagedWrite)| {
        if let Some(value) = write.value().await? {
            let bytes = value.len() as u64;
            shared.put(&key, value).await?;
            done.puts.fetch_add(1, Ordering::Relaxed);
            done.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(())
    };
    let puts = iterate(Arc::clone(writes)).filter(|(_, write)| write.len().is_some());
    let puts = stream::iter(puts).map(Ok);
    puts.try_for_each_concurrent(shared.concurrency, put).await
}

async fn delete_all(shared: &Shared, writes: &Arc<Writes>, done: &Done) -> Result<()> {
    let deletes = iterate(Arc::clone(writes)).filter(|(_, write)| write.len().is_none());
    let keys = deletes.map(|(key, _)| key);
    let deleted = shared.delete_all(keys);
    let count = async |()| {
        done.deletes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    deleted.try_for_each(count).await
}
