//! Stores that other programs wrote: go-ds-flatfs 0.6.1 with each shard function, and kubo 0.22.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ds_flatfs::{FlatFs, Key, Query, Shard};

use crate::support::{
    FileState, Home, all, block, block_path, blocks, contents, exact_usage, key_of, names, options,
    tree, true_usage,
};

/// A store that another program wrote.
pub(crate) struct Fixture {
    archive: &'static str,
    /// The store's directory in the archive.
    dir: &'static str,
    shard: &'static str,
    pub(crate) blocks: usize,
}

pub(crate) const FIXTURES: [Fixture; 4] = [
    Fixture {
        archive: "go-flatfs-0.6.1-prefix-2.tar",
        dir: "prefix-2",
        shard: "prefix/2",
        blocks: 48,
    },
    Fixture {
        archive: "go-flatfs-0.6.1-suffix-3.tar",
        dir: "suffix-3",
        shard: "suffix/3",
        blocks: 48,
    },
    Fixture {
        archive: "go-flatfs-0.6.1-next-to-last-2.tar",
        dir: "next-to-last-2",
        shard: "next-to-last/2",
        blocks: 48,
    },
    Fixture {
        archive: "kubo-0.22-blocks.tar",
        dir: "blocks",
        shard: "next-to-last/2",
        blocks: 7,
    },
];

impl Fixture {
    /// Unpacks a copy of the store.
    pub(crate) fn unpack(&self) -> (Home, PathBuf) {
        let home = Home::new();
        let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let archive = File::open(archives.join(self.archive)).unwrap();
        let mut archive = tar::Archive::new(archive);
        archive.set_preserve_permissions(true);
        archive.unpack(home.beside("")).unwrap();
        let store = home.beside(self.dir);
        (home, store)
    }

    pub(crate) fn shard(&self) -> Shard {
        self.shard.parse().unwrap()
    }

    /// Returns all blocks of the store, and checks that each has the hash in its key.
    async fn read(&self, store: &FlatFs) -> BTreeMap<Key, Bytes> {
        assert_eq!(store.shard(), self.shard());
        let found = contents(store).await;
        assert_eq!(found.len(), self.blocks, "{}", self.archive);
        for (key, value) in &found {
            assert_eq!(key_of(value), *key);
            assert_eq!(store.get(key).await.unwrap().as_ref(), Some(value));
            let size = store.get_size(key).await.unwrap();
            assert_eq!(size, Some(value.len() as u64));
            assert!(store.has(key).await.unwrap());
        }
        let keys = Query::new().keys_only();
        let listed = all(store.query(keys).await.unwrap()).await;
        let listed: BTreeSet<_> = listed.into_iter().map(|entry| entry.key).collect();
        assert!(listed.iter().eq(found.keys()));
        found
    }
}

/// Returns the disk usage in a store's `diskUsage.cache`.
fn cached_usage(store: &Path) -> u64 {
    let cache = fs::read(store.join("diskUsage.cache")).unwrap();
    let cache: serde_json::Value = serde_json::from_slice(&cache).unwrap();
    cache["diskUsage"].as_u64().unwrap()
}

#[tokio::test]
async fn a_reader_finds_every_block_and_changes_nothing() {
    for fixture in FIXTURES {
        let (_home, path) = fixture.unpack();
        let before = tree(&path);
        let store = options().read_only(true).open(&path).await.unwrap();
        fixture.read(&store).await;
        let figure = store.disk_usage().await.unwrap();
        assert_eq!(figure.bytes, cached_usage(&path));
        store.close().await.unwrap();
        assert_eq!(tree(&path), before);
    }
}

