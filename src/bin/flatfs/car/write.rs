//! The bytes of a CARv1.

use anyhow::Context as _;
use cid::Cid;
use unsigned_varint::encode;

use super::CarCid;
use super::header::Header;

/// The end of a CAR that could not be written to its end. A CAR that ends between two blocks looks
/// complete, so this is the length of a section that is missing. Some readers treat an end within or right
/// after a length as the end of the CAR, so a part of the section follows.
pub(crate) const BROKEN_END: &[u8] = b"\x7fthis export failed";

/// Returns the header, preceded by its length.
///
/// # Errors
///
/// Fails if it can't be encoded.
pub(crate) fn header(roots: &[Cid]) -> anyhow::Result<Vec<u8>> {
    let roots = roots.iter().map(to_car_cid).collect::<Result<_, _>>();
    let header = Header {
        roots: Some(roots.context("cannot encode the roots")?),
        version: 1,
    };
    let header = serde_ipld_dagcbor::to_vec(&header).context("cannot encode the CAR's header")?;
    let mut bytes = varint(header.len());
    bytes.extend(header);
    Ok(bytes)
}

/// Returns what precedes the bytes of a block: the length of the section, and the CID.
pub(crate) fn section_head(cid: &Cid, block: &[u8]) -> Vec<u8> {
    let cid = cid.to_bytes();
    let mut bytes = varint(cid.len() + block.len());
    bytes.extend(cid);
    bytes
}

fn to_car_cid(cid: &Cid) -> cid::Result<CarCid> {
    CarCid::new(cid.version(), cid.codec(), cid.hash().resize()?)
}

fn varint(number: usize) -> Vec<u8> {
    encode::usize(number, &mut encode::usize_buffer()).to_vec()
}
