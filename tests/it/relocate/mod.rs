//! Blocks that change their places: `Move` and `Reshard`.

mod kills;
mod moving;
mod resharding;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ds_flatfs::{Key, Shard};

use crate::support::{
    block_path, contents, exact_usage, key_of, options, slack_of_dirs, tree, usage,
};

/// The functions that a store goes through.
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

/// The files that are named as blocks, below a store's root, by their paths from there.
fn block_files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let nodes = tree(root).into_iter().filter_map(|(path, node)| {
        let is_block = path.extension().is_some_and(|end| end == "data");
        is_block.then_some((path, node.contents?))
    });
    nodes.collect()
}

/// Checks that a store has just these blocks, each with the hash that its key says and where it should
/// stand, and that its figures are right.
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
    let counted = usage(root);
    let slack = slack_of_dirs(root);
    assert!(figure.abs_diff(counted) <= slack, "{figure}, not {counted}");
    store.close().await.unwrap();
}

/// Whether the store explains itself, as it should with kubo's function alone.
fn has_readme(root: &Path) -> bool {
    fs::exists(root.join("_README")).unwrap()
}
