//! Many tasks that use the same blocks at once, while other programs have the files open.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{fs, thread};

use bytes::Bytes;
use ds_flatfs::{Error, FlatFs, Key, Query, Result};
use futures::TryStreamExt;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::child::{self, Child};
use crate::platform::open_exclusively;
use crate::support::{Home, contents, names, random_bytes};

const KEYS: usize = 200;
const TASKS: u64 = 16;
const OPERATIONS: usize = 250;

fn key(number: usize) -> Key {
    Key::new(format!("KEY{number:03}"))
}

/// One of the values that a key has during the test.
fn value(number: usize, version: u64) -> Bytes {
    random_bytes(number as u64 * 8 + version % 8, 100 + number)
}

/// Returns whether this is the block in one of these versions.
fn is_one_of(number: usize, versions: &[Option<u64>], found: Option<&Bytes>) -> bool {
    let is_version = |version: &Option<u64>| {
        let expected = version.map(|version| value(number, version));
        expected.as_ref() == found
    };
    versions.iter().any(is_version)
}

fn is_a_value_of(number: usize, found: &Bytes) -> bool {
    (0..8).any(|version| value(number, version) == *found)
}

/// Another program that opens files of the store for itself until its standard input ends.
#[test]
#[ignore = "runs as a child process of other tests"]
fn opener() {
    let Some(arguments) = child::arguments() else {
        return;
    };
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let opener = scope.spawn(|| {
            let (mut random, mut opened) = (fastrand::Rng::with_seed(1), 0);
            while !stop.load(Ordering::Relaxed) {
                opened += usize::from(open_one(Path::new(&arguments[0]), &mut random));
            }
            opened
        });
        child::send("started");
        while child::receive().is_some_and(|line| line != "stop") {}
        stop.store(true, Ordering::Relaxed);
        child::send(&opener.join().unwrap().to_string());
    });
}

/// Opens a block at random, reads it and closes it. Returns whether there was one.
fn open_one(store: &Path, random: &mut fastrand::Rng) -> bool {
    let pick = |dir: PathBuf, random: &mut fastrand::Rng| {
        let entries = fs::read_dir(dir).ok()?.filter_map(std::result::Result::ok);
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort_unstable();
        random.choice(paths)
    };
    let block = pick(store.to_owned(), random).and_then(|dir| pick(dir, random));
    let file = block.and_then(|block| open_exclusively(&block).ok());
    file.is_some_and(|mut file| std::io::copy(&mut file, &mut std::io::sink()).is_ok())
}

/// What the tasks know about the blocks.
struct Model {
    store: FlatFs,
    /// The versions that each block may have, `None` if it may be absent: one, and more after writes that failed.
    /// Locked while a task changes the block.
    versions: Vec<Mutex<Vec<Option<u64>>>>,
    in_use: AtomicUsize,
}

