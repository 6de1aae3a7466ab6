//! [`Finding`]: what a verification reports.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use cid::Cid;
use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::hash::HashError;
use crate::key::Key;

/// Something in a store that is not as it should be, or that can't be checked.
///
/// `Display` writes one line; a path in it may contain any character. As JSON it is an object of `finding`, the
/// [name](Problem::name) of the problem, `wrong`, `path` (with `�` for what is not UTF-8), `key`, `cid` (of
/// [`Key::to_cid`]), `detail`, and what was done about it: `done` and `to`. Missing values are `null`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The path where it is, or where it belongs.
    pub path: PathBuf,
    /// The key of the block, if the finding is about a block.
    pub key: Option<Key>,
    /// What is wrong.
    pub problem: Problem,
    /// What a repair did about it, which is durable.
    pub remedy: Option<Remedy>,
}

/// What was found. Not every problem is [wrong](Problem::is_wrong).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The bytes of a block don't have the hash that its key names.
    Corrupt {
        /// How many bytes there are.
        size: u64,
    },
    /// A block ends early. This differs from other damage only if the key contains the block.
    Truncated {
        /// How many bytes there are.
        size: u64,
    },
    /// A block is empty, and its key is not the hash of the empty block.
    Empty,
    /// A block, a directory or a commit record can't be read.
    Unreadable(Arc<Error>),
    /// A block is not in its shard directory, so no reader finds it.
    Misplaced {
        /// Where it belongs.
        belongs: PathBuf,
    },
    /// A block is where it belongs, and another file with the same key is here.
    Duplicate {
        /// Where it belongs.
        original: PathBuf,
    },
    /// A block is where it belongs, and a file with the same key and other bytes is here. It is not known which of the
    /// two is right. Only a repair compares them.
    Conflict {
        /// Where it belongs.
        original: PathBuf,
    },
    /// A symbolic link or something similar is where the store has a block or a directory.
    Obstacle {
        /// What is there.
        found: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// The shard function is unknown, so it is not known where blocks belong: `SHARDING` is missing or
    /// invalid.
    Sharding(Arc<Error>),
    /// A commit is pending, unless a program that has the store open is applying it just now. The next writer
    /// of this crate applies it; other programs remove it.
    PendingCommit,
    /// A temp file or batch of a writer that has crashed, unless a program has the store open. In `.temp` the
    /// next writer removes it. Old versions of go-ds-flatfs left such files in shard directories; a repair
    /// moves them to the quarantine.
    Leftover,
    /// A block that can't be checked: its key is not a hash (`None`), or not one that can be checked.
    Unchecked(Option<HashError>),
    /// Something that is not a part of a datastore.
    Foreign {
        /// What it is.
        found: &'static str,
    },
    /// A block of the copies that the store did not have.
    Missing,
    /// A copy that does not have the hash in its CID, or can't be checked.
    BadCopy(HashError),
    /// A block that has a copy in quarantine and none in the store. It is not reported if the shard function is
    /// unknown.
    Lost,
}

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Moved the file out of the way.
    Quarantined(PathBuf),
    /// Moved the block to where it belongs.
    Moved(PathBuf),
    /// Stored the good copy.
    Restored,
    /// Applied the commit.
    Completed,
    /// Removed the leftover.
    Removed,
}

impl Problem {
    /// Returns a short name, as in the JSON: `corrupt`, `pending-commit`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Problem::Corrupt { .. } => "corrupt",
            Problem::Truncated { .. } => "truncated",
            Problem::Empty => "empty",
            Problem::Unreadable(_) => "unreadable",
            Problem::Misplaced { .. } => "misplaced",
            Problem::Duplicate { .. } => "duplicate",
            Problem::Conflict { .. } => "conflict",
            Problem::Obstacle { .. } => "obstacle",
            Problem::Sharding(_) => "sharding",
            Problem::PendingCommit => "pending-commit",
            Problem::Leftover => "leftover",
            Problem::Unchecked(_) => "unchecked",
            Problem::Foreign { .. } => "foreign",
            Problem::Missing => "missing",
            Problem::BadCopy(_) => "bad-copy",
            Problem::Lost => "lost",
        }
    }

    /// Returns whether a block is damaged, unreadable, lost, or not where it should be. Entries that are left
    /// over, foreign, or can't be checked are only reported.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        !matches!(
            self,
            Problem::Leftover
                | Problem::Unchecked(_)
                | Problem::Foreign { .. }
                | Problem::BadCopy(_)
        )
    }

    /// Returns whether the bytes of a block are known not to be those that its key names.
    pub(super) fn is_damage(&self) -> bool {
        matches!(
            self,
            Problem::Corrupt { .. } | Problem::Truncated { .. } | Problem::Empty
        )
    }
}

impl Finding {
    pub(super) fn new(path: impl Into<PathBuf>, key: Option<&Key>, problem: Problem) -> Self {
        Finding {
            path: path.into(),
            key: key.cloned(),
            problem,
            remedy: None,
        }
    }

    /// Returns a finding about something that can't be read.
    pub(super) fn unreadable(path: impl Into<PathBuf>, key: Option<&Key>, error: Error) -> Self {
        Finding::new(path, key, Problem::Unreadable(Arc::new(error)))
    }

