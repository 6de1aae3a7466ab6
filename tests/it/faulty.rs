//! The conformance suites find what is wrong with a datastore.

use std::collections::BTreeSet;
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

/// What a datastore does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    KeepsTheEarlierValue,
    TakesEmptyForAbsent,
    SizesAreOneTooLarge,
    DeletesNothing,
    SyncFails,
    IgnoresPrefixes,
    IgnoresFilters,
    IgnoresOrders,
    IgnoresOffsets,
    IgnoresLimits,
    AnswersValuesUnasked,
    FindsAnEntryTwice,
    LosesTheLastEntry,
    BatchWritesAtOnce,
    BatchReadsOnlyTheDatastore,
    CommitsNothing,
    LastValueInABatchWins,
    DiscardCommits,
    BatchQueriesMissLateWrites,
    LateWritesComeBack,
    EmptyBatchesStayOpen,
    StaysOpen,
    AnswersManyAsTheyCome,
    LosesWhatIsAbsentOfMany,
    TakesAllOfManyFirst,
    HasAllOfMany,
    HasManyBackwards,
    PutsManyUntilAnError,
    LastOfManyPutsWins,
    DeletesManyButTheFirst,
    ReadsManyThoughClosed,
}

const FAULTS: [Fault; 31] = [
    Fault::KeepsTheEarlierValue,
    Fault::TakesEmptyForAbsent,
    Fault::SizesAreOneTooLarge,
    Fault::DeletesNothing,
    Fault::SyncFails,
    Fault::IgnoresPrefixes,
    Fault::IgnoresFilters,
    Fault::IgnoresOrders,
    Fault::IgnoresOffsets,
    Fault::IgnoresLimits,
    Fault::AnswersValuesUnasked,
    Fault::FindsAnEntryTwice,
    Fault::LosesTheLastEntry,
    Fault::BatchWritesAtOnce,
    Fault::BatchReadsOnlyTheDatastore,
    Fault::CommitsNothing,
    Fault::LastValueInABatchWins,
    Fault::DiscardCommits,
    Fault::BatchQueriesMissLateWrites,
    Fault::LateWritesComeBack,
    Fault::EmptyBatchesStayOpen,
    Fault::StaysOpen,
    Fault::AnswersManyAsTheyCome,
    Fault::LosesWhatIsAbsentOfMany,
    Fault::TakesAllOfManyFirst,
    Fault::HasAllOfMany,
    Fault::HasManyBackwards,
    Fault::PutsManyUntilAnError,
    Fault::LastOfManyPutsWins,
    Fault::DeletesManyButTheFirst,
    Fault::ReadsManyThoughClosed,
];

/// A datastore that does right but for one fault.
#[derive(Clone, Debug)]
struct Faulty {
    sound: MemoryDatastore,
    fault: Fault,
    /// What was put since a batch was begun.
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
            Fault::AnswersValuesUnasked => query.keys_only = false,
            _ => {}
        }
        query
    }

    fn take<'a>(&self, keys: KeyStream<'a>) -> KeyStream<'a> {
        if self.fault != Fault::TakesAllOfManyFirst {
            return keys;
        }
        let all = async move { stream::iter(keys.collect::<Vec<_>>().await) };
        all.flatten_stream().boxed()
    }

    fn garble(&self, mut entries: Vec<Result<Entry>>) -> Vec<Result<Entry>> {
        match (self.fault, entries.last()) {
            (Fault::FindsAnEntryTwice, Some(Ok(entry))) => entries.push(Ok(entry.clone())),
            (Fault::LosesTheLastEntry, _) => drop(entries.pop()),
            _ => {}
        }
        entries
    }
}

