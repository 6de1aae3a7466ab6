//! Calls that must succeed, and assertions about the contents of a datastore or a batch.

use std::fmt::{Debug, Display};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::datastore::{Batch, Datastore};
use crate::error::Result;
use crate::key::Key;
use crate::query::{Entry, EntryStream, Excerpt, Query};

/// The methods that [`Datastore`] and [`Batch`] have in common.
#[async_trait]
pub(super) trait Access: Debug + Sync {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;
    async fn has(&self, key: &Key) -> Result<bool>;
    async fn get_size(&self, key: &Key) -> Result<Option<u64>>;
    async fn query(&self, query: Query) -> Result<EntryStream>;
    async fn put(&self, key: &Key, value: Bytes) -> Result<()>;
    async fn delete(&self, key: &Key) -> Result<()>;
}

macro_rules! impl_access {
    ($subject:ident) => {
        #[async_trait]
        impl<'d> Access for dyn $subject + 'd {
            async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
                $subject::get(self, key).await
            }

            async fn has(&self, key: &Key) -> Result<bool> {
                $subject::has(self, key).await
            }

            async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
                $subject::get_size(self, key).await
            }

            async fn query(&self, query: Query) -> Result<EntryStream> {
                $subject::query(self, query).await
            }

            async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
                $subject::put(self, key, value).await
            }

            async fn delete(&self, key: &Key) -> Result<()> {
                $subject::delete(self, key).await
            }
        }
    };
}

impl_access!(Datastore);
impl_access!(Batch);

/// Returns the result of a call that must succeed.
pub(super) fn ok<T>(result: Result<T>, call: impl Display) -> T {
    result.unwrap_or_else(|error| panic!("{call} should succeed, but returned the error {error:?}"))
}

pub(super) fn equal<T: PartialEq + Debug>(found: T, expected: T, what: impl Display) {
    assert!(
        found == expected,
        "{what} should be {expected:?}, but is {found:?}"
    );
}

/// Checks at the start of a suite that the datastore is empty, because a suite cannot tell its entries from others.
pub(super) async fn start(datastore: &dyn Datastore) {
    is_empty(datastore, "a suite needs an empty datastore").await;
}

/// Deletes all entries at the end of a suite.
pub(super) async fn finish(datastore: &dyn Datastore) {
    let entries = query(datastore, Query::new().keys_only()).await;
    for_each(entries, |entry| async move {
        delete(datastore, &entry.key).await;
    })
    .await;
    is_empty(datastore, "every key that a query found was deleted").await;
}

pub(super) async fn put<S>(subject: &S, key: &Key, value: impl Into<Bytes>)
where
    S: Access + ?Sized,
{
    let put = subject.put(key, value.into()).await;
    ok(put, format_args!("put of {key}"));
}

pub(super) async fn delete<S: Access + ?Sized>(subject: &S, key: &Key) {
    let delete = subject.delete(key).await;
    ok(delete, format_args!("delete of {key}"));
}

/// Puts all entries, several at a time.
pub(super) async fn fill<S: Access + ?Sized>(subject: &S, entries: &[Entry]) {
    for_each(entries.to_vec(), |entry| async move {
        put(subject, &entry.key, entry.value.expect("it has a value")).await;
    })
    .await;
}

/// Calls `work` for all entries, several at a time.
async fn for_each<F>(entries: Vec<Entry>, work: impl Fn(Entry) -> F)
where
    F: Future<Output = ()>,
{
    stream::iter(entries).for_each_concurrent(16, work).await;
}

pub(super) async fn begin(datastore: &dyn Datastore) -> Box<dyn Batch> {
    ok(datastore.batch().await, "beginning a batch")
}

pub(super) async fn commit(batch: Box<dyn Batch>) {
    ok(batch.commit().await, "the commit of a batch");
}

/// Returns all entries that the query finds, in the order of the stream.
pub(super) async fn query<S: Access + ?Sized>(subject: &S, query: Query) -> Vec<Entry> {
    let stream = subject.query(query.clone()).await;
    let stream = ok(stream, format_args!("the query ({query})"));
    let entries = stream.try_collect().await;
    ok(entries, format_args!("reading the query ({query})"))
}

/// Checks that all reads find this value of the key.
pub(super) async fn has_value<S>(subject: &S, key: &Key, value: impl AsRef<[u8]>, why: &str)
where
    S: Access + ?Sized,
{
    let value = value.as_ref();
    let found = ok(subject.get(key).await, format_args!("get of {key}"));
    assert!(
        found.as_deref() == Some(value),
        "{why}: get of {key} should be {}, but is {}",
        summary(Some(value)),
        summary(found.as_deref()),
    );
    let has = ok(subject.has(key).await, format_args!("has of {key}"));
    assert!(has, "{why}: has of {key} should be true");
    let size = ok(subject.get_size(key).await, format_args!("size of {key}"));
    let expected = Some(value.len() as u64);
    equal(size, expected, format_args!("{why}: size of {key}"));
}

/// Checks that all reads find no value of the key.
pub(super) async fn has_no_value<S: Access + ?Sized>(subject: &S, key: &Key, why: &str) {
    let found = ok(subject.get(key).await, format_args!("get of {key}"));
    assert!(
        found.is_none(),
        "{why}: get of {key} should be none, but is {}",
        summary(found.as_deref()),
    );
    let has = ok(subject.has(key).await, format_args!("has of {key}"));
    assert!(!has, "{why}: has of {key} should be false");
    let size = ok(subject.get_size(key).await, format_args!("size of {key}"));
    equal(size, None, format_args!("{why}: size of {key}"));
}

pub(super) async fn is_empty<S: Access + ?Sized>(subject: &S, why: &str) {
    let entries = query(subject, Query::new().keys_only()).await;
    assert!(
        entries.is_empty(),
        "{why}: there should be no entries, but there are {}, the first {:?}",
        entries.len(),
        entries.first(),
    );
}

/// Returns the size and the beginning of a value.
fn summary(value: Option<&[u8]>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => format!("{} bytes, {}", value.len(), Excerpt::bytes(value)),
    }
}
