//! Answers about many keys that keep their datastore.

use std::future;

use futures::stream::{self, StreamExt};
use tokio::sync::mpsc;

use super::{Datastore, ResultStream};

/// The answers of a datastore about many keys, as a stream that borrows nothing: it keeps `datastore`, which
/// is best a handle, such as an `Arc<dyn Datastore>` or a clone of a [`FlatFs`](crate::FlatFs). It is for
/// what has to be `'static`, such as the body of a response, or a stream that a function makes and returns.
///
/// A task that has a handle of its own doesn't need it: it can ask and read in one `async` block.
///
/// `ask` says what is asked: [`get_many`](Datastore::get_many) or [`has_many`](Datastore::has_many). The
/// answers come as from there, and are found while the stream is read; no task is spawned. Dropping the
/// stream ends the reads.
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
    ask: impl FnOnce(&D) -> ResultStream<'_, T> + Send + 'static,
) -> ResultStream<'static, T>
where
    D: Datastore + 'static,
    T: Send + 'static,
{
    let (tell, mut told) = mpsc::channel(1);
    // Only a future can keep the datastore beside the stream that borrows it.
    let asking = async move {
        let mut answers = ask(&datastore);
        while let Some(answer) = answers.next().await {
            if tell.send(answer).await.is_err() {
                return;
            }
        }
    };
    let asking = stream::once(asking).filter_map(|()| future::ready(None));
    let answers = stream::poll_fn(move |context| told.poll_recv(context));
    stream::select(answers, asking).boxed()
}
