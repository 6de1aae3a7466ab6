//! [`Skipped`]: an entry that a tool leaves where it is, and the reason.

use std::fmt;
use std::path::PathBuf;

/// An entry that a tool left where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The path of the entry.
    pub path: PathBuf,
    /// The reason why the tool left it there.
    pub reason: SkipReason,
}

/// The reason why a tool left an entry where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is not a part of a datastore.
    Foreign,
    /// A different block with the same key is already at its path. One of the two may be truncated.
    Differs,
    /// It is in the wrong shard directory, and the right one has a block with the same key.
    Misplaced,
    /// It is in the wrong shard directory, where readers do not find it.
    WrongShard,
    /// It is `.quarantine`, which has the files that a repair moved away.
    Quarantine,
    /// It is a temp file that an old version of go-ds-flatfs left among the blocks: `put-` and a number.
    /// It may be removed, unless such a version is running.
    LeftOver,
}

impl SkipReason {
    /// Returns the reason as one word, for scripts: `foreign`, `differs`, `misplaced`,
    /// `wrong-shard`, `quarantine`, `left-over`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SkipReason::Foreign => "foreign",
            SkipReason::Differs => "differs",
            SkipReason::Misplaced => "misplaced",
            SkipReason::WrongShard => "wrong-shard",
            SkipReason::Quarantine => "quarantine",
            SkipReason::LeftOver => "left-over",
        }
    }
}

/// Writes the reason as a clause for a message.
impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SkipReason::Foreign => "it is not part of a store",
            SkipReason::Differs => "a different block with the same key is in its place",
            SkipReason::Misplaced => {
                "it is in the wrong shard, and the right shard has a block with the same key"
            }
            SkipReason::WrongShard => {
                "it is in the wrong shard, where readers do not find it; a repair moves it"
            }
            SkipReason::Quarantine => {
                "it has the blocks that a repair found damaged; remove it when you don't need them"
            }
            SkipReason::LeftOver => "an old version of go-ds-flatfs left this temp file behind",
        })
    }
}

/// The entries that a tool has skipped: the first of them, and the number of all, because a whole store may
/// be skipped.
#[derive(Clone, Debug, Default)]
pub(super) struct SkippedList {
    pub(super) first: Vec<Skipped>,
    /// The number of all entries, without the left-over files.
    pub(super) count: u64,
    /// The first left-over files. They contain no data of the store, so it is not a failure to skip them.
    pub(super) left_over: Vec<Skipped>,
    pub(super) left_over_count: u64,
}

impl SkippedList {
    const MAX_LISTED: usize = 1000;

    pub(super) fn add(&mut self, path: PathBuf, reason: SkipReason) {
        let (listed, count) = match reason {
            SkipReason::LeftOver => (&mut self.left_over, &mut self.left_over_count),
            _ => (&mut self.first, &mut self.count),
        };
        *count += 1;
        if listed.len() < SkippedList::MAX_LISTED {
            listed.push(Skipped { path, reason });
        }
    }
}
