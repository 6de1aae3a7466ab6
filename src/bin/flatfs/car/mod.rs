//! CAR files, [versions 1](https://ipld.io/specs/transport/car/carv1/) and
//! [2](https://ipld.io/specs/transport/car/carv2/): a header with the roots, then sections of a length,
//! a CID and a block.
//!
//! The framing is parsed here and not by a crate, because an import must refuse files that are cut short
//! and must not trust the lengths in a file. iroh-car treats an end within a length as the end of the file,
//! refuses a CAR without roots, and does not know version 2. rs-car allocates up to 1 GiB because a file
//! says so, and panics on a CID of an unknown version. CIDs, varints and the CBOR of the header are
//! decoded by crates.

mod byte_reader;
mod error;
mod header;
mod reader;
mod write;

use cid::CidGeneric;

pub(crate) use self::reader::{Block, CarReader, short_cid};
pub(crate) use self::write::{BROKEN_END, header, section_head};

use crate::blocks;

/// A CID in a CAR. With the identity hash it contains up to 128 bytes, as in kubo; the digest of a hash
/// function has at most 64.
pub(crate) type CarCid = CidGeneric<128>;

/// The longest header that is accepted. It is decoded in memory, where a short root takes twenty times
/// as much, so go-car's limit of 32 MiB would be more than 1 GiB. 1 MiB has room for 25,000 roots.
const MAX_HEADER: u64 = 1 << 20;

/// The longest section that is accepted, as in go-car.
const MAX_SECTION: u64 = 8 << 20;

/// The longest section that is accepted if the user allows big blocks: one of [`blocks::MAX_BLOCK`] bytes
/// and its CID.
const MAX_BIG_SECTION: u64 = blocks::MAX_BLOCK + MAX_CID_LEN;

/// At least the length of the longest CID.
const MAX_CID_LEN: u64 = 160;
