//! The commit of a batch.

use std::sync::Arc;

use super::stage::Stage;
use crate::disk::pool;
use crate::error::Result;
use crate::layout::BlockKey;
use crate::observe::{self, target};
use crate::store::{Committed, Store};

/// Waits for the writes and for the turns of all keys, and then commits as one job.
pub(super) async fn commit(store: &Arc<Store>, stage: Arc<Stage>) -> Result<()> {
    let work = store.begin_write()?;
    // On an error it goes before `work` does, so that a close waits until it has cleaned up.
    let stage = stage;
    stage.settled().await?;
    stage.check()?;
    let intent = stage.intent();
    let mut keys: Vec<BlockKey> = intent.keys().cloned().collect();
    // All commits take their turns in the same order, so no two wait for each other.
    keys.sort_unstable();
    let mut turns = Vec::with_capacity(keys.len());
    for key in &keys {
        turns.push(store.turns.take(key).await);
    }
    let permit = store.file_permit().await?;
    let store = Arc::clone(store);
    pool::run(move || {
        let _held = (work, permit);
        for turn in &mut turns {
            turn.begin();
        }
        let batch = Committed {
            dir: stage.dir(),
            intent,
        };
        let committed = if batch.intent.is_empty() {
            stage.remove_dir()
        } else {
            commit_in_turn(&store, &stage, batch)
        };
        drop(turns);
        committed
    })
    .await
}

fn commit_in_turn(store: &Store, stage: &Stage, batch: Committed) -> Result<()> {
    let recorded = store
        .finish_commits_before(&batch.intent)
        .and_then(|()| store.make_shards_of(&batch))
        .and_then(|()| store.sync_staged(&batch))
        .and_then(|()| store.write_record(&batch));
    match recorded {
        Ok(()) => {
            stage.leave_dir();
            let puts = batch.intent.puts.len();
            let bytes = batch.intent.puts.iter().map(|(_, size)| size).sum();
            observe::committed(&batch.dir, puts, batch.intent.deletes.len(), bytes);
            store.carry_out(batch)
        }
        Err(error) => {
            if store.is_distrusted() {
                // The record may be durable all the same: then what it speaks of has to stay.
                stage.leave_dir();
            } else if let Err(error) = stage.remove_dir() {
                tracing::warn!(target: target::BATCH, batch = %observe::name(&stage.dir()), %error, "cannot remove a batch that failed; the next open will");
            }
            Err(error)
        }
    }
}
