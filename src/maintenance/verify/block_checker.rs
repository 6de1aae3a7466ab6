//! [`BlockChecker`]: finds out what is wrong with a block.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::check_walk::BlockFile;
use super::finding::{Finding, Problem};
use super::portion::{KeySubset, RateLimiter};
use crate::disk::{Disk, if_there};
use crate::error::Error;
use crate::hash::{Checker, HashError};
use crate::key::Key;
use crate::sync::lock;

/// How much of a block is in memory at a time.
pub(super) const PART: usize = 128 << 10;

/// How much of a block is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckDepth {
    /// Its name and its size.
    Quick,
    /// All of its bytes.
    Full,
}

/// Counts of the blocks that have been checked so far.
#[derive(Debug, Default)]
pub(super) struct CheckTally {
    pub(super) blocks: AtomicU64,
    pub(super) bytes: AtomicU64,
    /// The number of blocks that were listed and did not exist when they were to be read.
    pub(super) vanished: AtomicU64,
    /// The number of blocks that could not be compared with their keys, by the hash function that the key
    /// names.
    unchecked: Mutex<BTreeMap<Option<u64>, u64>>,
}

impl CheckTally {
    /// Counts a block that can't be checked. A key that is not a hash names no function.
    pub(super) fn count_unchecked(&self, key: &Key) {
        let function = key.to_cid().map(|cid| cid.hash().code());
        *lock(&self.unchecked).entry(function).or_default() += 1;
    }

    pub(super) fn unchecked(&self) -> BTreeMap<Option<u64>, u64> {
        lock(&self.unchecked).clone()
    }
}

/// Checks blocks.
#[derive(Clone, Debug)]
pub(super) struct BlockChecker {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) depth: CheckDepth,
    pub(super) tally: Arc<CheckTally>,
    /// Whether the caller has dropped the stream of findings.
    pub(super) stopped: Arc<AtomicBool>,
    /// The part of the blocks that is checked, if not all of them.
    pub(super) subset: Option<KeySubset>,
    pub(super) limiter: Option<Arc<RateLimiter>>,
}

impl BlockChecker {
    /// Returns the worst problem of a block: that its bytes are damaged, that it is in the wrong directory, or that it
    /// can't be checked. A block that no longer exists has no problem.
    pub(super) fn check(&self, file: &BlockFile, buffer: &mut [u8]) -> Option<Finding> {
        if self.subset.is_some_and(|subset| !subset.has(file.key())) {
            return None;
        }
        let problem = match self.problem_of(file, buffer) {
            Ok(problem) => problem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                let error = Error::io("read", &file.path, error);
                self.tally.blocks.fetch_add(1, Ordering::Relaxed);
                let (path, key) = (&file.path, file.key());
                return Some(Finding::unreadable(path, Some(key), error));
            }
        };
        self.tally.blocks.fetch_add(1, Ordering::Relaxed);
        if matches!(problem, Some(Problem::Unchecked(_))) {
            // Counted here and not from the findings: an unchecked block that is also misplaced is reported
            // only as misplaced.
            self.tally.count_unchecked(file.key());
        }
        let problem = match (problem, &file.belongs) {
            (Some(problem), _) if problem.is_damage() => Some(problem),
            (_, Some(belongs)) => Some(self.misplaced(belongs)),
            (problem, None) => problem,
        };
        Some(Finding::new(&file.path, Some(file.key()), problem?))
    }

    fn misplaced(&self, belongs: &Path) -> Problem {
        // An entry that can't be looked up counts as existing.
        if matches!(if_there(self.disk.stat(belongs)), Ok(None)) {
            Problem::Misplaced {
                belongs: belongs.to_owned(),
            }
        } else {
            Problem::Duplicate {
                original: belongs.to_owned(),
            }
        }
    }

    fn problem_of(&self, file: &BlockFile, buffer: &mut [u8]) -> io::Result<Option<Problem>> {
        let checker = checker(file.key());
        if self.depth == CheckDepth::Quick {
            let size = self.disk.stat(&file.path)?.len;
            self.tally.bytes.fetch_add(size, Ordering::Relaxed);
            return Ok(match checker {
                Err(why) => Some(Problem::Unchecked(why)),
                Ok(_) if size > 0 => None,
                Ok(checker) => checker.finish().err().map(|_| Problem::Empty),
            });
        }
        self.hash_file(&file.path, checker, buffer)
    }

    /// Reads the file and compares its hash. A block that can't be checked is read anyway, to find out whether
    /// it can be read.
    fn hash_file(
        &self,
        path: &Path,
        mut checker: Result<Checker, Option<HashError>>,
        buffer: &mut [u8],
    ) -> io::Result<Option<Problem>> {
        let mut file = self.disk.open(path)?;
        let mut size = 0;
        loop {
            let len = match file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let part = buffer.get(..len).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            size += len as u64;
            self.tally.bytes.fetch_add(len as u64, Ordering::Relaxed);
            if let Ok(checker) = &mut checker {
                checker.update(part);
            }
            if let Some(limiter) = &self.limiter {
                limiter.wait(part.len(), &self.stopped);
            }
            if self.stopped.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        Ok(problem_of_bytes(checker, size))
    }
}

/// Returns what is wrong with a block of this size, after the checker has taken its bytes.
pub(super) fn problem_of_bytes(
    checker: Result<Checker, Option<HashError>>,
    size: u64,
) -> Option<Problem> {
    match checker {
        Err(why) => Some(Problem::Unchecked(why)),
        Ok(checker) => {
            let is_cut_short = checker.is_cut_short();
            match checker.finish() {
                Ok(()) => None,
                Err(_) if size == 0 => Some(Problem::Empty),
                Err(_) if is_cut_short => Some(Problem::Truncated { size }),
                Err(_) => Some(Problem::Corrupt { size }),
            }
        }
    }
}

/// Returns a checker for the block of this key. The error is the reason why it can't be checked, `None` if
/// the key is not a hash.
pub(super) fn checker(key: &Key) -> Result<Checker, Option<HashError>> {
    let cid = key.to_cid().ok_or(None)?;
    Checker::new(cid.hash()).map_err(Some)
}
