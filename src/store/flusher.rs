//! [`Flusher`]: makes writes durable, many at a time.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::blocking;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::observe::{Flush, target};

/// Up to so many files are flushed one by one, side by side; more by one flush of the file system,
/// where it has one: that also writes what others left to be written, but costs about as much for a
/// thousand files as for one.
pub(super) const FEW: usize = 4;
/// How many files are flushed side by side.
pub(super) const SIDE_BY_SIDE: usize = 8;

/// Makes files and directories durable.
///
/// Flushes come in rounds: who needs one while another runs waits for the next round, and whatever
/// has gathered by then is flushed together. So a flush always begins after the call.
///
/// A failed flush is final. The kernel reports it once, and drops what it could not write; a second
/// flush would succeed without it. So after the failure of a flush that others' acknowledged writes
/// may hang on, this flusher never says again that something is durable.
#[derive(Debug, Default)]
pub(crate) struct Flusher {
    rounds: Mutex<Rounds>,
    /// A round has ended.
    finished: Condvar,
    failure: OnceLock<Arc<Error>>,
}

#[derive(Debug, Default)]
struct Rounds {
    running: bool,
    gathering: Arc<Round>,
}

#[derive(Debug, Default)]
struct Round {
    wanted: Mutex<BTreeSet<Target>>,
    outcome: OnceLock<Outcome>,
}

/// What is to be made durable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// Everything in the store.
    All,
    /// The entries of a directory.
    Dir(PathBuf),
    /// The contents of a file that nobody but the caller knows of yet.
    File(PathBuf),
}

/// What could not be made durable.
type Outcome = Vec<(Target, Failure)>;

#[derive(Debug)]
struct Failure {
    path: PathBuf,
    error: io::Error,
}

impl Failure {
    fn to_error(&self, target: &Target) -> Error {
        let source = match self.error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.error.kind(), self.error.to_string()),
        };
        let (action, path) = ("sync", self.path.clone());
        match target {
            Target::File(_) => Error::io(action, path, source),
            // Never `Full`, which says that blocks can still be deleted.
            Target::All | Target::Dir(_) => Error::Io {
                action,
                path,
                source,
            },
        }
    }
}

impl Flusher {
    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `targets` durable as they are now, and waits for it.
    pub(crate) fn flush(&self, disk: &dyn Disk, root: &Path, targets: &[Target]) -> Result<()> {
        if targets.is_empty() {
            return Ok(());
        }
        let round = self.join(disk, root, targets);
        self.answer(root, &round, targets)
    }

    /// The same, with an answer for each.
    pub(crate) fn flush_each(
        &self,
        disk: &dyn Disk,
        root: &Path,
        targets: &[Target],
    ) -> Vec<Result<()>> {
        if targets.is_empty() {
            return Vec::new();
        }
        let round = self.join(disk, root, targets);
        let answers = targets.chunks(1).map(|one| self.answer(root, &round, one));
        answers.collect()
    }

    /// Waits until a round has run that began after this call.
    fn join(&self, disk: &dyn Disk, root: &Path, targets: &[Target]) -> Arc<Round> {
        let mut rounds = self.rounds();
        let round = Arc::clone(&rounds.gathering);
        round.wanted().extend(targets.iter().cloned());
        while round.outcome.get().is_none() {
            if rounds.running {
                rounds = self
                    .finished
                    .wait(rounds)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            // No round runs and ours has not run, so it is the one that gathers.
            rounds.running = true;
            rounds.gathering = Arc::default();
            drop(rounds);
            let running = Running { flusher: self };
            // Not taken out: should this panic, the next one of the round flushes it all.
            let flush = Flush::begin();
            let outcome = flush_targets(disk, root, &round.wanted());
            flush.end(!outcome.is_empty());
            self.remember(root, &outcome);
            let _ = round.outcome.set(outcome);
            drop(running);
            rounds = self.rounds();
        }
        round
    }

    fn answer(&self, root: &Path, round: &Round, targets: &[Target]) -> Result<()> {
        let outcome = round.outcome.get().map_or(&[][..], Vec::as_slice);
        for (target, failure) in outcome {
            if *target == Target::All || targets.contains(target) {
                return Err(failure.to_error(target));
            }
        }
        self.failed(root).map_or(Ok(()), Err)
    }

    /// What every write is told after a flush of shared data has failed.
    pub(crate) fn failed(&self, root: &Path) -> Option<Error> {
        self.failure.get().map(|failure| Error::FlushFailed {
            path: root.to_owned(),
            source: Arc::clone(failure),
        })
    }

    /// The failure to flush a file concerns only the one who is about to publish it.
    fn remember(&self, root: &Path, outcome: &Outcome) {
        let shared = outcome
            .iter()
            .find(|(target, _)| !matches!(target, Target::File(_)));
        if let Some((target, failure)) = shared {
            tracing::error!(
                target: target::STORE,
                path = %root.display(),
                error = %failure.error,
                "a flush failed, the store takes no more writes"
            );
            let _ = self.failure.set(Arc::new(failure.to_error(target)));
        }
    }
}

impl Round {
    fn wanted(&self) -> std::sync::MutexGuard<'_, BTreeSet<Target>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the running round, also if it panics.
struct Running<'a> {
    flusher: &'a Flusher,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.flusher.rounds().running = false;
        self.flusher.finished.notify_all();
    }
}

fn flush_targets(disk: &dyn Disk, root: &Path, wanted: &BTreeSet<Target>) -> Outcome {
    let at_once = disk.syncs_all_at_once() && wanted.len() > FEW;
    if at_once || wanted.contains(&Target::All) {
        return match disk.sync_all(root) {
            Ok(()) => Vec::new(),
            Err(error) => vec![(Target::All, failure(root, error))],
        };
    }
    let targets: Vec<&Target> = wanted.iter().collect();
    let share = targets.len().div_ceil(SIDE_BY_SIDE).max(1);
    let outcomes = blocking::parallel_chunks(&targets, share, |share| flush_each(disk, share));
    outcomes.into_iter().flatten().collect()
}

fn flush_each(disk: &dyn Disk, targets: &[&Target]) -> Outcome {
    let mut outcome = Outcome::new();
    for &target in targets {
        let (path, flushed) = match target {
            Target::All => continue,
            Target::Dir(dir) => (dir, disk.sync_dir(dir)),
            Target::File(file) => (file, disk.sync_file(file)),
        };
        if let Err(error) = flushed {
            outcome.push((target.clone(), failure(path, error)));
        }
    }
    outcome
}

fn failure(path: &Path, error: io::Error) -> Failure {
    Failure {
        path: path.to_owned(),
        error,
    }
}
