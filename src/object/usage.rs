//! [`UsageCache`]: the sum of the sizes of all objects, which only a listing shows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{Stream, TryStreamExt};
use object_store::ObjectMeta;
use tokio::sync::Mutex;

use crate::datastore::{Accuracy, DiskUsage};
use crate::error::Result;

/// How long a sum is used. Listing a million objects takes a thousand requests.
const MAX_AGE: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct UsageCache {
    /// Held while the objects are listed, so that callers share a listing.
    listed: Mutex<Option<Listed>>,
    /// The puts and deletes of this handle.
    writes: AtomicU64,
    /// The bytes of these puts.
    put_bytes: AtomicU64,
}

/// The sum of a listing, and the counters when it began.
#[derive(Clone, Copy, Debug)]
struct Listed {
    bytes: u64,
    at: Instant,
    writes: u64,
    put_bytes: u64,
}

impl UsageCache {
    /// Counts a write. A delete counts as 0 bytes, because the size of the object is not known.
    pub(super) fn add_write(&self, bytes: usize) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.put_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the sum of the last listing and of the puts since then. Lists the objects again if that listing is too
    /// old. Others can write at any time, so the figure is exact only if it was just listed.
    pub(super) async fn get<S>(&self, list: impl FnOnce() -> S) -> Result<DiskUsage>
    where
        S: Stream<Item = Result<ObjectMeta>>,
    {
        let mut cached = self.listed.lock().await;
        let (listed, is_new) = match *cached {
            Some(listed) if listed.at.elapsed() < MAX_AGE => (listed, false),
            _ => (self.count(list()).await?, true),
        };
        *cached = Some(listed);
        let added = self.put_bytes.load(Ordering::Relaxed) - listed.put_bytes;
        let is_unchanged = self.writes.load(Ordering::Relaxed) == listed.writes;
        let accuracy = match is_new && is_unchanged {
            true => Accuracy::Exact,
            false => Accuracy::Approximate,
        };
        Ok(DiskUsage::new(listed.bytes.saturating_add(added), accuracy))
    }

    async fn count(&self, objects: impl Stream<Item = Result<ObjectMeta>>) -> Result<Listed> {
        let begun = Listed {
            bytes: 0,
            at: Instant::now(),
            writes: self.writes.load(Ordering::Relaxed),
            put_bytes: self.put_bytes.load(Ordering::Relaxed),
        };
        let sum = async |sum: u64, object: ObjectMeta| Ok(sum.saturating_add(object.size));
        Ok(Listed {
            bytes: objects.try_fold(0, sum).await?,
            ..begun
        })
    }
}
