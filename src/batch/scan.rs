//! Queries through a batch: its own writes over the store's entries.

use std::collections::HashSet;
use std::future::ready;
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};

use super::put_set::StagedWrite;
use super::staging::Stage;
use crate::blocking;
use crate::error::Result;
use crate::key::Key;
use crate::query::{self, Entry, EntryStream, Needs, Query};
use crate::store::{FlatFs, WorkGuard, walk};

pub(super) async fn query(
    flatfs: &FlatFs,
    stage: &Arc<Stage>,
    query: Query,
) -> Result<EntryStream> {
    let guarded = (flatfs.store.lifecycle).begin_read(Arc::clone(stage), None)?;
    stage.check()?;
    if !query.prefix.is_root() {
        return Ok(stream::empty().boxed());
    }
    // The batch's writes are copied before the store is listed: the blocks of a commit in between are then in both,
    // and the store's are excluded by their keys.
    let own = OwnWrites::of(guarded).await?;
    let entries = merged(flatfs, stage, own, query.needs());
    Ok(query::apply(query, entries))
}

/// The writes of a batch when it is queried.
struct OwnWrites {
    writes: Vec<(Key, StagedWrite)>,
    keys: HashSet<Key>,
}

impl OwnWrites {
    /// Copies them on the pool: a batch may have millions of keys.
    async fn of(stage: WorkGuard<Arc<Stage>>) -> Result<Self> {
        const KEYS_PER_PART: usize = 1024;
        blocking::run(move || {
            let all = stage.len();
            let mut own = OwnWrites {
                writes: Vec::with_capacity(all),
                keys: HashSet::with_capacity(all),
            };
            for from in (0..all).step_by(KEYS_PER_PART) {
                for (block, staged) in stage.part(from, KEYS_PER_PART.min(all - from)) {
                    let key = block.into_key();
                    own.keys.insert(key.clone());
                    own.writes.push((key, staged));
                }
            }
            Ok(own)
        })
        .await
    }
}

/// The puts of the batch, then the store's entries of other keys.
fn merged(
    flatfs: &FlatFs,
    stage: &Arc<Stage>,
    OwnWrites { writes, keys }: OwnWrites,
    needs: Needs,
) -> impl Stream<Item = Result<Entry>> + Send + use<> {
    let stage = Arc::clone(stage);
    let own = stream::iter(writes)
        .then(move |(key, staged)| own_entry(Arc::clone(&stage), key, staged, needs))
        .filter_map(|entry| ready(entry.transpose()));
    let others = walk(&flatfs.store, needs).filter(move |entry| {
        ready(match entry {
            Ok(entry) => !keys.contains(&entry.key),
            Err(_) => true,
        })
    });
    own.chain(others)
}

async fn own_entry(
    stage: Arc<Stage>,
    key: Key,
    staged: StagedWrite,
    needs: Needs,
) -> Result<Option<Entry>> {
    // Most entries are ready at once. Without this, a task that reads only such entries would never yield to other
    // tasks.
    tokio::task::consume_budget().await;
    Ok(match (staged, needs) {
        (StagedWrite::Deleted, _) => None,
        (_, Needs::Key) => Some(Entry::from_key(key)),
        (StagedWrite::InMemory(value), _) => Some(Entry::with_value(key, value)),
        (StagedWrite::OnDisk(file), Needs::Size) => Some(Entry::with_size(key, file.size)),
        (StagedWrite::OnDisk(file), Needs::Value) => Stage::read(&stage, &key, file.staging_dir)
            .await?
            .map(|value| Entry::with_value(key, value)),
    })
}
