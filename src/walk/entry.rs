//! [`EntryRole`]: what an entry of a shard directory is.

use std::ffi::OsStr;
use std::path::Path;

use crate::disk::Kind;
use crate::format::{self, BlockKey, SET_ASIDE};

/// What an entry of a shard directory is, by its name and its kind. The caller checks whether a block is in
/// its own shard directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EntryRole {
    /// A regular file with the name of a block.
    Block(BlockKey),
    /// Anything except a regular file, with the name of a block.
    BlockObstacle(BlockKey),
    /// A temp file of an old version of go-ds-flatfs, which wrote them beside the blocks.
    #[cfg_attr(not(feature = "verify"), allow(dead_code))]
    LeftOver,
    /// A block that a re-sharding set aside, because it was in the way of another one.
    SetAside,
    /// Not a part of a datastore.
    Foreign,
}

impl EntryRole {
    /// Returns the role of an entry.
    pub(crate) fn of(name: &OsStr, kind: Kind) -> Self {
        match (BlockKey::of_file(name), kind) {
            (Some(block), Kind::File) => EntryRole::Block(block),
            // Not foreign: reads of this key fail because of it, so it must be reported.
            (Some(block), _) => EntryRole::BlockObstacle(block),
            (None, Kind::File) if format::is_left_over(name) => EntryRole::LeftOver,
            (None, Kind::File) if is_set_aside(name) => EntryRole::SetAside,
            (None, _) => EntryRole::Foreign,
        }
    }
}

fn is_set_aside(name: &OsStr) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|end| end == SET_ASIDE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn a_block_is_a_file_of_that_name_and_nothing_else() {
        let block = BlockKey::new(&Key::new("/CIQX")).unwrap();
        let of = |name: &str, kind| EntryRole::of(OsStr::new(name), kind);
        assert_eq!(of("CIQX.data", Kind::File), EntryRole::Block(block.clone()));
        for kind in [Kind::Dir, Kind::Symlink, Kind::Other] {
            let obstacle = EntryRole::BlockObstacle(block.clone());
            assert_eq!(of("CIQX.data", kind), obstacle);
        }
        assert_eq!(of("CIQX.kept", Kind::File), EntryRole::SetAside);
        for (name, kind) in [
            ("notes", Kind::File),
            ("CIQX.kept", Kind::Dir),
            ("put-1", Kind::Dir),
            ("put-", Kind::File),
            ("put-1a", Kind::File),
            ("input-1", Kind::File),
        ] {
            assert_eq!(of(name, kind), EntryRole::Foreign, "{name}");
        }
        for name in ["put-0", "put-913948571"] {
            assert_eq!(of(name, Kind::File), EntryRole::LeftOver, "{name}");
        }
    }
}
