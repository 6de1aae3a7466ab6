//! [`CarError`]: why a CAR is refused, and where.

use std::io;

use super::{MAX_BIG_SECTION, MAX_HEADER, MAX_SECTION};

/// A fault in a CAR.
#[derive(Debug, thiserror::Error)]
#[error("at byte {offset}: {fault}")]
pub(crate) struct CarError {
    /// Where the faulty part begins.
    pub(crate) offset: u64,
    // Not the source, since it is part of the text above.
    pub(crate) fault: Fault,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it is empty, not a CAR")]
    Empty,
    #[error("it ends within {0}: it is cut short, or not a CAR; get it again")]
    Cut(&'static str),
    #[error("{what} is not a valid varint ({reason}): it is damaged, or not a CAR")]
    Varint {
        what: &'static str,
        reason: unsigned_varint::decode::Error,
    },
    #[error(
        "a header of {0} bytes is over the limit of {MAX_HEADER}: it is damaged, or not a CAR, or has too \
         many roots"
    )]
    LongHeader(u64),
    #[error("not a CAR header ({0})")]
    Header(String),
    #[error("this is a CAR of version {0}, only 1 and 2 are supported")]
    Version(u64),
    #[error("the CARv2 header is not valid ({0})")]
    V2(&'static str),
    #[error(
        "there is something after the end of the CARv2's data, but the header says that there is no index"
    )]
    Trailing,
    #[error("a section of length zero: it is damaged, or padded with zeros")]
    EmptySection,
    #[error(
        "a section of {0} bytes is over the limit of {MAX_SECTION}: it is damaged, or not a CAR, or has a \
         block so big that it needs --allow-big-block"
    )]
    BigSection(u64),
    #[error(
        "a section of {0} bytes is over the limit of {MAX_BIG_SECTION}: it is damaged, or not a CAR, or has \
         a block over 1 GiB, which is not supported"
    )]
    LongSection(u64),
    #[error("a section without a valid CID ({0})")]
    Cid(cid::Error),
    #[error("cannot read it: {0}")]
    Read(io::Error),
}

impl Fault {
    pub(crate) fn at(self, offset: u64) -> CarError {
        CarError {
            offset,
            fault: self,
        }
    }
}
