//! What runs in the background while a store is open for writing: checkpoints of the disk usage, and its count
//! after a crash.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::shared::Store;
use crate::blocking;
use crate::disk_usage::{self, UsageTracker};
use crate::error::Result;
use crate::observe::target;

/// Starts the tasks of a store that was just opened.
pub(super) fn start(store: &Arc<Store>) {
    if store.lifecycle.is_read_only() {
        return;
    }
    let usage = Arc::clone(store.blocks.usage());
    let checkpoints = run_checkpoints(Arc::downgrade(store), usage);
    store.lifecycle.spawn(checkpoints);
    if store.saved_usage.is_stale() {
        store.lifecycle.spawn(recount(Arc::downgrade(store)));
    }
}

/// Saves the disk usage whenever a checkpoint is due.
async fn run_checkpoints(store: Weak<Store>, usage: Arc<UsageTracker>) {
    loop {
        usage.checkpoint_due().await;
        let Some(store) = store.upgrade() else {
            return;
        };
        let Ok(guard) = store.lifecycle.begin_write(Arc::clone(&store), None) else {
            return;
        };
        drop(store);
        let saved = blocking::run(move || guard.saved_usage.checkpoint());
        if let Err(error) = saved.await {
            tracing::warn!(target: target::STORE, %error, "cannot save the disk usage");
        }
    }
}

/// Counts the disk usage, a few directories per job, until that is done or the store is closed.
async fn recount(store: Weak<Store>) {
    if let Err(error) = try_recount(Weak::clone(&store)).await {
        if let Some(store) = store.upgrade() {
            store.blocks.usage().abandon_count();
        }
        tracing::warn!(target: target::STORE, %error, "cannot count the disk usage; the next open will try again");
    }
}

async fn try_recount(weak: Weak<Store>) -> Result<()> {
    let Some(store) = weak.upgrade() else {
        return Ok(());
    };
    let dirs = blocking::run(move || {
        let blocks = &store.blocks;
        blocks.usage().begin_count(blocks.disk(), blocks.layout())
    })
    .await?;
    let mut dirs = dirs.into_iter();
    while dirs.len() > 0 {
        let Some(store) = weak.upgrade() else {
            return Ok(());
        };
        let permit = store.open_files.permit().await?;
        dirs = blocking::run(move || {
            let _permit = permit;
            count_some(&store, &mut dirs)?;
            Ok(dirs)
        })
        .await?;
    }
    if let Some(store) = weak.upgrade()
        && !store.lifecycle.is_closed()
    {
        store.blocks.usage().finish_count();
        store.saved_usage.mark_counted();
        store.blocks.usage().request_checkpoint();
    }
    Ok(())
}

/// Counts directories for a few milliseconds.
fn count_some(store: &Store, dirs: &mut impl Iterator<Item = String>) -> Result<()> {
    const MAX_TIME: Duration = Duration::from_millis(5);
    let (begun, blocks) = (Instant::now(), &store.blocks);
    let stop = || store.lifecycle.is_closed();
    while begun.elapsed() < MAX_TIME
        && let Some(dir) = dirs.next()
    {
        let (disk, layout) = (blocks.disk(), blocks.layout());
        disk_usage::count_dir(blocks.usage(), disk, layout, &dir, stop)?;
    }
    Ok(())
}
