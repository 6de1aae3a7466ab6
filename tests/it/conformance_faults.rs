//! The conformance suites detect each of many faults of a datastore.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use ds_flatfs::conformance::{self, Keys};
use ds_flatfs::query::{Entry, EntryStream, Filter, Query};
use ds_flatfs::{
    Batch, Datastore, DiskUsage, Key, KeyStream, MemoryDatastore, PutStream, Result, ResultStream,
};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

/// A fault of a datastore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    KeepsTheEarlierValue,
    TreatsEmptyAsAbsent,
    ReturnsSizesOneTooLarge,
    DeletesNothing,
    SyncFails,
    IgnoresPrefixes,
    IgnoresFilters,
    IgnoresOrders,
    IgnoresOffsets,
    IgnoresLimits,
    ReturnsUnrequestedValues,
    ReturnsAnEntryTwice,
    OmitsTheLastEntry,
    BatchWritesImmediately,
    BatchReadsOnlyTheDatastore,
    CommitsNothing,
    FirstValueInABatchWins,
    DiscardCommits,
    BatchQueriesMissLateWrites,
    LateWritesComeBack,
    EmptyBatchesStayOpen,
    StaysOpen,
    ReordersResultsOfGetMany,
    OmitsAbsentKeysOfGetMany,
    ReadsAllKeysBeforeTheFirstResult,
    HasManyFindsEveryKey,
    ReordersResultsOfHasMany,
    PutManyKeepsWritesBeforeAnError,
    PutManyKeepsTheFirstValue,
    DeleteManySkipsTheFirstKey,
    GetManyWorksAfterClose,
}

const FAULTS: [Fault; 31] = [
    Fault::KeepsTheEarlierValue,
    Fault::TreatsEmptyAsAbsent,
    Fault::ReturnsSizesOneTooLarge,
    Fault::DeletesNothing,
    Fault::SyncFails,
    Fault::IgnoresPrefixes,
    Fault::IgnoresFilters,
    Fault::IgnoresOrders,
    Fault::IgnoresOffsets,
    Fault::IgnoresLimits,
    Fault::ReturnsUnrequestedValues,
    Fault::ReturnsAnEntryTwice,
    Fault::OmitsTheLastEntry,
    Fault::BatchWritesImmediately,
    Fault::BatchReadsOnlyTheDatastore,
    Fault::CommitsNothing,
    Fault::FirstValueInABatchWins,
    Fault::DiscardCommits,
    Fault::BatchQueriesMissLateWrites,
    Fault::LateWritesComeBack,
    Fault::EmptyBatchesStayOpen,
    Fault::StaysOpen,
    Fault::ReordersResultsOfGetMany,
    Fault::OmitsAbsentKeysOfGetMany,
    Fault::ReadsAllKeysBeforeTheFirstResult,
    Fault::HasManyFindsEveryKey,
    Fault::ReordersResultsOfHasMany,
    Fault::PutManyKeepsWritesBeforeAnError,
    Fault::PutManyKeepsTheFirstValue,
    Fault::DeleteManySkipsTheFirstKey,
    Fault::GetManyWorksAfterClose,
];

/// A datastore that is correct except for one fault.
#[derive(Clone, Debug)]
struct Faulty {
    correct: MemoryDatastore,
    fault: Fault,
    /// What was put after a batch began.
    late: Arc<Mutex<Vec<(Key, Bytes)>>>,
}

impl Faulty {
    fn misread(&self, mut query: Query) -> Query {
        match self.fault {
            Fault::IgnoresPrefixes => query.prefix = Key::root(),
            Fault::IgnoresFilters => query.filters.clear(),
            Fault::IgnoresOrders => query.orders.clear(),
            Fault::IgnoresOffsets => query.offset = 0,
            Fault::IgnoresLimits => query.limit = None,
            Fault::ReturnsUnrequestedValues => query.keys_only = false,
            _ => {}
        }
        query
    }

