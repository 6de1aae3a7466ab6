//! The third part of a repair: what is missing is put back.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use futures::stream::{self, BoxStream, Stream, StreamExt};

use super::finding::{Finding, Problem, Remedy};
use super::repair_moves::RepairMover;
use crate::batch::FlatBatch;
use crate::blocking;
use crate::error::{Error, Result};
use crate::format::BlockKey;
use crate::hash::{self, HashError};
use crate::key::Key;

/// A commit has so many blocks at most,
const BLOCKS: usize = 1024;
/// or so many bytes, and one block.
const BYTES: usize = 32 << 20;

type Copies = BoxStream<'static, Result<(Cid, Bytes)>>;

/// Puts back what the store doesn't have, some blocks in one commit.
pub(super) fn restore(
    mender: Arc<RepairMover>,
    copies: Copies,
) -> impl Stream<Item = Result<Finding>> + Send {
    stream::unfold(Some((mender, copies)), |rest| async move {
        let (mender, mut copies) = rest?;
        let (found, has_more) = restore_some(&mender, &mut copies).await;
        let rest = has_more.then_some((mender, copies));
        Some((stream::iter(found), rest))
    })
    .flatten()
}

/// What came of some copies, and whether there may be more.
async fn restore_some(
    mender: &Arc<RepairMover>,
    copies: &mut Copies,
) -> (Vec<Result<Finding>>, bool) {
    let mut found = Vec::new();
    let filled = match mender.flatfs.batch().await {
        Ok(batch) => {
            let filled = fill(mender, &batch, copies, &mut found).await;
            // What was taken before an error is good.
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
    mender: &Arc<RepairMover>,
    batch: &FlatBatch,
    copies: &mut Copies,
    found: &mut Vec<Finding>,
) -> Result<bool> {
    let mut bytes = 0;
    while found.len() < BLOCKS && bytes < BYTES {
        let Some(copy) = copies.next().await else {
            return Ok(false);
        };
        let (cid, block) = copy?;
        for key in missing(mender, batch, &cid).await? {
            let checked = check(cid, block.clone()).await?;
            let at = BlockKey::new(&key)?;
            let path = mender.flatfs.store.blocks.layout().block(&at);
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

/// The keys under which the block of a CID should be and isn't: those that are in quarantine, and if it is
/// nowhere that of the multihash.
async fn missing(mender: &Arc<RepairMover>, batch: &FlatBatch, cid: &Cid) -> Result<Vec<Key>> {
    if hash::inline(cid.hash()).is_some() {
        // The CID has it.
        return Ok(Vec::new());
    }
    let mut keys = vec![Key::from_cid(cid), Key::from_cid_bytes(cid)];
    keys.dedup();
    let (mut is_there, mut lost) = (false, Vec::new());
    for key in &keys {
        if is_taken(batch, key).await? {
            is_there = true;
        } else if is_quarantined(mender, key).await? {
            lost.push(key.clone());
        }
    }
    if lost.is_empty() && !is_there {
        keys.truncate(1);
        return Ok(keys);
    }
    Ok(lost)
}

/// Whether something stands in the block's place, a block or not.
async fn is_taken(batch: &FlatBatch, key: &Key) -> Result<bool> {
    match batch.has(key).await {
        Err(Error::Unexpected { .. }) => Ok(true),
        found => found,
    }
}

async fn is_quarantined(mender: &Arc<RepairMover>, key: &Key) -> Result<bool> {
    let Ok(block) = BlockKey::new(key) else {
        return Ok(false);
    };
    let mender = Arc::clone(mender);
    blocking::run(move || mender.has_quarantined(&block)).await
}

async fn check(cid: Cid, block: Bytes) -> Result<Result<(), HashError>> {
    blocking::run(move || Ok(hash::check(cid.hash(), &block))).await
}
