//! Opening stores, and closing them whatever happens.

use std::path::Path;

use anyhow::anyhow;
use ds_flatfs::{FlatFs, Options};

use crate::interrupt::interruptible;
use crate::report;

/// Does `work` on the store in `dir`, which it only reads.
///
/// # Errors
///
/// If the store can't be opened, or the work fails.
pub(crate) async fn reading<T>(
    dir: &Path,
    work: impl AsyncFnOnce(&FlatFs) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let store = Options::new().read_only(true).open(dir).await?;
    if store.has_pending_commits().await? {
        report::warn(&anyhow!(
            "a commit in {} is under way or was interrupted, so some of its blocks may be missing; \
             if no program is writing, any command that writes completes it",
            dir.display()
        ));
    }
    close_after(store, work).await
}

/// Does `work` on the store in `dir`, which it may change.
///
/// # Errors
///
/// If the store can't be opened or closed, the work fails, or the user interrupts it.
pub(crate) async fn writing<T>(
    dir: &Path,
    work: impl AsyncFnOnce(&FlatFs) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let store = Options::new().open(dir).await?;
    close_after(store, async |store| interruptible(work(store)).await).await
}

/// Does `work` on the store in `dir`, which is made if it isn't there. The work itself says where it can
/// be interrupted.
pub(crate) async fn making<T>(
    dir: &Path,
    work: impl AsyncFnOnce(&FlatFs) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let store = Options::new().open_or_create(dir).await?;
    close_after(store, work).await
}

async fn close_after<T>(
    store: FlatFs,
    work: impl AsyncFnOnce(&FlatFs) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let done = work(&store).await;
    let closed = store.close().await;
    let done = done?;
    closed?;
    Ok(done)
}
