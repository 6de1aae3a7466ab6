//! [`ExpectedEntry`]: what a store needs at the path of something else.

use std::fmt;

/// What a store needs at a path where [something else](super::Error::Unexpected) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExpectedEntry {
    /// The file of a block. What is there instead hides this block alone.
    Block,
    /// A directory. There may be blocks behind what is there instead.
    Directory,
    /// Another file.
    File,
}

impl fmt::Display for ExpectedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExpectedEntry::Block => "block",
            ExpectedEntry::Directory => "directory",
            ExpectedEntry::File => "file",
        })
    }
}