#[async_trait]
impl Datastore for Faulty {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let value = self.sound.get(key).await?;
        let empty_is_absent = self.fault == Fault::TakesEmptyForAbsent;
        Ok(value.filter(|value| !(empty_is_absent && value.is_empty())))
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        self.sound.has(key).await
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        let size = self.sound.get_size(key).await?;
        let too_much = u64::from(self.fault == Fault::SizesAreOneTooLarge);
        Ok(size.map(|size| size + too_much))
    }

    fn get_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, Option<Bytes>> {
        let answers = self.sound.get_many(self.take(keys));
        match self.fault {
            Fault::AnswersManyAsTheyCome => answers
                .chunks(2)
                .flat_map(|pair| stream::iter(pair.into_iter().rev()))
                .boxed(),
            Fault::LosesWhatIsAbsentOfMany => answers
                .filter(|(_, value)| std::future::ready(!matches!(value, Ok(None))))
                .boxed(),
            Fault::ReadsManyThoughClosed => answers
                .map(|(key, value)| (key, value.or(Ok(None))))
                .boxed(),
            _ => answers,
        }
    }

    fn has_many<'a>(&'a self, keys: KeyStream<'a>) -> ResultStream<'a, bool> {
        let answers = self.sound.has_many(keys);
        match self.fault {
            Fault::HasAllOfMany => answers.map(|(key, has)| (key, has.map(|_| true))).boxed(),
            Fault::HasManyBackwards => answers
                .chunks(2)
                .flat_map(|pair| stream::iter(pair.into_iter().rev()))
                .boxed(),
            _ => answers,
        }
    }

    async fn put_many(&self, mut puts: PutStream<'_>) -> Result<()> {
        match self.fault {
            Fault::PutsManyUntilAnError | Fault::LastOfManyPutsWins => {
                while let Some((key, value)) = puts.try_next().await? {
                    let is_there = self.sound.has(&key).await?;
                    if self.fault == Fault::LastOfManyPutsWins || !is_there {
                        self.sound.put(&key, value).await?;
                    }
                }
                self.sound.sync().await
            }
            _ => self.sound.put_many(puts).await,
        }
    }

    async fn delete_many(&self, keys: KeyStream<'_>) -> Result<()> {
        if self.fault == Fault::DeletesManyButTheFirst {
            let mut keys: BTreeSet<Key> = keys.collect().await;
            keys.pop_first();
            return self.sound.delete_many(stream::iter(keys).boxed()).await;
        }
        self.sound.delete_many(keys).await
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        let answer = self.sound.query(self.misread(query)).await?;
        let entries = self.garble(answer.collect().await);
        Ok(stream::iter(entries).boxed())
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        if self.fault == Fault::KeepsTheEarlierValue && self.sound.has(key).await? {
            return Ok(());
        }
        let put = (key.clone(), value.clone());
        self.late.lock().unwrap().push(put);
        self.sound.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        match self.fault {
            Fault::DeletesNothing => Ok(()),
            _ => self.sound.delete(key).await,
        }
    }

    async fn sync(&self) -> Result<()> {
        match self.fault {
            Fault::SyncFails => Err(ds_flatfs::Error::Runtime),
            _ => self.sound.sync().await,
        }
    }

    async fn batch(&self) -> Result<Box<dyn Batch>> {
        self.late.lock().unwrap().clear();
        let entries = self.sound.query(Query::new().keys_only()).await?;
        let known = entries.map(|entry| entry.unwrap().key).collect().await;
        Ok(Box::new(FaultyBatch {
            datastore: self.clone(),
            sound: self.sound.batch().await?,
            puts: Mutex::default(),
            known,
        }))
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        self.sound.disk_usage().await
    }

    async fn close(&self) -> Result<()> {
        match self.fault {
            Fault::StaysOpen => Ok(()),
            _ => self.sound.close().await,
        }
    }
}

#[derive(Debug)]
struct FaultyBatch {
    datastore: Faulty,
    sound: Box<dyn Batch>,
    puts: Mutex<Vec<(Key, Bytes)>>,
    /// What the datastore had when the batch was begun.
    known: BTreeSet<Key>,
}

impl FaultyBatch {
    fn has_fault(&self, fault: Fault) -> bool {
        self.datastore.fault == fault
    }

    fn reads_the_datastore(&self) -> bool {
        self.has_fault(Fault::BatchReadsOnlyTheDatastore)
    }

    /// What a query finds that knows nothing of the datastore's later writes.
    async fn without_late_writes(&self, query: Query) -> Result<EntryStream> {
        let puts = self.puts.lock().unwrap().clone();
        let mut known = self.known.clone();
        known.extend(puts.into_iter().map(|(key, _)| key));
        let filter = Filter::custom(move |entry| known.contains(&entry.key));
        self.sound.query(query.filter(filter)).await
    }
}

#[async_trait]
impl Batch for FaultyBatch {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.reads_the_datastore() {
            true => self.datastore.get(key).await,
            false => self.sound.get(key).await,
        }
    }

    async fn has(&self, key: &Key) -> Result<bool> {
        match self.reads_the_datastore() {
            true => self.datastore.has(key).await,
            false => self.sound.has(key).await,
        }
    }

    async fn get_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.reads_the_datastore() {
            true => self.datastore.get_size(key).await,
            false => self.sound.get_size(key).await,
        }
    }

    async fn query(&self, query: Query) -> Result<EntryStream> {
        match self.reads_the_datastore() {
            true => self.datastore.query(query).await,
            false if self.has_fault(Fault::BatchQueriesMissLateWrites) => {
                self.without_late_writes(query).await
            }
            false => self.sound.query(query).await,
        }
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        if self.has_fault(Fault::BatchWritesAtOnce) {
            self.datastore.put(key, value.clone()).await?;
        }
        let put = (key.clone(), value.clone());
        self.sound.put(key, value).await?;
        self.puts.lock().unwrap().push(put);
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.sound.delete(key).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        match self.datastore.fault {
            Fault::CommitsNothing => self.sound.discard().await,
            Fault::LastValueInABatchWins => {
                self.sound.commit().await?;
                for (key, value) in self.puts.into_inner().unwrap() {
                    if self.datastore.has(&key).await? {
                        self.datastore.put(&key, value).await?;
                    }
                }
                Ok(())
            }
            Fault::LateWritesComeBack => {
                self.sound.commit().await?;
                let late = self.datastore.late.lock().unwrap().clone();
                for (key, value) in late {
                    self.datastore.sound.put(&key, value).await?;
                }
                Ok(())
            }
            Fault::EmptyBatchesStayOpen if self.puts.lock().unwrap().is_empty() => {
                self.sound.commit().await.or(Ok(()))
            }
            _ => self.sound.commit().await,
        }
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        match self.datastore.fault {
            Fault::DiscardCommits => self.sound.commit().await,
            _ => self.sound.discard().await,
        }
    }
}

#[tokio::test]
async fn each_fault_makes_a_suite_panic() {
    for fault in FAULTS {
        let sound = MemoryDatastore::new();
        let late = Arc::default();
        let faulty = Faulty { sound, fault, late };
        let suites = async {
            conformance::all(&faulty, Keys::Flat).await;
            conformance::closing(&faulty, Keys::Flat).await;
        };
        let outcome = AssertUnwindSafe(suites).catch_unwind().await;
        assert!(outcome.is_err(), "{fault:?} was not found");
    }
}