    fn take<'a>(&self, keys: KeyStream<'a>) -> KeyStream<'a> {
        if self.fault != Fault::ReadsAllKeysBeforeTheFirstResult {
            return keys;
        }
        let all = async move { stream::iter(keys.collect::<Vec<_>>().await) };
        all.flatten_stream().boxed()
    }

    fn garble(&self, mut entries: Vec<Result<Entry>>) -> Vec<Result<Entry>> {
        match (self.fault, entries.last()) {
            (Fault::ReturnsAnEntryTwice, Some(Ok(entry))) => entries.push(Ok(entry.clone())),
            (Fault::OmitsTheLastEntry, _) => drop(entries.pop()),
            _ => {}
        }
        entries
    }
}

#[async_trait]
impl Datastore for Faulty {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let value = self.correct.get(key).await?;
        let empty_is_absent = self.fault == Fault::TreatsEmptyAsAbsent;
        Ok(value.filter(|value| !(empty_is_absent && value.is_empty())))
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.correct.has(key).await
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        let size = self.correct.get_size(key).await?;
        let too_much = u64::from(self.fault == Fault::ReturnsSizesOneTooLarge);
        Ok(size.map(|size| size + too_much))
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        let results = self.correct.get_many(self.take(keys));
        match self.fault {
            Fault::ReordersResultsOfGetMany => results
                .chunks(2)
                .flat_map(|pair| stream::iter(pair.into_iter().rev()))
                .boxed(),
            Fault::OmitsAbsentKeysOfGetMany => results
                .filter(|(_, value)| std::future::ready(!matches!(value, Ok(None))))
                .boxed(),
            Fault::GetManyWorksAfterClose => results
                .map(|(key, value)| (key, value.or(Ok(None))))
                .boxed(),
            _ => results,
        }
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        let results = self.correct.has_many(keys);
        match self.fault {
            Fault::HasManyFindsEveryKey => {
                results.map(|(key, has)| (key, has.map(|_| true))).boxed()
            }
            Fault::ReordersResultsOfHasMany => results
                .chunks(2)
                .flat_map(|pair| stream::iter(pair.into_iter().rev()))
                .boxed(),
            _ => results,
        }
    }

    async fn put_many(&self, mut puts: PutStream<'_>) -> Result<()> {
        match self.fault {
            Fault::PutManyKeepsWritesBeforeAnError => {
                while let Some((key, value)) = puts.try_next().await? {
                    self.correct.put(&key, value).await?;
                }
                self.correct.sync().await
            }
            Fault::PutManyKeepsTheFirstValue => {
                let mut first = BTreeMap::new();
                while let Some((key, value)) = puts.try_next().await? {
                    first.entry(key).or_insert(value);
                }
                let puts = stream::iter(first.into_iter().map(Ok)).boxed();
                self.correct.put_many(puts).await
            }
            _ => self.correct.put_many(puts).await,
        }
    }

    async fn delete_many(&self, keys: KeyStream<'_>) -> Result<()> {
        if self.fault == Fault::DeleteManySkipsTheFirstKey {
            let mut keys: BTreeSet<Key> = keys.collect().await;
            keys.pop_first();
            return self.correct.delete_many(stream::iter(keys).boxed()).await;
        }
        self.correct.delete_many(keys).await
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let found = self.correct.query(self.misread(query)).await?;
        let entries = self.garble(found.collect().await);
        Ok(stream::iter(entries).boxed())
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        if self.fault == Fault::KeepsTheEarlierValue && self.correct.has(key).await? {
            return Ok(());
        }
        let put = (key.clone(), value.clone());
        self.late.lock().unwrap().push(put);
        self.correct.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        match self.fault {
            Fault::DeletesNothing => Ok(()),
            _ => self.correct.delete(key).await,
        }
    }

    async fn sync(&self) -> Result<()> {
        match self.fault {
            Fault::SyncFails => Err(ds_flatfs::Error::Runtime),
            _ => self.correct.sync().await,
        }
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        self.late.lock().unwrap().clear();
        let entries = self.correct.query(Query::new().keys_only()).await?;
        let known = entries.map(|entry| entry.unwrap().key).collect().await;
        Ok(Box::new(FaultyBatch {
            datastore: self.clone(),
            correct: self.correct.batch().await?,
            puts: Mutex::default(),
            known,
        }))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.correct.disk_usage().await
    }

    async fn close(&self) -> Result<()> {
        match self.fault {
            Fault::StaysOpen => Ok(()),
            _ => self.correct.close().await,
        }
    }
}

