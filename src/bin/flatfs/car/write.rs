//! The bytes of a CARv1.

use anyhow::Context as _;
use cid::Cid;
use unsigned_varint::encode;

use super::header::Header;

/// What stands at the end of a CAR that couldn't be written as a whole. A reader that stops between two
/// blocks would take it for one; here it meets the length of a section that isn't there. Some readers take
/// an end inside or right behind a length for the end of the CAR, so a part of the section follows.
pub(crate) const BROKEN_END: &[u8] = b"\x7fthis export failed";

/// The header, with its length before it.
///
/// # Errors
///
/// If it can't be encoded.
pub(crate) fn header(roots: Vec<Cid>) -> anyhow::Result<Vec<u8>> {
    let header = Header {
        roots: Some(roots),
        version: 1,
    };
    let header = serde_ipld_dagcbor::to_vec(&header).context("cannot encode the CAR's header")?;
    let mut bytes = varint(header.len());
    bytes.extend(header);
    Ok(bytes)
}

/// What stands before the bytes of a block: the length of the section, and the CID.
pub(crate) fn section_head(cid: &Cid, block: &[u8]) -> Vec<u8> {
    let cid = cid.to_bytes();
    let mut bytes = varint(cid.len() + block.len());
    bytes.extend(cid);
    bytes
}

fn varint(number: usize) -> Vec<u8> {
    encode::usize(number, &mut encode::usize_buffer()).to_vec()
}
