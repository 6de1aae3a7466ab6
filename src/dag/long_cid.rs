//! [`LongCid`]: a CID that may contain a block of up to 128 bytes. kubo allows these, and a [`Cid`] has room for 64.

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
