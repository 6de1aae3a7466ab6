//! What a tool leaves where it is, and why.

use std::fmt;
use std::path::PathBuf;

/// Something that a tool left where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Where it stands.
    pub path: PathBuf,
    /// Why it was left there.
    pub why: SkipReason,
}

/// Why a tool left something where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is no part of a datastore.
    Foreign,
    /// There is another block with its key where it should go, and the two differ. One of them may be
    /// cut short.
    Differs,
    /// It stands in a shard that is not its own, and where it should stand there is a block of its key.
    Misplaced,
    /// It is `.quarantine`, which has what a repair took out of the way.
    Quarantine,
}

impl SkipReason {
    /// It as one word, for scripts: `foreign`, `differs`, `misplaced`, `quarantine`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SkipReason::Foreign => "foreign",
            SkipReason::Differs => "differs",
            SkipReason::Misplaced => "misplaced",
            SkipReason::Quarantine => "quarantine",
        }
    }
}

/// A sentence for people.
impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SkipReason::Foreign => "it is no part of a datastore",
            SkipReason::Differs => "the block of the same key that is in its place differs from it",
            SkipReason::Misplaced => {
                "it is in a shard that is not its own, where its key has a block too"
            }
            SkipReason::Quarantine => {
                "it has the blocks that a repair found damaged; remove it when you don't need them"
            }
        })
    }
}

/// The first ones of what was kept, and how many there are: a whole store may be kept.
#[derive(Clone, Debug, Default)]
pub(super) struct SkippedSome {
    pub(super) first: Vec<Skipped>,
    pub(super) count: u64,
}

impl SkippedSome {
    const MOST: usize = 1000;

    pub(super) fn add(&mut self, path: PathBuf, why: SkipReason) {
        self.count += 1;
        if self.first.len() < SkippedSome::MOST {
            self.first.push(Skipped { path, why });
        }
    }
}
