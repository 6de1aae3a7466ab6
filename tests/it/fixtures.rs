//! Stores that other programs made: go-ds-flatfs 0.6.1 with each shard function, and kubo 0.22.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ds_flatfs::{FlatFs, Key, Query, Shard};

use crate::support::{
    Home, Node, all, block, block_path, blocks, contents, exact_usage, key_of, names, options,
    tree, usage,
};

/// A store that another program made.
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
    /// A copy of the store.
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

    /// All blocks of the store, each of which has the hash that its key says.
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

/// The figure in a store's `diskUsage.cache`.
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
async fn a_writer_that_only_reads_leaves_nothing_but_its_lock() {
    for fixture in FIXTURES {
        let (_home, path) = fixture.unpack();
        let before = tree(&path);
        let store = options().open(&path).await.unwrap();
        fixture.read(&store).await;
        store.close().await.unwrap();
        let mut after = tree(&path);
        assert!(after.remove(Path::new(".lock")).is_some());
        // The figure is written anew, and that shows in the directories that it goes through.
        let is_rewritten =
            |path: &Path| ["", ".temp", "diskUsage.cache"].contains(&path.to_str().unwrap());
        let contents = |node: &Node| node.contents.clone();
        assert!(after.keys().eq(before.keys()));
        for (path, node) in &before {
            if is_rewritten(path) {
                assert_eq!(contents(&after[path]), contents(node), "{path:?}");
            } else {
                assert_eq!(after[path], *node, "{path:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_figure_in_the_cache_is_what_a_count_by_the_same_rule_gives() {
    for fixture in FIXTURES {
        let (_home, path) = fixture.unpack();
        let nodes = tree(&path);
        let is_counted = |path: &Path| path != Path::new("diskUsage.cache");
        let sizes = nodes.iter().filter(|(path, _)| is_counted(path));
        // The directories had this size where the store was made.
        let size = |node: &Node| node.contents.as_ref().map_or(4096, Vec::len) as u64;
        let sum: u64 = sizes.map(|(_, node)| size(node)).sum();
        assert_eq!(cached_usage(&path), sum, "{}", fixture.archive);

        fs::remove_file(path.join("diskUsage.cache")).unwrap();
        // What the open is going to make may change the size of the root.
        fs::write(path.join(".lock"), "").unwrap();
        fs::write(path.join(".unclean"), "").unwrap();
        let expected = usage(&path);
        let store = options().open(&path).await.unwrap();
        assert_eq!(exact_usage(&store).await, expected, "{}", fixture.archive);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_writer_leaves_the_layout_that_the_reference_would() {
    for fixture in FIXTURES {
        let (_home, path) = fixture.unpack();
        let before = tree(&path);
        let store = options().open(&path).await.unwrap();
        let mut expected = fixture.read(&store).await;

        let gone: Vec<Key> = expected.keys().take(4).cloned().collect();
        store.delete(&gone[0]).await.unwrap();
        let (key, value) = block(1000);
        store.put(&key, value).await.unwrap();
        let batch = store.batch().await.unwrap();
        for (key, value) in blocks(30) {
            batch.put(&key, value).await.unwrap();
        }
        for key in &gone[1..] {
            batch.delete(key).await.unwrap();
        }
        batch.commit().await.unwrap();

        expected.retain(|key, _| !gone.contains(key));
        expected.extend(blocks(30));
        expected.extend([block(1000)]);
        assert_eq!(contents(&store).await, expected);
        store.close().await.unwrap();

        let after = tree(&path);
        let shard = fixture.shard();
        let files = after.iter().filter_map(|(path, node)| {
            let is_block = path
                .extension()
                .is_some_and(|extension| extension == "data");
            is_block.then(|| (path.clone(), node.contents.clone().unwrap()))
        });
        let wanted: BTreeMap<PathBuf, Vec<u8>> = expected
            .iter()
            .map(|(key, value)| (block_path(shard, key), value.to_vec()))
            .collect();
        assert_eq!(files.collect::<BTreeMap<_, _>>(), wanted);

        // A shard directory stays when its last block goes, as with the reference.
        let kept = before.keys().filter(|path| !path.starts_with(".temp"));
        let mut others: BTreeSet<PathBuf> = kept
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
