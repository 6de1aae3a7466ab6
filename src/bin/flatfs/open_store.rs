//! Opens stores for the commands, and closes them however the command ends.

use std::path::Path;

use ds_flatfs::{ExistingBlock, FlatFs, Options};

use crate::interrupt::interruptible;
use crate::progress::ProgressBar;
use crate::report;

/// Opens the store in `dir` to read it, runs `work` on it, and closes it.
///
/// # Errors
///
/// Fails if the store can't be opened, or the work fails.
pub(crate) async fn for_reading<T>(
    dir: &Path,
    work: impl AsyncFnOnce(&FlatFs) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let store = Options::new().read_only(true).open(dir).await?;
    warn_of_pending_commits(&store, dir).await?;
    close_after(store, work).await
}

/// Opens the store in `dir` to describe what is in it: as [`for_reading`], and also warns of files that an
/// interrupted command has left behind.
///
/// # Errors
///
/// Fails if the store can't be opened, or the work fails.
pub(crate) async fn for_listing<T>(
    dir: &Path,
    work: impl AsyncFnOnce(&FlatFs) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let store = Options::new().read_only(true).open(dir).await?;
    let is_pending = warn_of_pending_commits(&store, dir).await?;
    let temp = store.path().join(".temp");
    // What can't be listed is for the commands that write to report.
    let has_left_overs = temp
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some());
    if has_left_overs && !is_pending {
        report::warn(&format!(
            "{} has files of a command that is under way or was interrupted; if no program is writing, any \
             command that writes removes them",
            dir.join(".temp").display()
        ));
    }
    close_after(store, work).await
}

/// Warns of commits that are under way or were interrupted, and returns whether there are any.
async fn warn_of_pending_commits(store: &FlatFs, dir: &Path) -> anyhow::Result<bool> {
    let is_pending = store.has_pending_commits().await?;
    if is_pending {
        report::warn(&format!(
            "a commit in {} is under way or was interrupted, so some of its blocks may be missing; \
             if no program is writing, any command that writes completes it",
            dir.display()
        ));
    }
    Ok(is_pending)
}

/// Opens the store in `dir` to change it, runs `work` on it, which the user can interrupt at any time,
/// and closes it.
///
/// # Errors
///
/// Fails if the store can't be opened or closed, or the work fails or is interrupted.
pub(crate) async fn for_writing<T>(
    dir: &Path,
    work: impl AsyncFnOnce(&FlatFs) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let phase = ProgressBar::opening(dir);
    let store = Options::new().open(dir).await?;
    drop(phase);
    close_writer_after(store, async |store| interruptible(work(store)).await).await
}

/// Opens the store in `dir` to import into it, or creates it; runs `work` on it, and closes it. The work
/// decides where the user can interrupt it. A block that the store has with the same size is not written
/// again, but is as durable as those that are.
///
/// # Errors
///
/// Fails if the store can't be opened, created or closed, or the work fails.
pub(crate) async fn for_importing<T>(
    dir: &Path,
    work: impl AsyncFnOnce(&FlatFs) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    // Another program may have written such a block and not flushed it. Only with this policy does the
    // open flush it, so the import must leave the choice to the store.
    let options = Options::new().existing_block(ExistingBlock::Keep);
    let phase = ProgressBar::opening(dir);
    let store = options.open_or_create(dir).await?;
    drop(phase);
    close_writer_after(store, work).await
}

async fn close_after<T>(
    store: FlatFs,
    work: impl AsyncFnOnce(&FlatFs) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let result = work(&store).await;
    both(result, store.close().await)
}

/// Closes a store that was written to, which may take some time.
async fn close_writer_after<T>(
    store: FlatFs,
    work: impl AsyncFnOnce(&FlatFs) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let result = work(&store).await;
    let _phase = ProgressBar::phase("closing the store");
    both(result, store.close().await)
}

/// Returns the result of the work. If the close fails too, the work's error is the more useful one.
fn both<T>(result: anyhow::Result<T>, closed: ds_flatfs::Result<()>) -> anyhow::Result<T> {
    let value = result?;
    closed?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise the blocks that an import finds and skips may be lost in a power cut.
    #[tokio::test]
    async fn a_store_that_is_imported_into_vouches_for_the_blocks_that_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new().existing_block(ExistingBlock::Keep);
        let reference = options.create(dir.path().join("reference")).await.unwrap();
        let is_possible_here = reference.keeps_existing_blocks();
        let store = dir.path().join("store");
        let keeps = for_importing(&store, async |store| Ok(store.keeps_existing_blocks()));
        assert_eq!(keeps.await.unwrap(), is_possible_here);
    }
}