    pub(super) fn remedied(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// Returns whether something is [wrong](Problem::is_wrong) and was not repaired.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.problem.is_wrong() && self.remedy.is_none()
    }

    fn cid(&self) -> Option<Cid> {
        self.key.as_ref().and_then(Key::to_cid)
    }
}

impl Remedy {
    fn name(&self) -> &'static str {
        match self {
            Remedy::Quarantined(_) => "quarantined",
            Remedy::Moved(_) => "moved",
            Remedy::Restored => "restored",
            Remedy::Completed => "completed",
            Remedy::Removed => "removed",
        }
    }

    pub(super) fn to(&self) -> Option<&PathBuf> {
        match self {
            Remedy::Quarantined(to) | Remedy::Moved(to) => Some(to),
            Remedy::Restored | Remedy::Completed | Remedy::Removed => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.problem.name();
        write!(f, "{name}: {}: {}", self.path.display(), self.problem)?;
        if let Some(cid) = self.cid() {
            write!(f, " (CID {cid})")?;
        }
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Corrupt { size } => {
                write!(f, "its {size} bytes don't have the hash in its key")
            }
            Problem::Truncated { size } => write!(f, "it is truncated after {size} bytes"),
            Problem::Empty => f.write_str("it is empty, and its key is not the hash of nothing"),
            Problem::Unreadable(error) => write_why(f, error),
            Problem::Misplaced { belongs } => {
                write!(f, "by its key it belongs at {}", belongs.display())
            }
            Problem::Duplicate { original } => {
                write!(f, "the block also exists where it belongs, {}", original.display())
            }
            Problem::Conflict { original } => write!(
                f,
                "a different block is where it belongs, {}; both stay",
                original.display()
            ),
            Problem::Obstacle { found, expected } => write!(
                f,
                "a {found} where the store needs a {expected}: move it away; a repair does not touch it"
            ),
            Problem::Sharding(error) => write_why(f, error),
            Problem::PendingCommit => f.write_str(
                "a pending commit, interrupted or in progress: an open of the store for writing applies it",
            ),
            Problem::Leftover => {
                f.write_str("left over by a writer (or in use by one that has the store open)")
            }
            Problem::Unchecked(None) => {
                f.write_str("its key is not a hash, so it can't be checked")
            }
            Problem::Unchecked(Some(why)) => write!(f, "it can't be checked: {why}"),
            Problem::Foreign { found } => write!(f, "a {found} that is not part of a store"),
            Problem::Missing => f.write_str("the store didn't have this block"),
            Problem::BadCopy(why) => write!(f, "the copy is not used: {why}"),
            Problem::Lost => f.write_str(
                "it is no longer in the store, only in .quarantine, where damaged blocks go: \
                 get it again, or repair from a CAR that has it",
            ),
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to() {
            Some(to) => write!(f, "{} to {}", self.name(), to.display()),
            None => f.write_str(self.name()),
        }
    }
}

/// Writes the error and its sources in one line, without the path, because the finding has that already.
fn write_why(f: &mut fmt::Formatter<'_>, error: &Error) -> fmt::Result {
    match error {
        Error::Io { action, source, .. } => write!(f, "cannot {action} it: {source}"),
        Error::NotAStore { reason, .. } => write!(f, "{reason}: {NAME_IT}"),
        Error::InvalidShard { input, .. } => {
            write!(f, "{input:?} does not name a shard function: {NAME_IT}")
        }
        Error::Resharding { path, from, to } if from == to => write!(
            f,
            "it is being re-sharded back to {to}: if no process is doing so now, complete it with \
             `flatfs reshard {} {to}`",
            path.display()
        ),
        Error::Resharding { path, from, to } => write!(
            f,
            "it is being re-sharded from {from} to {to}: if no process is doing so now, complete it with \
             `flatfs reshard {} {to}`",
            path.display()
        ),
        error => write_chain(f, error),
    }
}

/// What to do about a store without a shard function.
const NAME_IT: &str = "write the one that the store had into that file, \
                       as /repo/flatfs/shard/v1/next-to-last/2 for kubo's default";

/// Writes the error and its sources.
fn write_chain(f: &mut fmt::Formatter<'_>, error: &dyn std::error::Error) -> fmt::Result {
    write!(f, "{error}")?;
    let mut source = error.source();
    while let Some(error) = source {
        write!(f, ": {error}")?;
        source = error.source();
    }
    Ok(())
}

#[derive(Serialize)]
struct Line<'a> {
    finding: &'static str,
    wrong: bool,
    path: String,
    key: Option<&'a str>,
    cid: Option<String>,
    detail: String,
    done: Option<&'static str>,
    to: Option<String>,
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let to = self.remedy.as_ref().and_then(Remedy::to);
        let line = Line {
            finding: self.problem.name(),
            wrong: self.is_wrong(),
            path: self.path.to_string_lossy().into_owned(),
            key: self.key.as_ref().map(Key::as_str),
            cid: self.cid().map(|cid| cid.to_string()),
            detail: self.problem.to_string(),
            done: self.remedy.as_ref().map(Remedy::name),
            to: to.map(|to| to.to_string_lossy().into_owned()),
        };
        line.serialize(serializer)
    }
}
