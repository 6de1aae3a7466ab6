//! Calls that have to succeed, and statements about what a datastore or a batch holds.

use std::fmt::{Debug, Display};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::datastore::{Batch, Datastore};
use crate::error::Result;
use crate::key::Key;
use crate::query::{Entry, EntryStream, Query};

/// What can be asked of a datastore and of a batch alike.
#[async_trait]
pub(super) trait Verbs: Debug + Sync {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;
    async fn has(&self, key: &Key) -> Result<bool>;
    async fn get_size(&self, key: &Key) -> Result<Option<u64>>;
    async fn query(&self, query: Query) -> Result<EntryStream>;
    async fn put(&self, key: &Key, value: Bytes) -> Result<()>;
    async fn delete(&self, key: &Key) -> Result<()>;
}

macro_rules! verbs_of {
    ($contract:ident) => {
        #[async_trait]
        impl<'d> Verbs for dyn $contract + 'd {
            async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
                $contract::get(self, key).await
            }

            async fn has(&self, key: &Key) -> Result<bool> {
                $contract::has(self, key).await
            }

            async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
                $contract::get_size(self, key).await
            }

            async fn query(&self, query: Query) -> Result<EntryStream> {
                $contract::query(self, query).await
            }

            async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
                $contract::put(self, key, value).await
            }

            async fn delete(&self, key: &Key) -> Result<()> {
                $contract::delete(self, key).await
            }
        }
    };
}

verbs_of!(Datastore);
verbs_of!(Batch);

/// What a call answered that has no reason to fail.
pub(super) fn ok<T>(result: Result<T>, call: impl Display) -> T {
    result.unwrap_or_else(|error| panic!("{call} should succeed, but said: {error:?}"))
}

pub(super) fn equal<T: PartialEq + Debug>(found: T, expected: T, what: impl Display) {
    assert!(
        found == expected,
        "{what} should be {expected:?}, but is {found:?}"
    );
}

/// At the start of a suite: it can only tell its own entries from others if there are no others.
pub(super) async fn start(datastore: &dyn Datastore) {
    is_empty(datastore, "a suite needs an empty datastore").await;
}

/// At the end of a suite: deletes what is there.
pub(super) async fn finish(datastore: &dyn Datastore) {
    let entries = answer(datastore, Query::new().keys_only()).await;
    at_once(entries, |entry| async move {
        delete(datastore, &entry.key).await;
    })
    .await;
    is_empty(datastore, "every key that a query found was deleted").await;
}

pub(super) async fn put<S>(subject: &S, key: &Key, value: impl Into<Bytes>)
where
    S: Verbs + ?Sized,
{
    let put = subject.put(key, value.into()).await;
    ok(put, format_args!("put of {key}"));
}

pub(super) async fn delete<S: Verbs + ?Sized>(subject: &S, key: &Key) {
    let delete = subject.delete(key).await;
    ok(delete, format_args!("delete of {key}"));
}

/// Puts all of these, several at a time.
pub(super) async fn fill<S: Verbs + ?Sized>(subject: &S, entries: &[Entry]) {
    at_once(entries.to_vec(), |entry| async move {
        put(subject, &entry.key, entry.value.expect("it has a value")).await;
    })
    .await;
}

/// Deals with all entries, several at a time.
async fn at_once<F>(entries: Vec<Entry>, deal: impl Fn(Entry) -> F)
where
    F: Future<Output = ()>,
{
    stream::iter(entries).for_each_concurrent(16, deal).await;
}

pub(super) async fn begin(datastore: &dyn Datastore) -> Box<dyn Batch> {
    ok(datastore.batch().await, "beginning a batch")
}

pub(super) async fn commit(batch: Box<dyn Batch>) {
    ok(batch.commit().await, "the commit of a batch");
}

/// All entries that the query finds, as they come.
pub(super) async fn answer<S: Verbs + ?Sized>(subject: &S, query: Query) -> Vec<Entry> {
    let stream = subject.query(query.clone()).await;
    let stream = ok(stream, format_args!("the query ({query})"));
    let entries = stream.try_collect().await;
    ok(entries, format_args!("reading the query ({query})"))
}

/// All reads agree that the key has this value.
pub(super) async fn holds<S>(subject: &S, key: &Key, value: impl AsRef<[u8]>, why: &str)
where
    S: Verbs + ?Sized,
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

/// All reads agree that the key has no value.
pub(super) async fn lacks<S: Verbs + ?Sized>(subject: &S, key: &Key, why: &str) {
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

pub(super) async fn is_empty<S: Verbs + ?Sized>(subject: &S, why: &str) {
    let entries = answer(subject, Query::new().keys_only()).await;
    assert!(
        entries.is_empty(),
        "{why}: there should be no entries, but there are {}, the first {:?}",
        entries.len(),
        entries.first(),
    );
}

/// A value short enough to read, whatever its size.
fn summary(value: Option<&[u8]>) -> String {
    const SHOWN: usize = 32;
    match value {
        None => "none".to_owned(),
        Some(value) => format!(
            "{} bytes, \"{}{}\"",
            value.len(),
            value.get(..SHOWN).unwrap_or(value).escape_ascii(),
            if value.len() > SHOWN { "…" } else { "" },
        ),
    }
}
