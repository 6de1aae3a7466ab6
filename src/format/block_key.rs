//! [`BlockKey`]: a key that a flatfs can store, and the name of its file. No I/O.

use std::ffi::OsStr;

use crate::error::{Error, Result};
use crate::key::Key;

/// The extension of block files.
pub(super) const EXTENSION: &str = ".data";

/// File names have at most 255 bytes on the file systems of Linux, macOS and Windows.
const MAX_NAME_LEN: usize = 255 - EXTENSION.len();

/// A key that a flatfs can store: one component of `0-9 A-Z + - _ =`, which fits into a file name.
///
/// Such keys never collide on a file system that ignores case, and never lead out of the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlockKey(Key);

impl BlockKey {
    /// Checks that a block can have this key.
    ///
    /// # Errors
    ///
    /// Returns [`Error::InvalidKey`] with the rule that the key breaks.
    pub(crate) fn new(key: &Key) -> Result<Self> {
        match broken_rule(name(key)) {
            Some(reason) => Err(Error::InvalidKey {
                key: key.to_string(),
                reason,
            }),
            None => Ok(BlockKey(key.clone())),
        }
    }

    /// Returns the key of a block file, or `None` if the name is not that of a block file.
    pub(crate) fn of_file(file_name: &OsStr) -> Option<Self> {
        let name = file_name.to_str()?.strip_suffix(EXTENSION)?;
        let is_block = broken_rule(name).is_none();
        is_block.then(|| BlockKey(Key::from_clean_namespace(name)))
    }

    /// Returns the text of the key without the `/`.
    pub(crate) fn name(&self) -> &str {
        name(&self.0)
    }

    pub(crate) fn key(&self) -> &Key {
        &self.0
    }

    pub(crate) fn into_key(self) -> Key {
        self.0
    }

    /// Returns the name of the block's file.
    pub(crate) fn file_name(&self) -> String {
        [self.name(), EXTENSION].concat()
    }
}

/// Returns the rule that the name of a block breaks, if it breaks one.
fn broken_rule(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if !is_allowed(name) {
        Some("the key of a block consists of 0-9 A-Z + - _ = and has no second /")
    } else if name.len() > MAX_NAME_LEN {
        Some("the key of a block has at most 250 characters")
    } else {
        None
    }
}

fn name(key: &Key) -> &str {
    key.as_str().strip_prefix('/').unwrap_or("")
}

/// Returns whether every byte is allowed in the name of a block. It does not stop at the first one that
/// is not, so that the compiler can check many bytes in one step.
pub(super) fn is_allowed(name: &str) -> bool {
    let is_allowed = |byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'+' | b'-' | b'_' | b'=');
    let bytes = name.bytes();
    bytes.fold(true, |all, byte| all & is_allowed(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_key_consists_of_digits_upper_case_letters_and_four_signs() {
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
    fn a_block_key_fits_into_a_file_name() {
        assert!(BlockKey::new(&Key::new("A".repeat(250))).is_ok());
        assert!(BlockKey::new(&Key::new("A".repeat(251))).is_err());
    }

    #[test]
    fn a_key_gives_a_file_name_and_the_name_gives_the_key() {
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
