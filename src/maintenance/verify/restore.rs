//! The third part of a repair: blocks that the store does not have are restored from copies.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use futures::stream::{self, BoxStream, Stream, StreamExt};

use super::finding::{Finding, Problem, Remedy};
use super::repair_mover::RepairMover;
use crate::batch::FlatBatch;
use crate::blocking;
use crate::error::{Error, Result};
use crate::format::BlockKey;
use crate::hash::{self, HashError};
use crate::key::Key;

/// The maximum number of blocks in a commit.
const MAX_BLOCKS_PER_COMMIT: usize = 1024;
/// The maximum number of bytes in a commit. The last block may exceed it.
const MAX_BYTES_PER_COMMIT: usize = 32 << 20;

type GoodCopies = BoxStream<'static, Result<(Cid, Bytes)>>;

/// Restores the blocks that the store does not have, many in one commit. With `lost_only`, it restores only blocks
/// that are in quarantine.
pub(super) fn restore(
    mover: Arc<RepairMover>,
    copies: GoodCopies,
    lost_only: bool,
) -> impl Stream<Item = Result<Finding>> + Send {
    stream::unfold(Some((mover, copies)), move |rest| async move {
        let (mover, mut copies) = rest?;
        let (found, has_more) = restore_some(&mover, &mut copies, lost_only).await;
        let rest = has_more.then_some((mover, copies));
        Some((stream::iter(found), rest))
    })
    .flatten()
}

/// Restores the blocks of one commit. Returns the findings, and whether there may be more copies.
async fn restore_some(
    mover: &Arc<RepairMover>,
    copies: &mut GoodCopies,
    lost_only: bool,
) -> (Vec<Result<Finding>>, bool) {
    let mut found = Vec::new();
    let filled = match mover.flatfs.batch().await {
        Ok(batch) => {
            let filled = fill(mover, &batch, copies, lost_only, &mut found).await;
            // Committed even after an error: the copies that were taken before it are good.
            batch.commit().await.map(|()| filled)
        }
        Err(error) => Err(error),
    };
    match filled {
        Ok(Ok(has_more)) => (found.into_iter().map(Ok).collect(), has_more),
        Ok(Err(error)) => {
            let found = found.into_iter().map(Ok);
            (found.chain([Err(error)]).collect(), false)
        }
        Err(error) => (vec![Err(error)], false),
    }
}

async fn fill(
    mover: &Arc<RepairMover>,
    batch: &FlatBatch,
    copies: &mut GoodCopies,
    lost_only: bool,
    found: &mut Vec<Finding>,
) -> Result<bool> {
    let mut bytes = 0;
    while found.len() < MAX_BLOCKS_PER_COMMIT && bytes < MAX_BYTES_PER_COMMIT {
        let Some(copy) = copies.next().await else {
            return Ok(false);
        };
        let (cid, block) = copy?;
        for key in missing(mover, batch, &cid, lost_only).await? {
            let checked = check(cid, block.clone()).await?;
            let at = BlockKey::new(&key)?;
            let path = mover.flatfs.store.blocks.layout().block(&at);
            found.push(match checked {
                Ok(()) => {
                    bytes += block.len();
                    batch.put(&key, block.clone()).await?;
                    let finding = Finding::new(path, Some(&key), Problem::Missing);
                    finding.remedied(Remedy::Restored)
                }
                Err(why) => Finding::new(path, Some(&key), Problem::BadCopy(why)),
            });
        }
    }
    Ok(true)
}

/// Returns the keys under which the block of a CID is missing: those that are in quarantine, or, without
/// `lost_only`, the key of its multihash if the block is neither in the store nor in quarantine.
async fn missing(
    mover: &Arc<RepairMover>,
    batch: &FlatBatch,
    cid: &Cid,
    lost_only: bool,
) -> Result<Vec<Key>> {
    if hash::inline(cid.hash()).is_some() {
        // The CID contains the block.
        return Ok(Vec::new());
    }
    let mut keys = vec![Key::from_cid(cid), Key::from_cid_bytes(cid)];
    keys.dedup();
    let (mut is_there, mut lost) = (false, Vec::new());
    for key in &keys {
        if is_taken(batch, key).await? {
            is_there = true;
        } else if is_quarantined(mover, key).await? {
            lost.push(key.clone());
        }
    }
    if lost.is_empty() && !is_there && !lost_only {
        keys.truncate(1);
        return Ok(keys);
    }
    Ok(lost)
}

/// Returns whether something is at the path of the block, even if it is not a block.
async fn is_taken(batch: &FlatBatch, key: &Key) -> Result<bool> {
    match batch.has(key).await {
        Err(Error::Unexpected { .. }) => Ok(true),
        found => found,
    }
}

async fn is_quarantined(mover: &Arc<RepairMover>, key: &Key) -> Result<bool> {
    let Ok(block) = BlockKey::new(key) else {
        return Ok(false);
    };
    let mover = Arc::clone(mover);
    blocking::run(move || mover.has_quarantined(&block)).await
}

async fn check(cid: Cid, block: Bytes) -> Result<Result<(), HashError>> {
    blocking::run(move || Ok(hash::check(cid.hash(), &block))).await
}
