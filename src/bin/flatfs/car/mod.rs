//! CAR files, [versions 1](https://ipld.io/specs/transport/car/carv1/) and
//! [2](https://ipld.io/specs/transport/car/carv2/): a header with the roots, then sections of a length,
//! a CID and a block.
//!
//! The framing is read here and not by a crate, because an import must refuse what is cut short and
//! must not believe the lengths that a file claims: iroh-car takes an end inside a length for the end
//! of the file, refuses a CAR without roots, and has no version 2; rs-car allocates up to 1 GiB on a
//! file's word and panics on a CID of an unknown version. CIDs, varints and the CBOR of the header are
//! left to the crates made for them.

mod error;
mod header;
mod reader;
mod source;
mod write;

pub(crate) use self::reader::{Block, CarReader};
pub(crate) use self::write::{BROKEN_END, header, section_head};

use crate::blocks;

/// The longest header that is taken, as in go-car.
const MAX_HEADER: u64 = 32 << 20;

/// The longest section that is taken, as in go-car.
const MAX_SECTION: u64 = 8 << 20;

/// The longest section that is taken where the user expects big blocks: one of [`blocks::LARGEST`], with its
/// CID.
const MAX_BIG_SECTION: u64 = blocks::LARGEST + LONGEST_CID;

/// More than the longest CID, whose digest has 64 bytes at most.
const LONGEST_CID: u64 = 128;
