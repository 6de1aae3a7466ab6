//! [`Change`]: what a step does to the size of a file or directory.

/// The size of one file or directory before and after a step, 0 if it does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) before: u64,
    pub(crate) after: u64,
}

impl Change {
    pub(crate) const NONE: Change = Change {
        before: 0,
        after: 0,
    };

    pub(crate) fn new_file(after: u64) -> Self {
        Change { before: 0, after }
    }

    pub(crate) fn removed(before: u64) -> Self {
        Change { before, after: 0 }
    }

    pub(super) fn delta(self) -> i64 {
        signed(self.after) - signed(self.before)
    }
}

/// Converts a file size. It fits, because the operating system uses an `i64` too.
pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
