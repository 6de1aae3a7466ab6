//! Queries as streams over the disk: what they return, what they skip, and which files they keep open.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use ds_flatfs::query::Order;
use ds_flatfs::{FlatFs, Key, Query, Shard};
use futures::StreamExt;
use futures::future::join_all;
use tracing::Level;

use crate::support::{Home, all, block, block_path, blocks, contents, fill, options, tree};

/// The warnings and errors that the crate has logged in this process.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects what is logged from now on.
    fn begin() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(Level::WARN)
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
            log
        })
        .clone()
    }

    /// Returns the number of lines that contain this path.
    fn count(&self, path: &Path) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let wanted = format!("path={}", path.display());
        let names = |line: &&str| line.split_whitespace().any(|word| word == wanted);
        text.lines().filter(names).count()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes the files of blocks without the store.
fn remove_files(home: &Home, shard: Shard, blocks: &BTreeMap<Key, Bytes>) {
    for key in blocks.keys() {
        fs::remove_file(home.in_store(block_path(shard, key))).unwrap();
    }
}

/// Returns the number of files of the store that this process has open.
#[cfg(target_os = "linux")]
fn open_files(home: &Home) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let files = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    files.filter(|path| path.starts_with(home.store())).count()
}

#[tokio::test]
async fn a_query_finds_every_block_of_a_large_store_once() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    let expected = blocks(if cfg!(windows) { 1000 } else { 5000 });
    fill(&store, &expected).await;
    assert_eq!(contents(&store).await, expected);

    let keys = all(store.query(Query::new().keys_only()).await.unwrap()).await;
    assert!(
        keys.iter()
            .all(|entry| entry.value.is_none() && entry.size.is_none())
    );
    let keys: BTreeSet<Key> = keys.into_iter().map(|entry| entry.key).collect();
    assert!(keys.iter().eq(expected.keys()));

    let sizes = Query::new().keys_only().returns_sizes();
    let sizes = all(store.query(sizes).await.unwrap()).await;
    assert_eq!(sizes.len(), expected.len());
    for entry in sizes {
        assert_eq!(entry.value, None);
        assert_eq!(entry.size, Some(expected[&entry.key].len() as u64));
    }

    let first = Query::new().order(Order::by_key()).limit(10);
    let found = all(store.query(first.clone()).await.unwrap()).await;
    let wanted: Vec<_> = expected.iter().take(10).collect();
    let pairs = |entry: &ds_flatfs::Entry| (entry.key.clone(), entry.value.clone().unwrap());
    let found: Vec<_> = found.iter().map(pairs).collect();
    assert!(found.iter().map(|(key, value)| (key, value)).eq(wanted));
    let next = all(store.query(first.offset(10)).await.unwrap()).await;
    assert!(
        next.iter()
            .map(|entry| &entry.key)
            .eq(expected.keys().skip(10).take(10))
    );

    let largest = Query::new().order(Order::by_value().descending()).limit(3);
    let found = all(store.query(largest.keys_only()).await.unwrap()).await;
    let mut by_value: Vec<_> = expected.iter().collect();
    by_value.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let wanted = by_value.iter().take(3).map(|(key, _)| *key);
    assert!(found.iter().map(|entry| &entry.key).eq(wanted));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_prefix_that_is_a_key_matches_no_block() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(3)).await;
    for prefix in ["/CIQ", "/a", block(0).0.as_str()] {
        let query = Query::new().prefix(prefix);
        assert_eq!(all(store.query(query).await.unwrap()).await, []);
    }
    store.close().await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stream_that_is_dropped_early_closes_its_files() {
    let (home, store) = Home::with_store("next-to-last/1").await;
    fill(&store, &blocks(MORE_THAN_READ_AHEAD)).await;
    let idle = open_files(&home);
    let mut entries = store.query(Query::new().keys_only()).await.unwrap();
    for _ in 0..5 {
        entries.next().await.unwrap().unwrap();
    }
    assert!(
        open_files(&home) > idle,
        "the stream must read the listing lazily"
    );
    drop(entries);
    // A part that is being read ahead is completed in the background.
    while open_files(&home) != idle {
        tokio::task::yield_now().await;
    }
    store.close().await.unwrap();
}

/// A query reads at most 2,048 entries before the stream is polled for more.
const MORE_THAN_READ_AHEAD: usize = 2500;

#[tokio::test]
async fn a_stream_ends_with_an_error_when_the_store_is_closed() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(MORE_THAN_READ_AHEAD)).await;
    let mut entries = store.query(Query::new()).await.unwrap();
    entries.next().await.unwrap().unwrap();
    store.close().await.unwrap();
    let rest: Vec<_> = entries.collect().await;
    let (last, found) = rest.split_last().unwrap();
    assert!(found.iter().all(Result::is_ok) && found.len() < MORE_THAN_READ_AHEAD - 1);
    assert!(last.as_ref().unwrap_err().is_closed());
}

#[tokio::test]
async fn a_block_that_is_removed_between_listing_and_reading_is_skipped() {
    let sizes = || Query::new().keys_only().returns_sizes();
    for query in [Query::new(), sizes(), Query::new().order(Order::by_key())] {
        let (home, store) = Home::with_store("next-to-last/1").await;
        let stored = blocks(MORE_THAN_READ_AHEAD);
        fill(&store, &stored).await;
        let mut entries = store.query(query.clone()).await.unwrap();
        entries.next().await.unwrap().unwrap();
        remove_files(&home, store.shard(), &stored);
        let rest = all(entries).await;
        assert!(
            rest.len() < MORE_THAN_READ_AHEAD - 1,
            "{query}: {}",
            rest.len()
        );
        assert_eq!(all(store.query(query).await.unwrap()).await, []);
        store.close().await.unwrap();
    }
}

