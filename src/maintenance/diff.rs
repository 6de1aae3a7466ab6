//! [`Diff`]: the keys in which two datastores differ.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures::future::ready;
use futures::stream::{BoxStream, StreamExt};

use super::compare::{Compared, End, ListingError, compare};
use super::progress::{Progress, ProgressCallback};
use super::reporter::Reporter;
use crate::datastore::Datastore;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::query::{Entry, Query};

/// Compares the keys of two datastores and the sizes of their values. It reads no values: blocks of the same
/// size under the same key are regarded as equal.
///
/// It reads both listings in the order of the keys, and what that takes depends on each datastore:
///
/// | datastore | keys in memory, about 150 bytes for each |
/// | --- | --- |
/// | in S3, Google Cloud Storage or another object store that lists its keys in order | none |
/// | a [`FlatFs`](crate::FlatFs) | up to two million; it reads its directories once for each million keys |
/// | in other object stores, or with a shard function there; other datastores that sort by [`apply`](crate::query::apply()) | all |
///
/// ```
/// use ds_flatfs::maintenance::{Diff, Difference};
/// use ds_flatfs::{Datastore, Key, MemoryDatastore};
/// use futures::TryStreamExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ds_flatfs::Result<()> {
/// let (a, b) = (MemoryDatastore::new(), MemoryDatastore::new());
/// a.put(&Key::new("/CIQONE"), "one".into()).await?;
/// let differences: Vec<Difference> = Diff::new(&a, &b).start().await?.try_collect().await?;
/// assert_eq!(differences[0].key, Key::new("/CIQONE"));
/// assert_eq!((differences[0].first, differences[0].second), (Some(3), None));
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a comparison does nothing until it is started"]
pub struct Diff<'a> {
    first: &'a dyn Datastore,
    second: &'a dyn Datastore,
    callback: ProgressCallback,
}

/// A key in which two datastores differ: one of them lacks it, or the sizes of the values differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The key.
    pub key: Key,
    /// The size of the value in the first datastore in bytes, or `None` if it lacks the key.
    pub first: Option<u64>,
    /// The size of the value in the second datastore in bytes, or `None` if it lacks the key.
    pub second: Option<u64>,
}

impl<'a> Diff<'a> {
    /// Prepares the comparison of two datastores.
    pub fn new(first: &'a dyn Datastore, second: &'a dyn Datastore) -> Self {
        Diff {
            first,
            second,
            callback: ProgressCallback::none(),
        }
    }

    /// Calls `watch` with the progress several times a second. If it returns [`Break`](ControlFlow::Break), the
    /// stream ends with [`Error::Stopped`]. `watch` may block.
    ///
    /// The progress counts the keys that were compared, and has no bytes and no total.
    pub fn on_progress(
        self,
        watch: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        let callback = ProgressCallback::new(watch);
        Diff { callback, ..self }
    }

    /// Starts the comparison, and returns the differences in the order of the keys, as they are found. A key that is
    /// written or deleted during the comparison may or may not be among them.
    ///
    /// An error in the stream says that an entry of a listing could not be read, or has no size. The stream continues
    /// with the other entries. After an error of the listing of one datastore, keys that only the other one lists are
    /// left out: it is not known whether the first one lacks them.
    ///
    /// # Errors
    ///
    /// Fails if one of the two queries cannot begin.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future or the stream changes nothing.
    pub async fn start(self) -> Result<BoxStream<'static, Result<Difference>>> {
        let query = Query::new().keys_only().returns_sizes();
        let compared = compare(self.first, self.second, query, End::OfBoth).await?;
        let reporter = Arc::new(Reporter::new(self.callback));
        let mut incomplete = Incomplete::default();
        let differences = compared.map(move |compared| incomplete.difference(compared));
        let differences = differences.then(move |difference| {
            let reporter = Arc::clone(&reporter);
            async move {
                reporter.advance(|progress| progress.blocks += 1).await?;
                difference
            }
        });
        let found = differences.filter_map(|found| ready(found.transpose()));
        let until_stopped = found.scan(false, |is_stopped, found| {
            let found = (!*is_stopped).then_some(found);
            *is_stopped |= matches!(found, Some(Err(Error::Stopped)));
            ready(found)
        });
        Ok(until_stopped.boxed())
    }
}

/// Which of the listings have had an error until now.
#[derive(Default)]
struct Incomplete {
    first: bool,
    second: bool,
}

impl Incomplete {
    /// Returns the difference if it is known. A key that is absent from an incomplete listing may exist, and a caller
    /// that takes it for missing could delete the only other copy.
    fn difference(
        &mut self,
        compared: Result<Compared, ListingError>,
    ) -> Result<Option<Difference>> {
        match compared {
            Ok(Compared::First(_)) if self.second => Ok(None),
            Ok(Compared::Second(_)) if self.first => Ok(None),
            Ok(compared) => difference(compared),
            Err(ListingError::First(error)) => {
                self.first = true;
                Err(error)
            }
            Err(ListingError::Second(error)) => {
                self.second = true;
                Err(error)
            }
        }
    }
}

/// # Errors
///
/// Fails if a listing has no size of the key: it would not be known whether the values differ.
fn difference(compared: Compared) -> Result<Option<Difference>> {
    let (key, first, second) = match compared {
        Compared::First(entry) => (entry.key.clone(), Some(size(entry)?), None),
        Compared::Second(entry) => (entry.key.clone(), None, Some(size(entry)?)),
        Compared::Both(first, second) => {
            (first.key.clone(), Some(size(first)?), Some(size(second)?))
        }
    };
    Ok((first != second).then_some(Difference { key, first, second }))
}

fn size(entry: Entry) -> Result<u64> {
    entry.size.ok_or_else(|| Error::Backend {
        message: format!("the listing of a datastore has no size of {}", entry.key),
        source: None,
    })
}
