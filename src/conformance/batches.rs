//! Suites about batches.

use super::check::{
    begin, commit, delete, fill, finish, has_no_value, has_value, is_empty, ok, put, start,
};
use super::expected::check_query;
use super::sample::{self, noise};
use super::{ELEMENTS, Keys};
use crate::datastore::Datastore;
use crate::key::Key;
use crate::query::{Compare, Entry, Filter, Order, Query};

/// More writes than a datastore is likely to run at the same time.
const WRITES: usize = 20;

fn numbered(keys: Keys) -> impl Iterator<Item = Key> {
    (0..WRITES).map(move |i| keys.key(&format!("batch{i}")))
}

/// No write of a batch has taken effect before the commit, and all of them have afterwards.
pub async fn batch_commits(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let value = |i| noise(i as u64, 256 * 1024);
    let batch = begin(datastore).await;
    for (i, key) in numbered(keys).enumerate() {
        put(&*batch, &key, value(i)).await;
    }
    for key in numbered(keys) {
        has_no_value(datastore, &key, "put into a batch that is not committed").await;
    }
    is_empty(datastore, "the batch is not committed").await;
    commit(batch).await;
    for (i, key) in numbered(keys).enumerate() {
        has_value(datastore, &key, value(i), "put by a committed batch").await;
    }
    finish(datastore).await;
}

/// The deletes of a batch take effect at the commit, and those of keys without a value are not an error.
pub async fn batch_deletes(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    for key in numbered(keys) {
        put(datastore, &key, "value").await;
    }
    let untouched = keys.key("untouched");
    put(datastore, &untouched, "value").await;
    let batch = begin(datastore).await;
    for key in numbered(keys) {
        delete(&*batch, &key).await;
    }
    delete(&*batch, &keys.key("absent")).await;
    for key in numbered(keys) {
        has_value(datastore, &key, "value", "its delete is not committed").await;
    }
    commit(batch).await;
    for key in numbered(keys) {
        has_no_value(datastore, &key, "deleted by a committed batch").await;
    }
    has_value(datastore, &untouched, "value", "a batch deleted other keys").await;
    finish(datastore).await;
}

/// The last operation on a key takes effect over the contents of the datastore.
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
        has_no_value(&*batch, key, "put, then deleted in the batch").await;
    }
    for key in [&revived, &old_revived] {
        delete(&*batch, key).await;
        put(&*batch, key, "new").await;
        delete(&*batch, key).await;
        put(&*batch, key, "new").await;
        has_value(&*batch, key, "new", "deleted, then put in the batch").await;
    }
    commit(batch).await;
    for key in [&deleted, &old_deleted] {
        has_no_value(datastore, key, "deleted last by the batch").await;
    }
    for key in [&revived, &old_revived] {
        has_value(datastore, key, "new", "put last by the batch").await;
    }
    finish(datastore).await;
}

/// If a batch puts a key twice, the value that [`Keys`] describes takes effect, even with a delete between the puts.
/// It replaces the value in the datastore.
pub async fn batch_repeated_puts(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [twice, between] = keys.nested();
    let (first, last) = ("first", "last, and longer");
    put(datastore, &twice, "the datastore's").await;
    let batch = begin(datastore).await;
    put(&*batch, &twice, first).await;
    put(&*batch, &twice, last).await;
    put(&*batch, &between, first).await;
    delete(&*batch, &between).await;
    put(&*batch, &between, last).await;
    let expected = keys.effective(first, last);
    for key in [&twice, &between] {
        has_value(&*batch, key, expected, "put twice in the batch").await;
    }
    commit(batch).await;
    for key in [&twice, &between] {
        has_value(datastore, key, expected, "put twice by the batch").await;
    }
    finish(datastore).await;
}