#[tokio::test]
async fn a_writer_that_only_reads_adds_only_its_lock_file() {
    for fixture in FIXTURES {
        let (_home, path) = fixture.unpack();
        let before = tree(&path);
        let store = options().open(&path).await.unwrap();
        fixture.read(&store).await;
        store.close().await.unwrap();
        let mut after = tree(&path);
        assert!(after.remove(Path::new(".lock")).is_some());
        // The disk usage is written again, which changes the times of these directories.
        let is_rewritten =
            |path: &Path| ["", ".temp", "diskUsage.cache"].contains(&path.to_str().unwrap());
        let contents = |state: &FileState| state.contents.clone();
        assert!(after.keys().eq(before.keys()));
        for (path, state) in &before {
            if is_rewritten(path) {
                assert_eq!(contents(&after[path]), contents(state), "{path:?}");
            } else {
                assert_eq!(after[path], *state, "{path:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_stored_disk_usage_equals_a_count_by_the_same_rule() {
    for fixture in FIXTURES {
        let (_home, path) = fixture.unpack();
        let nodes = tree(&path);
        let is_counted = |path: &Path| path != Path::new("diskUsage.cache");
        let sizes = nodes.iter().filter(|(path, _)| is_counted(path));
        // The directories had this size on the file system where the store was written.
        let size = |state: &FileState| state.contents.as_ref().map_or(4096, Vec::len) as u64;
        let sum: u64 = sizes.map(|(_, state)| size(state)).sum();
        assert_eq!(cached_usage(&path), sum, "{}", fixture.archive);

        fs::remove_file(path.join("diskUsage.cache")).unwrap();
        // The open would create these files, which may change the size of the root.
        fs::write(path.join(".lock"), "").unwrap();
        fs::write(path.join(".unclean"), "").unwrap();
        let expected = true_usage(&path);
        let store = options().open(&path).await.unwrap();
        assert_eq!(exact_usage(&store).await, expected, "{}", fixture.archive);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_writer_produces_the_layout_of_go_ds_flatfs() {
    for fixture in FIXTURES {
        let (_home, path) = fixture.unpack();
        let before = tree(&path);
        let store = options().open(&path).await.unwrap();
        let mut expected = fixture.read(&store).await;

        let deleted: Vec<Key> = expected.keys().take(4).cloned().collect();
        store.delete(&deleted[0]).await.unwrap();
        let (key, value) = block(1000);
        store.put(&key, value).await.unwrap();
        let batch = store.batch().await.unwrap();
        for (key, value) in blocks(30) {
            batch.put(&key, value).await.unwrap();
        }
        for key in &deleted[1..] {
            batch.delete(key).await.unwrap();
        }
        batch.commit().await.unwrap();

        expected.retain(|key, _| !deleted.contains(key));
        expected.extend(blocks(30));
        expected.extend([block(1000)]);
        assert_eq!(contents(&store).await, expected);
        store.close().await.unwrap();

        let after = tree(&path);
        let shard = fixture.shard();
        let files = after.iter().filter_map(|(path, state)| {
            let is_block = path
                .extension()
                .is_some_and(|extension| extension == "data");
            is_block.then(|| (path.clone(), state.contents.clone().unwrap()))
        });
        let wanted: BTreeMap<PathBuf, Vec<u8>> = expected
            .iter()
            .map(|(key, value)| (block_path(shard, key), value.to_vec()))
            .collect();
        assert_eq!(files.collect::<BTreeMap<_, _>>(), wanted);

        // As in go-ds-flatfs, a shard directory stays after its last block is deleted.
        let outside_temp = before.keys().filter(|path| !path.starts_with(".temp"));
        let mut others: BTreeSet<PathBuf> = outside_temp
            .filter(|path| path.extension().is_none_or(|extension| extension != "data"))
            .cloned()
            .collect();
        others.extend(wanted.keys().map(|path| path.parent().unwrap().to_owned()));
        others.extend([".lock", ".temp"].map(PathBuf::from));
        let found: BTreeSet<PathBuf> = after
            .keys()
            .filter(|path| !wanted.contains_key(*path))
            .cloned()
            .collect();
        assert_eq!(found, others);
        assert_eq!(names(&path.join(".temp")), [""; 0]);
        for unchanged in ["SHARDING", "_README"].map(Path::new) {
            assert_eq!(after.get(unchanged), before.get(unchanged));
        }
    }
}
