//! [`BlockKey`]: a key that a flatfs can hold, and the name of its file. No I/O.

use std::ffi::OsStr;

use crate::error::{Error, Result};
use crate::key::Key;

/// How the name of a block file ends.
pub(super) const EXTENSION: &str = ".data";

/// File names have at most 255 bytes on Linux, macOS and Windows file systems.
const MAX_NAME_LEN: usize = 255 - EXTENSION.len();

/// A key that a flatfs can hold: one namespace of `0-9 A-Z + - _ =`, no longer than a file name may
/// be.
///
/// Such keys never collide on a file system that ignores case, and can't leave the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlockKey(Key);

impl BlockKey {
    /// The key as a block's, or what is wrong with it.
    pub(crate) fn new(key: &Key) -> Result<Self> {
        match fault_of(name(key)) {
            Some(reason) => Err(Error::InvalidKey {
                key: key.to_string(),
                reason,
            }),
            None => Ok(BlockKey(key.clone())),
        }
    }

    /// The key of a block file, `None` if the file is not one.
    pub(crate) fn of_file(file_name: &OsStr) -> Option<Self> {
        let name = file_name.to_str()?.strip_suffix(EXTENSION)?;
        let is_block = fault_of(name).is_none();
        is_block.then(|| BlockKey(Key::from_clean_namespace(name)))
    }

    /// The key's text without the `/`.
    pub(crate) fn name(&self) -> &str {
        name(&self.0)
    }

    pub(crate) fn key(&self) -> &Key {
        &self.0
    }

    pub(crate) fn into_key(self) -> Key {
        self.0
    }

    /// The name of the block's file.
    pub(crate) fn file_name(&self) -> String {
        [self.name(), EXTENSION].concat()
    }
}

/// Which rule a block's name breaks.
fn fault_of(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if !is_allowed(name) {
        Some("a block's key has the characters 0-9 A-Z + - _ = only, and no second /")
    } else if name.len() > MAX_NAME_LEN {
        Some("a block's key has 250 characters at most")
    } else {
        None
    }
}

fn name(key: &Key) -> &str {
    key.as_str().strip_prefix('/').unwrap_or("")
}

/// Looks at every byte, also behind one that is not allowed: the compiler makes one step of many then.
pub(super) fn is_allowed(name: &str) -> bool {
    let is_allowed = |byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'+' | b'-' | b'_' | b'=');
    let bytes = name.bytes();
    bytes.fold(true, |all, byte| all & is_allowed(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_key_has_upper_case_digits_and_four_signs_only() {
        for good in ["/A", "/0Z+-_=", "/CIQ"] {
            let block = BlockKey::new(&Key::new(good)).unwrap();
            assert_eq!(block.key().as_str(), good);
        }
        for bad in ["/", "", "/a", "/A/B", "/A.B", "/..A", "/A B", "/Ä", "/A\n"] {
            let error = BlockKey::new(&Key::new(bad)).unwrap_err();
            assert!(matches!(error, Error::InvalidKey { .. }), "{bad:?}");
        }
    }

    #[test]
    fn a_block_key_is_no_longer_than_a_file_name_may_be() {
        assert!(BlockKey::new(&Key::new("A".repeat(250))).is_ok());
        assert!(BlockKey::new(&Key::new("A".repeat(251))).is_err());
    }

    #[test]
    fn a_file_name_and_its_key_are_each_other_s() {
        let block = BlockKey::of_file(OsStr::new("CIQX.data")).unwrap();
        assert_eq!(block.key(), &Key::new("/CIQX"));
        assert_eq!(block.file_name(), "CIQX.data");
        for foreign in [
            "CIQX",
            "ciqx.data",
            ".data",
            "CIQX.data.tmp",
            "a/B.data",
            ".X.data",
        ] {
            assert_eq!(BlockKey::of_file(OsStr::new(foreign)), None, "{foreign}");
        }
    }
}
