//! [`LongCid`]: a CID that may contain a block of up to 128 bytes. kubo allows these, and a [`Cid`] has room for 64.

use std::fmt::Display;

use cid::multihash::Multihash;
use cid::{Cid, CidGeneric};

use crate::hash;

/// The length of the longest block that a CID may contain.
pub(super) const MAX_INLINE: usize = 128;

pub(super) type LongCid = CidGeneric<MAX_INLINE>;

/// Parses a CID. If it contains a block that is too long for it, adds it to `long` instead.
///
/// # Errors
///
/// Returns why the bytes are not a CID.
pub(super) fn read(bytes: &[u8], long: &mut Vec<LongCid>) -> Result<Option<Cid>, String> {
    match Cid::try_from(bytes) {
        Ok(cid) => Ok(Some(cid)),
        Err(error) => match LongCid::try_from(bytes) {
            Ok(cid) if hash::inline(cid.hash()).is_some() => {
                long.push(cid);
                Ok(None)
            }
            _ => Err(error.to_string()),
        },
    }
}

/// Adds CIDs to `found`, and those that contain a block that is too long for a [`Cid`] to `long`.
///
/// # Errors
///
/// Returns why one of them is not allowed.
pub(super) fn sort(
    cids: Vec<LongCid>,
    found: &mut Vec<Cid>,
    long: &mut Vec<LongCid>,
) -> Result<(), String> {
    let text = |error: &dyn Display| error.to_string();
    for cid in cids {
        match Multihash::wrap(cid.hash().code(), cid.hash().digest()) {
            Ok(hash) => {
                let short = Cid::new(cid.version(), cid.codec(), hash);
                found.push(short.map_err(|error| text(&error))?);
            }
            Err(_) if hash::inline(cid.hash()).is_some() => long.push(cid),
            Err(error) => return Err(text(&error)),
        }
    }
    Ok(())
}
