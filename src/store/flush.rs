//! [`Flusher`]: makes writes durable, many at a time.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::disk::Disk;
use crate::error::{Error, Result};

/// Up to so many files are flushed one by one, side by side; more by one flush of the file system,
/// where it has one: that also writes what others left to be written, but costs about as much for a
/// thousand files as for one.
pub(super) const FEW: usize = 4;
/// How many files are flushed side by side.
const SIDE_BY_SIDE: usize = 8;
/// How long a round waits for others at most.
const LONGEST_WAIT: Duration = Duration::from_millis(5);

/// Makes files and directories durable.
///
/// Flushes come in rounds: who needs one while another runs waits for the next round, and whatever
/// has gathered by then is flushed together. So a flush always begins after the call. Writes that are
/// [announced](Flusher::announce) are waited for a little, so that sixteen writers pay for two flushes
/// and not for sixteen.
///
/// A failed flush is final. The kernel reports it once, and drops what it could not write; a second
/// flush would succeed without it. So after the failure of a flush that others' acknowledged writes
/// may hang on, this flusher never says again that something is durable.
#[derive(Debug, Default)]
pub(crate) struct Flusher {
    rounds: Mutex<Rounds>,
    /// A round has ended.
    finished: Condvar,
    /// Somebody has joined the round that gathers, or will not.
    arrived: Condvar,
    failure: OnceLock<Arc<Error>>,
}

#[derive(Debug, Default)]
struct Rounds {
    running: bool,
    gathering: Arc<Round>,
    /// How many have joined the round that gathers.
    joined: usize,
    /// How many writes are under way that will join one.
    announced: usize,
    /// How long a round waits for these: a fraction of what the last one took.
    patience: Duration,
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
    /// Why the store can't promise anything any more, if it can't.
    pub(crate) fn failure(&self) -> Option<&Arc<Error>> {
        self.failure.get()
    }

    /// How much has gathered for the next round.
    #[cfg(test)]
    pub(crate) fn gathered(&self) -> usize {
        self.rounds().gathering.wanted().len()
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a write that is going to need flushes, until the answer is dropped.
    pub(crate) fn announce(&self) -> Announced<'_> {
        self.rounds().announced += 1;
        Announced { flusher: self }
    }

    /// Makes `targets` durable as they are now, and waits for it.
    pub(crate) fn flush(&self, disk: &dyn Disk, root: &Path, targets: &[Target]) -> Result<()> {
        if targets.is_empty() {
            return Ok(());
        }
        let mut rounds = self.rounds();
        let round = Arc::clone(&rounds.gathering);
        round.wanted().extend(targets.iter().cloned());
        rounds.joined += 1;
        self.arrived.notify_one();
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
            let running = Running { flusher: self };
            self.wait_for_writers(rounds);
            let begun = Instant::now();
            // Not taken out: should this panic, the next one of the round flushes it all.
            let outcome = flush_targets(disk, root, &round.wanted());
            self.remember(root, &outcome);
            let _ = round.outcome.set(outcome);
            drop(running);
            rounds = self.rounds();
            rounds.patience = (begun.elapsed() / 4).min(LONGEST_WAIT);
        }
        drop(rounds);
        self.answer(root, &round, targets)
    }

    /// Waits, but not for long, until all announced writes have joined the round that gathers, and
    /// lets the next one gather.
    fn wait_for_writers(&self, mut rounds: MutexGuard<'_, Rounds>) {
        let begun = Instant::now();
        while rounds.joined < rounds.announced
            && let Some(left) = rounds.patience.checked_sub(begun.elapsed())
        {
            let waited = self.arrived.wait_timeout(rounds, left);
            rounds = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        rounds.gathering = Arc::default();
        rounds.joined = 0;
    }

    fn answer(&self, root: &Path, round: &Round, targets: &[Target]) -> Result<()> {
        let outcome = round.outcome.get().map_or(&[][..], Vec::as_slice);
        for (target, failure) in outcome {
            if *target == Target::All || targets.contains(target) {
                return Err(failure.to_error(target));
            }
        }
        match self.failure() {
            Some(failure) => Err(Error::FlushFailed {
                path: root.to_owned(),
                source: Arc::clone(failure),
            }),
            None => Ok(()),
        }
    }

    /// The failure to flush a file concerns only the one who is about to publish it.
    fn remember(&self, root: &Path, outcome: &Outcome) {
        let shared = outcome
            .iter()
            .find(|(target, _)| !matches!(target, Target::File(_)));
        if let Some((target, failure)) = shared {
            tracing::error!(
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

/// A write that is going to need flushes.
#[must_use = "the write is announced until this is dropped"]
pub(crate) struct Announced<'a> {
    flusher: &'a Flusher,
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.flusher.rounds().announced -= 1;
        self.flusher.arrived.notify_one();
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
    thread::scope(|scope| {
        let mut shares = targets.chunks(share);
        let own = shares.next().unwrap_or_default();
        let mut running = Vec::new();
        let mut outcome = Outcome::new();
        for share in shares {
            match thread::Builder::new().spawn_scoped(scope, || flush_each(disk, share)) {
                Ok(thread) => running.push(thread),
                Err(_) => outcome.extend(flush_each(disk, share)),
            }
        }
        outcome.extend(flush_each(disk, own));
        for thread in running {
            match thread.join() {
                Ok(failures) => outcome.extend(failures),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcome
    })
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
