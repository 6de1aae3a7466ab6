//! Suites about batches.

use super::check::{begin, commit, delete, fill, finish, holds, is_empty, lacks, ok, put, start};
use super::expected::check_query;
use super::sample::{self, noise};
use super::{ELEMENTS, Keys};
use crate::datastore::Datastore;
use crate::key::Key;
use crate::query::{Compare, Entry, Filter, Order, Query};

/// More writes than a datastore is likely to have under way at a time.
const WRITES: usize = 20;

fn numbered(keys: Keys) -> impl Iterator<Item = Key> {
    (0..WRITES).map(move |i| keys.key(&format!("batch{i}")))
}

/// Nothing of a batch is there before its commit, and all of it after.
pub async fn batch_commits(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let value = |i| noise(i as u64, 256 * 1024);
    let batch = begin(datastore).await;
    for (i, key) in numbered(keys).enumerate() {
        put(&*batch, &key, value(i)).await;
    }
    for key in numbered(keys) {
        lacks(datastore, &key, "put into a batch that isn't committed").await;
    }
    is_empty(datastore, "the batch isn't committed").await;
    commit(batch).await;
    for (i, key) in numbered(keys).enumerate() {
        holds(datastore, &key, value(i), "put by a committed batch").await;
    }
    finish(datastore).await;
}

/// A batch's deletes take effect at its commit, those of absent keys too.
pub async fn batch_deletes(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    for key in numbered(keys) {
        put(datastore, &key, "value").await;
    }
    let kept = keys.key("kept");
    put(datastore, &kept, "value").await;
    let batch = begin(datastore).await;
    for key in numbered(keys) {
        delete(&*batch, &key).await;
    }
    delete(&*batch, &keys.key("absent")).await;
    for key in numbered(keys) {
        holds(datastore, &key, "value", "its delete isn't committed").await;
    }
    commit(batch).await;
    for key in numbered(keys) {
        lacks(datastore, &key, "deleted by a committed batch").await;
    }
    holds(datastore, &kept, "value", "a batch deleted other keys").await;
    finish(datastore).await;
}

/// The last operation on a key takes effect, over what the datastore holds.
pub async fn batch_last_operation(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [deleted, revived] = keys.nested();
    let [old_deleted, old_revived] = ["olddeleted", "oldrevived"].map(|name| keys.key(name));
    put(datastore, &old_deleted, "old").await;
    put(datastore, &old_revived, "old").await;
    let batch = begin(datastore).await;
    for key in [&deleted, &old_deleted] {
        put(&*batch, key, "new").await;
        delete(&*batch, key).await;
        lacks(&*batch, key, "put, then deleted in the batch").await;
    }
    for key in [&revived, &old_revived] {
        delete(&*batch, key).await;
        put(&*batch, key, "new").await;
        delete(&*batch, key).await;
        put(&*batch, key, "new").await;
        holds(&*batch, key, "new", "deleted, then put in the batch").await;
    }
    commit(batch).await;
    for key in [&deleted, &old_deleted] {
        lacks(datastore, key, "deleted last by the batch").await;
    }
    for key in [&revived, &old_revived] {
        holds(datastore, key, "new", "put last by the batch").await;
    }
    finish(datastore).await;
}

/// The value first put for a key in a batch is the one that counts, also after a delete between; it
/// replaces what the datastore holds.
pub async fn batch_first_value(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [twice, between] = keys.nested();
    put(datastore, &twice, "the datastore's").await;
    let batch = begin(datastore).await;
    put(&*batch, &twice, "first").await;
    put(&*batch, &twice, "second, and longer").await;
    put(&*batch, &between, "first").await;
    delete(&*batch, &between).await;
    put(&*batch, &between, "second, and longer").await;
    for key in [&twice, &between] {
        holds(&*batch, key, "first", "put first in the batch").await;
    }
    commit(batch).await;
    for key in [&twice, &between] {
        holds(datastore, key, "first", "put first by the batch").await;
    }
    finish(datastore).await;
}

/// Reads of a batch see its own writes over the datastore's values, those written meanwhile too.
pub async fn batch_reads(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [stored, replaced, deleted, own, late] =
        ["stored", "replaced", "deleted", "own", "late"].map(|name| keys.key(name));
    for key in [&stored, &replaced, &deleted] {
        put(datastore, key, "old").await;
    }
    let batch = begin(datastore).await;
    put(&*batch, &replaced, "the batch's").await;
    delete(&*batch, &deleted).await;
    put(&*batch, &own, "").await;
    put(datastore, &late, "late").await;

    holds(&*batch, &stored, "old", "the batch doesn't touch it").await;
    holds(&*batch, &replaced, "the batch's", "the batch puts it").await;
    lacks(&*batch, &deleted, "the batch deletes it").await;
    holds(&*batch, &own, "", "the batch puts it, empty").await;
    holds(&*batch, &late, "late", "put into the datastore since").await;
    lacks(&*batch, &keys.key("absent"), "nobody puts it").await;
    let contents = [
        (&stored, "old"),
        (&replaced, "the batch's"),
        (&own, ""),
        (&late, "late"),
    ];
    let contents = contents.map(|(key, value)| Entry::with_value(key.clone(), value.into()));
    check_query(&*batch, &contents, Query::new()).await;

    for key in [&stored, &replaced, &deleted] {
        holds(datastore, key, "old", "the batch isn't committed").await;
    }
    lacks(datastore, &own, "the batch isn't committed").await;
    drop(batch);
    finish(datastore).await;
}