/// A long block is read on the blocking pool, together with everything after it.
#[tokio::test]
async fn a_query_returns_long_blocks_among_short_ones() {
    let (_home, store) = Home::with_store("next-to-last/1").await;
    let mut stored = blocks(MORE_THAN_READ_AHEAD);
    let (middle, _) = block(1000);
    stored.insert(middle, Bytes::from(vec![7; 1 << 20]));
    fill(&store, &stored).await;
    assert_eq!(contents(&store).await, stored);
    let sorted = all(store
        .query(Query::new().order(Order::by_key()))
        .await
        .unwrap())
    .await;
    let pairs = sorted
        .into_iter()
        .map(|entry| (entry.key, entry.value.unwrap()));
    assert!(pairs.eq(stored));
    store.close().await.unwrap();
}

#[tokio::test]
async fn foreign_files_are_skipped_with_a_warning_and_not_changed() {
    let log = Log::begin();
    let (home, store) = Home::with_store("next-to-last/2").await;
    let stored = blocks(10);
    fill(&store, &stored).await;
    let [(stored_key, _), (misplaced, value)] = [block(0), block(100)];
    let shard = home.block(&stored_key).parent().unwrap().to_owned();
    let foreign_files = [
        home.in_store("notes.txt"),
        home.in_store("CIQX.data"),
        home.in_store("QX"),
        shard.join("notes.txt"),
        shard.join("CIQX"),
        shard.join("ciqx.data"),
        shard.join(".data"),
        shard.join("CIQX.data.tmp"),
        shard.join(misplaced.as_str()[1..].to_owned() + ".data"),
    ];
    let foreign_dirs = [
        home.in_store("lower"),
        home.in_store("a.b"),
        shard.join("deeper"),
    ];
    for dir in &foreign_dirs {
        fs::create_dir(dir).unwrap();
        let file = block_path(Shard::default(), &misplaced);
        fs::write(dir.join(file.file_name().unwrap()), &value).unwrap();
    }
    for file in &foreign_files {
        fs::write(file, &value).unwrap();
    }
    fs::create_dir(home.in_store(".hidden")).unwrap();
    let before = tree(&home.store());

    assert_eq!(contents(&store).await, stored);
    for path in foreign_files.iter().chain(&foreign_dirs) {
        assert_eq!(log.count(path), 1, "{}", path.display());
    }
    for known in ["SHARDING", "_README", ".temp", ".lock", ".hidden"] {
        assert_eq!(log.count(&home.in_store(known)), 0, "{known}");
    }
    assert_eq!(store.get(&misplaced).await.unwrap(), None);
    store.close().await.unwrap();
    let after = tree(&home.store());
    for path in foreign_files.iter().chain(&foreign_dirs) {
        let path = path.strip_prefix(home.store()).unwrap();
        assert_eq!(after[path], before[path], "{}", path.display());
    }
}

/// Returns a new store with at most 32 open files.
async fn store_with_few_files() -> (Home, FlatFs) {
    let home = Home::new();
    let options = options().max_open_files(32);
    let store = options.create(home.store()).await.unwrap();
    (home, store)
}

/// The streams are polled alternately, so none may wait for files that another stream has open.
#[tokio::test]
async fn more_streams_than_allowed_open_files_can_be_read_concurrently() {
    let (_home, store) = store_with_few_files().await;
    let stored = blocks(1200);
    fill(&store, &stored).await;
    for query in [Query::new().keys_only(), Query::new()] {
        let streams = (0..50).map(|_| store.query(query.clone()));
        let mut streams: Vec<_> = join_all(streams)
            .await
            .into_iter()
            .map(|stream| (stream.unwrap(), BTreeSet::new()))
            .collect();
        let mut running = true;
        while running {
            running = false;
            for (stream, found) in &mut streams {
                if let Some(entry) = stream.next().await {
                    assert!(
                        found.insert(entry.unwrap().key),
                        "each key must be found once"
                    );
                    running = true;
                }
            }
        }
        for (_, found) in &streams {
            assert!(found.iter().eq(stored.keys()));
        }
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn reads_and_writes_work_while_streams_are_open() {
    let (_home, store) = store_with_few_files().await;
    let stored = blocks(500);
    fill(&store, &stored).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = store.query(Query::new()).await.unwrap();
        let first = stream.next().await.unwrap().unwrap();
        streams.push((stream, first));
    }
    for seed in 5000..5050 {
        let (key, value) = block(seed);
        store.put(&key, value.clone()).await.unwrap();
        assert_eq!(store.get(&key).await.unwrap(), Some(value));
        store.delete(&key).await.unwrap();
    }
    fill(&store, &blocks(550)).await;
    for (stream, first) in streams {
        let mut found = BTreeMap::from([(first.key, first.value.unwrap())]);
        for entry in all(stream).await {
            found.insert(entry.key, entry.value.unwrap());
        }
        for (key, value) in &stored {
            assert_eq!(found.get(key), Some(value), "it was not changed meanwhile");
        }
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_sorted_stream_of_a_closed_store_ends_with_that_error() {
    let (_home, store) = Home::with_store("next-to-last/2").await;
    fill(&store, &blocks(600)).await;
    let query = Query::new().order(Order::by_key());
    let mut stream = store.query(query).await.unwrap();
    stream.next().await.unwrap().unwrap();
    store.close().await.unwrap();
    let rest: Vec<_> = stream.collect().await;
    let (last, found) = rest.split_last().unwrap();
    assert!(last.as_ref().is_err_and(|error| error.is_closed()));
    assert!(found.iter().all(|entry| entry.is_ok()));
}
