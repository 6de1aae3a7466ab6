//! The streams that bulk calls take and return.

use std::future;

use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use tokio::sync::mpsc;

use super::Datastore;
use crate::error::Result;
use crate::key::Key;

/// The keys for a bulk call. The call takes them from the stream as it needs them.
pub type KeyStream<'a> = BoxStream<'a, Key>;

/// The keys and values for a bulk put. The call takes them from the stream as it needs them. An error item means that
/// the source of the values has failed.
pub type PutStream<'a> = BoxStream<'a, Result<(Key, Bytes)>>;

/// The results of a bulk read, in the order of the keys.
///
/// An error concerns its key alone and does not end the stream: see [`ResultStreamExt`]. Dropping the stream ends
/// the reads.
pub type ResultStream<'a, T> = BoxStream<'a, (Key, Result<T>)>;

/// A method for the results of a bulk read, with any lifetime.
pub trait ResultStreamExt<T>: Stream<Item = (Key, Result<T>)> + Sized {
    /// Turns each item into a `Result` of key and value, so that the methods of `TryStreamExt` can be used, such as
    /// `try_next` and `try_collect`. An error no longer has its key beside it.
    ///
    /// ```
    /// # use ds_flatfs::{FlatFs, Key};
    /// use ds_flatfs::ResultStreamExt;
    /// use futures::stream::{self, TryStreamExt};
    ///
    /// # async fn example(store: FlatFs, keys: Vec<Key>) -> ds_flatfs::Result<()> {
    /// let results = store.get_many(stream::iter(keys)).transpose();
    /// let blocks: Vec<_> = results.try_collect().await?;
    /// # Ok(()) }
    /// ```
    fn transpose(self) -> impl Stream<Item = Result<(Key, T)>> {
        self.map(|(key, result)| Ok((key, result?)))
    }
}

impl<T, S: Stream<Item = (Key, Result<T>)>> ResultStreamExt<T> for S {}

/// Returns the results of a bulk read as a `'static` stream, which owns `datastore` instead of borrowing it. Pass a
/// handle, such as an `Arc<dyn Datastore>` or a clone of a [`FlatFs`](crate::FlatFs).
///
/// Use this for a stream that must be `'static`, such as the body of a response, or a stream that a function creates
/// and returns. A task that owns a handle does not need it: it can call [`get_many`](Datastore::get_many) and read
/// the stream in the same `async` block.
///
/// `read` starts the bulk read: [`get_many`](Datastore::get_many) or [`has_many`](Datastore::has_many). No task is
/// spawned: the keys are looked up while the stream is read. Dropping the stream ends the reads.
///
/// ```
/// use std::sync::Arc;
/// use ds_flatfs::{ResultStream, Datastore, Key, static_stream};
/// use bytes::Bytes;
/// use futures::stream::{self, StreamExt};
///
/// fn values(store: Arc<dyn Datastore>, keys: Vec<Key>) -> ResultStream<'static, Option<Bytes>> {
///     let keys = stream::iter(keys).boxed();
///     static_stream(store, |store| store.get_many(keys))
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let store = Arc::new(ds_flatfs::MemoryDatastore::new());
/// # assert_eq!(values(store, vec!["/a".into(), "/b".into()]).count().await, 2);
/// # }
/// ```
pub fn static_stream<D, T>(
    datastore: D,
    read: impl FnOnce(&D) -> ResultStream<'_, T> + Send + 'static,
) -> ResultStream<'static, T>
where
    D: Datastore + 'static,
    T: Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(1);
    // Only a future can own the datastore and the stream that borrows it. So one future reads the stream and passes
    // its items through the channel, and is polled together with the receiver.
    let reading = async move {
        let mut results = read(&datastore);
        while let Some(result) = results.next().await {
            if sender.send(result).await.is_err() {
                return;
            }
        }
    };
    let reading = stream::once(reading).filter_map(|()| future::ready(None));
    let results = stream::poll_fn(move |context| receiver.poll_recv(context));
    stream::select(results, reading).boxed()
}
