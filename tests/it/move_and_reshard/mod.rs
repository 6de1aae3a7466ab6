//! `Move` and `Reshard`, which change the paths of blocks.

mod killed;
mod moving;
mod resharding;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ds_flatfs::{Key, Shard};

use crate::support::{
    block_path, contents, dir_size_slack, exact_usage, key_of, options, tree, true_usage,
};

/// The shard functions that the tests use one after the other.
const SHARDS: [&str; 6] = [
    "prefix/1",
    "suffix/3",
    "next-to-last/3",
    "prefix/40",
    "suffix/2",
    "next-to-last/2",
];

fn shard(name: &str) -> Shard {
    name.parse().unwrap()
}

/// Returns the files with names of blocks below a store's root, by relative path.
fn block_files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let nodes = tree(root).into_iter().filter_map(|(path, node)| {
        let is_block = path.extension().is_some_and(|end| end == "data");
        is_block.then_some((path, node.contents?))
    });
    nodes.collect()
}

/// Checks that a store has exactly these blocks, each at the right path and with the hash in its key, and
/// that the disk usage is right.
async fn check(root: &Path, expected: &BTreeMap<Key, Bytes>, shard: Shard) {
    let wanted = expected.iter();
    let wanted = wanted.map(|(key, value)| (block_path(shard, key), value.to_vec()));
    assert_eq!(block_files(root), wanted.collect());
    for (key, value) in expected {
        assert_eq!(key_of(value), *key);
    }
    let store = options().open(root).await.unwrap();
    assert_eq!(store.shard(), shard);
    assert_eq!(contents(&store).await, *expected);
    let figure = exact_usage(&store).await;
    let counted = true_usage(root);
    let slack = dir_size_slack(root);
    assert!(figure.abs_diff(counted) <= slack, "{figure}, not {counted}");
    store.close().await.unwrap();
}

/// Returns whether the store has a `_README`, as it should only with kubo's function.
fn has_readme(root: &Path) -> bool {
    fs::exists(root.join("_README")).unwrap()
}
