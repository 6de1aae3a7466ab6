//! The text of the object `SHARDING` of a datastore in an object store. No I/O.
//!
//! A directory can be opened as an object store (`file://`), and the files of a store on disk can be copied into a bucket.
//! Both have a `SHARDING`, but name their blocks differently. So the texts differ, and neither accepts the other's:
//!
//! ```text
//! objects /repo/flatfs/shard/v1/next-to-last/2
//! ```

#[cfg(feature = "object-store")]
use super::shard::Shard;
#[cfg(feature = "object-store")]
use crate::error::Result;

const MAGIC: &str = "objects ";

/// Returns whether a text is such a marker.
pub(crate) fn is_marker(text: &str) -> bool {
    text.starts_with(MAGIC)
}

#[cfg(feature = "object-store")]
pub(crate) fn encode(shard: Shard) -> String {
    format!("{MAGIC}{shard}\n")
}

/// Returns the shard function, or `None` if the text is not such a marker.
///
/// # Errors
///
/// Returns [`Error::InvalidShard`](crate::error::Error::InvalidShard) if the marker names no shard function.
#[cfg(feature = "object-store")]
pub(crate) fn decode(text: &str) -> Result<Option<Shard>> {
    let identifier = text.strip_prefix(MAGIC);
    identifier.map(Shard::from_identifier).transpose()
}
