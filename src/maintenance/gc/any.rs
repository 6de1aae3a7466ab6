//! [`sweep`]: the removal of garbage from any datastore.

use std::sync::Arc;

use futures::stream::{self, StreamExt};

use super::Collected;
use super::options::GcOptions;
use super::sweep::GarbageCallback;
use crate::blocking;
use crate::dag::Reachable;
use crate::datastore::{Datastore, KeyStream};
use crate::error::{Error, Result};
use crate::maintenance::tool_state::ToolState;
use crate::query::{Entry, Query};
use crate::sync::lock;

/// The number of entries that are removed by one call.
const MAX_ENTRIES: usize = 1024;

/// Notes which blocks the datastore has.
pub(super) async fn see(
    store: &dyn Datastore,
    reachable: &Arc<Reachable>,
    state: &Arc<ToolState>,
) -> Result<()> {
    let entries = store.query(Query::new().keys_only()).await?;
    let mut entries = entries.ready_chunks(MAX_ENTRIES);
    while let Some(found) = entries.next().await {
        let found = found.into_iter().collect::<Result<Vec<Entry>>>()?;
        let (reachable, state) = (Arc::clone(reachable), Arc::clone(state));
        blocking::run(move || {
            state.check()?;
            reachable.see(found.iter().map(|entry| &entry.key));
            state.advance(|progress| progress.blocks += found.len() as u64)
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn sweep(
    store: &dyn Datastore,
    reachable: &Arc<Reachable>,
    options: &GcOptions,
    on_garbage: Option<&Arc<GarbageCallback>>,
    state: &Arc<ToolState>,
) -> Result<Collected> {
    let mut collected = Collected::default();
    let mut limit = options.limit.unwrap_or(u64::MAX);
    let entries = store
        .query(Query::new().keys_only().returns_sizes())
        .await?;
    let mut entries = entries.ready_chunks(MAX_ENTRIES);
    while let Some(found) = entries.next().await {
        let found = found.into_iter().collect::<Result<Vec<Entry>>>()?;
        let count = found.len() as u64;
        let reachable = Arc::clone(reachable);
        // A thousand keys to hash and look up.
        let judge = move || {
            Ok(found
                .into_iter()
                .map(|entry| (reachable.has(&entry.key), entry))
                .collect::<Vec<_>>())
        };
        let mut garbage: Vec<Entry> = Vec::new();
        for (is_reachable, entry) in blocking::run(judge).await? {
            match is_reachable {
                Some(true) => collected.kept += 1,
                None if !options.foreign => collected.foreign += 1,
                Some(false) | None if limit == 0 => collected.left += 1,
                Some(false) | None => {
                    limit -= 1;
                    garbage.push(entry);
                }
            }
        }
        let mut result = match options.dry_run {
            true => Ok(()),
            false => store.delete_many(keys_of(&garbage)).await,
        };
        if let Err(error) = &mut result {
            garbage = gone_of(store, garbage).await;
            // An object store does not know all of them.
            if let Error::PartlyStored { deleted, .. } = error {
                *deleted = garbage.len();
            }
        }
        let sizes = garbage.iter().map(|entry| entry.size.unwrap_or(0));
        collected.removed_bytes += sizes.sum::<u64>();
        collected.removed += garbage.len() as u64;
        let (state, callback) = (Arc::clone(state), on_garbage.cloned());
        blocking::run(move || {
            for entry in &garbage {
                if let Some(callback) = &callback {
                    lock(callback)(&entry.key, entry.size.unwrap_or(0));
                }
            }
            result?;
            state.check()?;
            state.advance(|progress| progress.blocks += count)
        })
        .await?;
    }
    Ok(collected)
}

fn keys_of(entries: &[Entry]) -> KeyStream<'static> {
    let keys = entries.iter().map(|entry| entry.key.clone());
    stream::iter(keys.collect::<Vec<_>>()).boxed()
}

/// Returns those entries that the datastore no longer has: not every datastore deletes all of them or none.
async fn gone_of(store: &dyn Datastore, entries: Vec<Entry>) -> Vec<Entry> {
    let has = store.has_many(keys_of(&entries));
    // A block that can't be looked up is not known to be gone.
    let has = has.map(|(_, has)| has.unwrap_or(true));
    let found: Vec<bool> = has.collect().await;
    let gone = entries.into_iter().zip(found).filter(|(_, has)| !has);
    gone.map(|(entry, _)| entry).collect()
}