/// A query of a batch merges its own writes with the datastore's entries, each key once.
pub async fn batch_queries(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let mut contents = sample::entries(keys, ELEMENTS);
    fill(datastore, &contents).await;
    let stored = contents.clone();
    let batch = begin(datastore).await;
    for (i, entry) in contents.iter_mut().enumerate().step_by(3) {
        *entry = Entry::with_value(entry.key.clone(), noise(i as u64, 50));
        put(&*batch, &entry.key, entry.value.clone().expect("just set")).await;
    }
    for entry in contents.split_off(contents.len() - ELEMENTS / 4) {
        delete(&*batch, &entry.key).await;
    }
    for key in numbered(keys) {
        put(&*batch, &key, "new").await;
        contents.push(Entry::with_value(key, "new".into()));
    }
    let [gone, _] = keys.nested();
    put(&*batch, &gone, "put, then deleted").await;
    delete(&*batch, &gone).await;

    let queries = || {
        let by_value = Order::by_value().descending();
        let values = Filter::value(Compare::Greater, sample::MIDDLE);
        let slice = Query::new().order(by_value).offset(ELEMENTS / 10);
        [
            Query::new(),
            Query::new().keys_only().returns_sizes(),
            Query::new().order(Order::by_key()).limit(ELEMENTS / 2),
            slice.filter(values).limit(ELEMENTS / 10),
            Query::new().prefix(keys.text("/prefix")).keys_only(),
            Query::new().limit(ELEMENTS / 10),
        ]
    };
    for query in queries() {
        check_query(&*batch, &contents, query).await;
    }
    check_query(datastore, &stored, Query::new()).await;
    commit(batch).await;
    for query in queries() {
        check_query(datastore, &contents, query).await;
    }
    finish(datastore).await;
}

/// A discarded batch has changed nothing.
pub async fn batch_discards(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let batch = begin(datastore).await;
    ok(batch.discard().await, "discarding an empty batch");

    let [kept, other] = keys.nested();
    put(datastore, &kept, "old").await;
    let batch = begin(datastore).await;
    put(&*batch, &other, "new").await;
    delete(&*batch, &kept).await;
    ok(batch.discard().await, "discarding a batch");
    lacks(datastore, &other, "its batch was discarded").await;
    holds(datastore, &kept, "old", "its delete was discarded").await;
    finish(datastore).await;
}

/// A dropped batch has changed nothing.
pub async fn batch_drops(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [kept, _] = keys.nested();
    put(datastore, &kept, "old").await;
    let batch = begin(datastore).await;
    for (i, key) in numbered(keys).enumerate() {
        put(&*batch, &key, noise(i as u64, 4096)).await;
    }
    delete(&*batch, &kept).await;
    drop(batch);
    for key in numbered(keys) {
        lacks(datastore, &key, "its batch was dropped").await;
    }
    holds(datastore, &kept, "old", "its delete was dropped").await;
    finish(datastore).await;
}

/// Batches don't see each other's writes; of two that write a key, the later commit takes effect.
pub async fn batches_at_once(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [own, common] = keys.nested();
    let [other, removed] = [keys.key("other"), keys.key("removed")];
    let discarded = begin(datastore).await;
    let late = begin(datastore).await;
    let early = begin(datastore).await;
    put(&*early, &own, "early").await;
    put(&*early, &removed, "early").await;
    put(&*early, &common, "early").await;
    put(&*late, &other, "late").await;
    put(&*late, &common, "late").await;
    delete(&*late, &removed).await;
    put(&*discarded, &common, "discarded").await;

    lacks(&*late, &own, "only another batch puts it").await;
    lacks(&*early, &other, "only another batch puts it").await;
    holds(&*early, &common, "early", "another batch puts it too").await;
    holds(&*late, &common, "late", "another batch puts it too").await;

    commit(early).await;
    holds(datastore, &common, "early", "one batch is committed").await;
    holds(&*late, &own, "early", "another batch committed it").await;
    lacks(&*late, &removed, "deleted in this batch, put by another").await;
    commit(late).await;
    ok(discarded.discard().await, "discarding the third batch");
    holds(datastore, &own, "early", "one batch put it").await;
    holds(datastore, &other, "late", "one batch put it").await;
    holds(datastore, &common, "late", "committed by two batches").await;
    lacks(
        datastore,
        &removed,
        "put by one batch, then deleted by another",
    )
    .await;
    finish(datastore).await;
}

/// A commit takes effect over what was written into the datastore while the batch was open, and keeps
/// it from coming back.
pub async fn batch_over_writes(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [deleted, replaced] = keys.nested();
    let batch = begin(datastore).await;
    put(&*batch, &replaced, "the batch's").await;
    delete(&*batch, &deleted).await;
    for key in [&deleted, &replaced] {
        put(datastore, key, "written beside the batch").await;
    }
    commit(batch).await;
    for when in ["committed last", "committed last, before a sync"] {
        lacks(datastore, &deleted, when).await;
        holds(datastore, &replaced, "the batch's", when).await;
        ok(datastore.sync().await, "sync after a commit");
    }
    put(datastore, &replaced, "after the commit").await;
    holds(datastore, &replaced, "after the commit", "put last").await;
    finish(datastore).await;
}

/// A batch without writes can be read and committed, and changes nothing.
pub async fn batch_is_empty(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [key, _] = keys.nested();
    put(datastore, &key, "old").await;
    let batch = begin(datastore).await;
    holds(&*batch, &key, "old", "the batch is empty").await;
    commit(batch).await;
    holds(datastore, &key, "old", "the batch was empty").await;
    finish(datastore).await;
}
