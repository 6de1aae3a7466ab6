//! Queries through a batch: its own writes over the store's entries.

use std::collections::HashSet;
use std::future::ready;
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};

use super::stage::{Stage, Staged};
use crate::error::Result;
use crate::key::Key;
use crate::query::{self, Entry, EntryStream, Needs, Query};
use crate::store::{FlatFs, walk};

pub(super) fn query(flatfs: &FlatFs, stage: &Arc<Stage>, query: Query) -> EntryStream {
    if !query.prefix.is_root() {
        return stream::empty().boxed();
    }
    let entries = merged(flatfs, stage, query.needs());
    query::apply(query, entries)
}

/// The batch's puts, then the store's entries of other keys.
fn merged(
    flatfs: &FlatFs,
    stage: &Arc<Stage>,
    needs: Needs,
) -> impl Stream<Item = Result<Entry>> + Send + use<> {
    let snapshot = stage.snapshot();
    let written: HashSet<Key> = snapshot
        .iter()
        .map(|(block, _)| block.key().clone())
        .collect();
    let stage = Arc::clone(stage);
    let own = stream::iter(snapshot)
        .then(move |(block, staged)| {
            own_entry(Arc::clone(&stage), block.key().clone(), staged, needs)
        })
        .filter_map(|entry| ready(entry.transpose()));
    let others = walk(&flatfs.store, needs).filter(move |entry| {
        ready(match entry {
            Ok(entry) => !written.contains(&entry.key),
            Err(_) => true,
        })
    });
    own.chain(others)
}

async fn own_entry(
    stage: Arc<Stage>,
    key: Key,
    staged: Staged,
    needs: Needs,
) -> Result<Option<Entry>> {
    Ok(match (staged, needs) {
        (Staged::Deleted, _) => None,
        (_, Needs::Key) => Some(Entry::from_key(key)),
        (Staged::InMemory(value), _) => Some(Entry::with_value(key, value)),
        (Staged::OnDisk(size), Needs::Size) => Some(Entry::with_size(key, size)),
        (Staged::OnDisk(_), Needs::Value) => Stage::read(&stage, &key)
            .await?
            .map(|value| Entry::with_value(key, value)),
    })
}