impl Model {
    /// Returns the result of an operation; `None` after an error that another program may cause.
    fn check<T>(&self, result: Result<T>) -> Option<T> {
        match result {
            Ok(done) => Some(done),
            Err(error) if error.is_in_use() => {
                self.in_use.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Notes that a block has a new version, or may have it if the write failed.
    fn after_write(&self, result: Result<()>, versions: &mut Vec<Option<u64>>, new: Option<u64>) {
        if self.check(result).is_some() {
            versions.clear();
        }
        versions.push(new);
    }

    /// Makes one operation on a block.
    async fn step(&self, random: &mut fastrand::Rng) {
        let number = random.usize(..KEYS);
        let key = key(number);
        match random.u8(..100) {
            0..40 => {
                let mut versions = self.versions[number].lock().await;
                let new = random.u64(..8);
                let put = self.store.put(&key, value(number, new)).await;
                self.after_write(put, &mut versions, Some(new));
            }
            40..60 => {
                let mut versions = self.versions[number].lock().await;
                let delete = self.store.delete(&key).await;
                self.after_write(delete, &mut versions, None);
            }
            60..75 => {
                let versions = self.versions[number].lock().await;
                if let Some(found) = self.check(self.store.get(&key).await) {
                    assert!(is_one_of(number, &versions, found.as_ref()), "{key}");
                }
            }
            75..99 => {
                if let Some(Some(found)) = self.check(self.store.get(&key).await) {
                    assert!(is_a_value_of(number, &found), "{key}");
                }
            }
            _ => {
                let query = self.store.query(Query::new()).await.unwrap();
                let found: Result<Vec<_>> = query.try_collect().await;
                for entry in self.check(found).unwrap_or_default() {
                    let number = entry.key.as_str()[4..].parse().unwrap();
                    assert!(is_a_value_of(number, &entry.value.unwrap()));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_block_is_lost_while_another_program_opens_the_files() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let mut opener = Child::start("contention::opener", &[home.store().to_str().unwrap()]);
    assert_eq!(opener.next_line().unwrap(), "started");
    let model = Arc::new(Model {
        store: store.clone(),
        versions: (0..KEYS).map(|_| Mutex::new(vec![None])).collect(),
        in_use: AtomicUsize::new(0),
    });
    let mut tasks = JoinSet::new();
    for seed in 0..TASKS {
        let model = Arc::clone(&model);
        tasks.spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..OPERATIONS {
                model.step(&mut random).await;
            }
        });
    }
    tasks.join_all().await;
    let opened: usize = opener.request("stop").parse().unwrap();
    let in_use = model.in_use.load(Ordering::Relaxed);
    eprintln!("{opened} files were opened by the other program, {in_use} operations failed");
    assert!(opened > 0);
    let mut found = contents(&store).await;
    for (number, versions) in model.versions.iter().enumerate() {
        let found = found.remove(&key(number));
        let versions = versions.lock().await;
        assert!(is_one_of(number, &versions, found.as_ref()), "{number}");
    }
    assert!(found.is_empty(), "{found:?}");
    store.close().await.unwrap();
    assert_eq!(home.temp_names(), [""; 0]);
    let left_over = names(&home.store()).into_iter();
    let left_over = left_over.filter(|name| name.len() == 2);
    let files = left_over.flat_map(|shard| names(&home.in_store(shard)));
    assert!(files.into_iter().all(|file| file.starts_with("KEY")));
}

/// A test of go-ds-flatfs: several batches put the same keys at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_that_put_the_same_keys_at_once_leave_whole_blocks() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let mut tasks = JoinSet::new();
    for version in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let batch = store.batch().await?;
            for number in 0..50 {
                batch.put(&key(number), value(number, version)).await?;
            }
            batch.commit().await?;
            Result::<_, Error>::Ok(())
        });
    }
    for done in tasks.join_all().await {
        done.unwrap();
    }
    let found = contents(&store).await;
    assert_eq!(found.len(), 50);
    // A commit is all or nothing for readers that come after it, too: one of the batches was the last.
    let is_of = |version| (0..50).all(|number| found[&key(number)] == value(number, version));
    assert!((0..8).any(is_of));
    store.close().await.unwrap();
    assert_eq!(home.temp_names(), [""; 0]);
}

/// A test of go-ds-flatfs: readers have the old blocks open when a batch replaces them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_replaces_and_deletes_blocks_that_readers_have_open() {
    let (home, store) = Home::with_store("next-to-last/2").await;
    for number in 0..20 {
        store.put(&key(number), value(number, 0)).await.unwrap();
    }
    let open = |number| fs::File::open(home.block(&key(number))).unwrap();
    let readers: Vec<fs::File> = (0..20).map(open).collect();
    let batch = store.batch().await.unwrap();
    for number in 0..10 {
        batch.put(&key(number), value(number, 1)).await.unwrap();
        batch.delete(&key(number + 10)).await.unwrap();
    }
    let commit = tokio::spawn(batch.commit());
    for (number, mut reader) in readers.into_iter().enumerate() {
        let mut found = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut found).unwrap();
        assert_eq!(found, value(number, 0));
    }
    commit.await.unwrap().unwrap();
    let expected = (0..10).map(|number| (key(number), value(number, 1)));
    assert!(contents(&store).await.into_iter().eq(expected));
    store.close().await.unwrap();
    assert_eq!(home.temp_names(), [""; 0]);
}