#[derive(Debug)]
struct FaultyBatch {
    datastore: Faulty,
    correct: Box<dyn Batch>,
    puts: Mutex<Vec<(Key, Bytes)>>,
    /// The keys of the datastore when the batch began.
    known: BTreeSet<Key>,
}

impl FaultyBatch {
    fn has_fault(&self, fault: Fault) -> bool {
        self.datastore.fault == fault
    }

    fn reads_the_datastore(&self) -> bool {
        self.has_fault(Fault::BatchReadsOnlyTheDatastore)
    }

    /// Runs a query that does not see later writes to the datastore.
    async fn without_late_writes(&self, query: Query) -> Result<EntryStream> {
        let puts = self.puts.lock().unwrap().clone();
        let mut known = self.known.clone();
        known.extend(puts.into_iter().map(|(key, _)| key));
        let filter = Filter::custom(move |entry| known.contains(&entry.key));
        self.correct.query(query.filter(filter)).await
    }
}

#[async_trait]
impl Batch for FaultyBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.reads_the_datastore() {
            true => self.datastore.get(key).await,
            false => self.correct.get(key).await,
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        match self.reads_the_datastore() {
            true => self.datastore.has(key).await,
            false => self.correct.has(key).await,
        }
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.reads_the_datastore() {
            true => self.datastore.get_size(key).await,
            false => self.correct.get_size(key).await,
        }
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        match self.reads_the_datastore() {
            true => self.datastore.query(query).await,
            false if self.has_fault(Fault::BatchQueriesMissLateWrites) => {
                self.without_late_writes(query).await
            }
            false => self.correct.query(query).await,
        }
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        if self.has_fault(Fault::BatchWritesImmediately) {
            self.datastore.put(key, value.clone()).await?;
        }
        let put = (key.clone(), value.clone());
        self.correct.put(key, value).await?;
        self.puts.lock().unwrap().push(put);
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.correct.delete(key).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        match self.datastore.fault {
            Fault::CommitsNothing => self.correct.discard().await,
            Fault::FirstValueInABatchWins => {
                self.correct.commit().await?;
                for (key, value) in self.puts.into_inner().unwrap().into_iter().rev() {
                    if self.datastore.has(&key).await? {
                        self.datastore.put(&key, value).await?;
                    }
                }
                Ok(())
            }
            Fault::LateWritesComeBack => {
                self.correct.commit().await?;
                let late = self.datastore.late.lock().unwrap().clone();
                for (key, value) in late {
                    self.datastore.correct.put(&key, value).await?;
                }
                Ok(())
            }
            Fault::EmptyBatchesStayOpen if self.puts.lock().unwrap().is_empty() => {
                self.correct.commit().await.or(Ok(()))
            }
            _ => self.correct.commit().await,
        }
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        match self.datastore.fault {
            Fault::DiscardCommits => self.correct.commit().await,
            _ => self.correct.discard().await,
        }
    }
}

#[tokio::test]
async fn each_fault_makes_a_suite_panic() {
    for fault in FAULTS {
        let correct = MemoryDatastore::new();
        let late = Arc::default();
        let faulty = Faulty {
            correct,
            fault,
            late,
        };
        let suites = async {
            conformance::all(&faulty, Keys::Flat).await;
            conformance::closing(&faulty, Keys::Flat).await;
        };
        let outcome = AssertUnwindSafe(suites).catch_unwind().await;
        assert!(outcome.is_err(), "{fault:?} was not detected");
    }
}

#[tokio::test]
async fn a_batch_with_the_last_value_of_a_key_fails_as_a_store_of_blocks() {
    for bulk in [false, true] {
        let datastore = MemoryDatastore::new();
        let suite = async {
            if bulk {
                conformance::put_many(&datastore, Keys::Blocks).await;
            } else {
                conformance::batch_repeated_puts(&datastore, Keys::Blocks).await;
            }
        };
        assert!(AssertUnwindSafe(suite).catch_unwind().await.is_err());
    }
}