/// Reads of a batch see its own writes over the values of the datastore, including later ones.
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

    has_value(&*batch, &stored, "old", "the batch does not write it").await;
    has_value(&*batch, &replaced, "the batch's", "the batch puts it").await;
    has_no_value(&*batch, &deleted, "the batch deletes it").await;
    has_value(&*batch, &own, "", "the batch puts an empty value").await;
    has_value(&*batch, &late, "late", "put into the datastore later").await;
    has_no_value(&*batch, &keys.key("absent"), "it is never put").await;
    let contents = [
        (&stored, "old"),
        (&replaced, "the batch's"),
        (&own, ""),
        (&late, "late"),
    ];
    let contents = contents.map(|(key, value)| Entry::with_value(key.clone(), value.into()));
    check_query(&*batch, &contents, Query::new()).await;

    for key in [&stored, &replaced, &deleted] {
        has_value(datastore, key, "old", "the batch is not committed").await;
    }
    has_no_value(datastore, &own, "the batch is not committed").await;
    drop(batch);
    finish(datastore).await;
}

/// A query of a batch merges the writes of the batch with the entries of the datastore, each key once.
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

/// A discarded batch changes nothing.
pub async fn batch_discards(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let batch = begin(datastore).await;
    ok(batch.discard().await, "discarding an empty batch");

    let [untouched, other] = keys.nested();
    put(datastore, &untouched, "old").await;
    let batch = begin(datastore).await;
    put(&*batch, &other, "new").await;
    delete(&*batch, &untouched).await;
    ok(batch.discard().await, "discarding a batch");
    has_no_value(datastore, &other, "its batch was discarded").await;
    has_value(datastore, &untouched, "old", "its delete was discarded").await;
    finish(datastore).await;
}

/// A dropped batch changes nothing.
pub async fn batch_drops(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [untouched, _] = keys.nested();
    put(datastore, &untouched, "old").await;
    let batch = begin(datastore).await;
    for (i, key) in numbered(keys).enumerate() {
        put(&*batch, &key, noise(i as u64, 4096)).await;
    }
    delete(&*batch, &untouched).await;
    drop(batch);
    for key in numbered(keys) {
        has_no_value(datastore, &key, "its batch was dropped").await;
    }
    has_value(datastore, &untouched, "old", "its delete was dropped").await;
    finish(datastore).await;
}

/// Batches do not see each other's writes. If two batches write a key, the later commit takes effect.
pub async fn concurrent_batches(datastore: &dyn Datastore, keys: Keys) {
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

    has_no_value(&*late, &own, "only another batch puts it").await;
    has_no_value(&*early, &other, "only another batch puts it").await;
    has_value(&*early, &common, "early", "another batch puts it too").await;
    has_value(&*late, &common, "late", "another batch puts it too").await;

    commit(early).await;
    has_value(datastore, &common, "early", "one batch is committed").await;
    has_value(&*late, &own, "early", "another batch committed it").await;
    has_no_value(&*late, &removed, "deleted in this batch, put by another").await;
    commit(late).await;
    ok(discarded.discard().await, "discarding the third batch");
    has_value(datastore, &own, "early", "one batch put it").await;
    has_value(datastore, &other, "late", "one batch put it").await;
    has_value(datastore, &common, "late", "committed by two batches").await;
    has_no_value(
        datastore,
        &removed,
        "put by one batch, then deleted by another",
    )
    .await;
    finish(datastore).await;
}

/// A commit replaces what was written into the datastore while the batch was open, and the replaced values do not
/// reappear.
pub async fn batch_over_writes(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [deleted, replaced] = keys.nested();
    let batch = begin(datastore).await;
    put(&*batch, &replaced, "the batch's").await;
    delete(&*batch, &deleted).await;
    for key in [&deleted, &replaced] {
        put(datastore, key, "written while the batch is open").await;
    }
    commit(batch).await;
    for when in ["committed last", "committed last, before a sync"] {
        has_no_value(datastore, &deleted, when).await;
        has_value(datastore, &replaced, "the batch's", when).await;
        ok(datastore.sync().await, "sync after a commit");
    }
    put(datastore, &replaced, "after the commit").await;
    has_value(datastore, &replaced, "after the commit", "put last").await;
    finish(datastore).await;
}

/// A batch without writes can be read and committed, and changes nothing.
pub async fn batch_is_empty(datastore: &dyn Datastore, keys: Keys) {
    start(datastore).await;
    let [key, _] = keys.nested();
    put(datastore, &key, "old").await;
    let batch = begin(datastore).await;
    has_value(&*batch, &key, "old", "the batch is empty").await;
    commit(batch).await;
    has_value(datastore, &key, "old", "the batch was empty").await;
    finish(datastore).await;
}
