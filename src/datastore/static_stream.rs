//! [`static_stream`]: the results of a bulk read as a stream that owns its datastore.

use std::future;

use futures::stream::{self, StreamExt};
use tokio::sync::mpsc;

use super::{Datastore, ResultStream};

/// Returns the results of a bulk read as a `'static` stream, which owns `datastore` instead of borrowing it. Pass a
/// handle, such as an `Arc<dyn Datastore>` or a clone of a [`FlatFs`](crate::FlatFs).
///
/// The function is for streams that must be `'static`, such as the body of a response, or that a function creates
/// and returns. A task that owns a handle does not need it: it can call [`get_many`](Datastore::get_many) and read
/// the stream in the same `async` block.
///
/// `read` starts the bulk read: [`get_many`](Datastore::get_many) or [`has_many`](Datastore::has_many). No task is
/// spawned: the results are found while the stream is read. Dropping the stream ends the reads.
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
