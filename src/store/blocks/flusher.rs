//! [`Flusher`]: makes writes durable, many at a time.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use crate::blocking;
use crate::disk::{Disk, Kind, is_not_opened};
use crate::error::{Error, Result};
use crate::observe::{Flush, target};
use crate::sync::lock;

/// Up to this many files are flushed one by one, in parallel. More are flushed by one flush of the file
/// system, where it has one: that also writes the unwritten data of other programs, but costs about as much
/// for a thousand files as for one.
pub(crate) const MAX_SINGLE_FLUSHES: usize = 4;
/// How many files are flushed in parallel.
pub(crate) const PARALLEL_FLUSHES: usize = 8;

/// Makes files and directories durable.
///
/// Flushes run in rounds: a call that arrives while a round runs waits for the next one, which flushes
/// everything that was asked for by then. So a flush always begins after its call.
///
/// A failed flush is final. The kernel reports it once, and drops what it could not write; a second flush
/// would succeed without it. So once a flush that acknowledged writes depend on has failed, this flusher is
/// poisoned: it never again reports anything as durable. A flush that did not begin, because a directory could
/// not be opened, says nothing about the data: only its callers get the error.
#[derive(Debug)]
pub(crate) struct Flusher {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    rounds: Mutex<Rounds>,
    /// Notified when a round has ended.
    finished: Condvar,
    failure: OnceLock<Arc<Error>>,
}

#[derive(Debug, Default)]
struct Rounds {
    is_running: bool,
    next: Arc<Round>,
}

#[derive(Debug, Default)]
struct Round {
    targets: Mutex<BTreeSet<FlushTarget>>,
    /// What could not be made durable, once the round has ended.
    failures: OnceLock<Vec<FlushFailure>>,
}

/// A file or directory that is to be made durable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FlushTarget {
    /// Everything in the store.
    All,
    /// The entries of a directory.
    Dir(PathBuf),
    /// The contents of a file that only this caller knows of yet.
    File(PathBuf),
    /// The contents of a block.
    Block(PathBuf),
}

#[derive(Debug)]
struct FlushFailure {
    target: FlushTarget,
    path: PathBuf,
    error: io::Error,
}

impl Flusher {
    pub(super) fn new(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        Flusher {
            disk,
            root,
            rounds: Mutex::default(),
            finished: Condvar::new(),
            failure: OnceLock::new(),
        }
    }

    /// Makes everything in the store durable.
    pub(crate) fn flush_all(&self) -> Result<()> {
        self.flush(&[FlushTarget::All])
    }

    /// Makes `targets` durable as they are now.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Io`], and [`Error::FlushFailed`] once the flusher is poisoned.
    pub(crate) fn flush(&self, targets: &[FlushTarget]) -> Result<()> {
        if targets.is_empty() {
            return Ok(());
        }
        let round = self.join(targets);
        self.result(&round, targets)
    }

    /// Makes those of `targets` durable that exist.
    ///
    /// # Errors
    ///
    /// As for [`flush`](Flusher::flush).
    pub(super) fn flush_existing(&self, targets: &[FlushTarget]) -> Result<()> {
        let round = self.join(targets);
        let mut failures = round.failures().iter();
        match failures.find(|failure| failure.concerns(targets) && !self.is_of_missing(failure)) {
            Some(failure) => Err(failure.to_error()),
            None => self.check(),
        }
    }

    /// Makes `targets` durable as they are now, and returns a result for each.
    pub(crate) fn flush_each(&self, targets: &[FlushTarget]) -> Vec<Result<()>> {
        if targets.is_empty() {
            return Vec::new();
        }
        let round = self.join(targets);
        let results = targets.chunks(1).map(|one| self.result(&round, one));
        results.collect()
    }

    /// Makes the entries of a batch's directory durable, after its record was created or removed.
    ///
    /// Any failure poisons the flusher, even one that says nothing about the data: a power cut may keep the
    /// record or take it away, so a recovery could undo a later write.
    pub(crate) fn flush_record_dir(&self, dir: &Path) -> Result<()> {
        let targets = [FlushTarget::Dir(dir.to_owned())];
        let round = self.join(&targets);
        let failed = round
            .failures()
            .iter()
            .find(|failure| failure.concerns(&targets));
        if let Some(failure) = failed
            && !self.is_poisoned()
        {
            self.poison(failure);
        }
        self.result(&round, &targets)
    }

    /// Checks that the flusher is not poisoned.
    ///
    /// # Errors
    ///
    /// Returns [`Error::FlushFailed`] once the flusher is poisoned.
    pub(crate) fn check(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(failure) => Err(Error::FlushFailed {
                path: self.root.clone(),
                source: Arc::clone(failure),
            }),
        }
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.failure.get().is_some()
    }

    /// Waits until a round has run that began after this call.
    fn join(&self, targets: &[FlushTarget]) -> Arc<Round> {
        let mut rounds = lock(&self.rounds);
        let round = Arc::clone(&rounds.next);
        lock(&round.targets).extend(targets.iter().cloned());
        while round.failures.get().is_none() {
            if rounds.is_running {
                let waited = self.finished.wait(rounds);
                rounds = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            // No round is running and this one has not run, so it is the next one.
            rounds.is_running = true;
            // Later callers join another round: the flush of this one may already be past their targets.
            rounds.next = Arc::default();
            drop(rounds);
            let running = RunningRound { flusher: self };
            // The targets stay in the round: if this panics, the next caller of the round flushes them all.
            let flush = Flush::begin();
            let failures = self.flush_round(&lock(&round.targets));
            flush.end(!failures.is_empty());
            // Poisoned before the round ends: a caller that sees the failure must also see a poisoned flusher.
            self.poison_by_shared(&failures);
            let _ = round.failures.set(failures);
            drop(running);
            rounds = lock(&self.rounds);
        }
        round
    }

    fn result(&self, round: &Round, targets: &[FlushTarget]) -> Result<()> {
        let failures = round.failures();
        match failures.iter().find(|failure| failure.concerns(targets)) {
            Some(failure) => Err(failure.to_error()),
            None => self.check(),
        }
    }

    /// Returns whether a flush did not begin because the file or the directory doesn't exist, or because something else
    /// is at its path.
    fn is_of_missing(&self, failure: &FlushFailure) -> bool {
        let expected = match failure.target {
            FlushTarget::All => return false,
            FlushTarget::Dir(_) => Kind::Dir,
            FlushTarget::File(_) | FlushTarget::Block(_) => Kind::File,
        };
        if !is_not_opened(&failure.error) {
            return false;
        }
        // The error of the open does not tell: it depends on the system and on what is there instead.
        match failure.error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => true,
            _ => (self.disk.stat(&failure.path)).is_ok_and(|stat| stat.kind != expected),
        }
    }

    /// Remembers the first failure of a flush that acknowledged writes depend on. The failure to flush a
    /// file concerns only the caller that is about to publish it.
    fn poison_by_shared(&self, failures: &[FlushFailure]) {
        let shared = failures.iter().find(|failure| {
            !matches!(failure.target, FlushTarget::File(_)) && !is_not_opened(&failure.error)
        });
        if let Some(failure) = shared {
            self.poison(failure);
        }
    }

    fn poison(&self, failure: &FlushFailure) {
        tracing::error!(
            target: target::STORE,
            path = %self.root.display(),
            error = %failure.error,
            "a flush failed: the store refuses writes until it is opened again"
        );
        let _ = self.failure.set(Arc::new(failure.to_error()));
    }

    fn flush_round(&self, targets: &BTreeSet<FlushTarget>) -> Vec<FlushFailure> {
        let at_once = self.disk.syncs_all_at_once() && targets.len() > MAX_SINGLE_FLUSHES;
        if at_once || targets.contains(&FlushTarget::All) {
            return Vec::from_iter(self.flush_one(&FlushTarget::All));
        }
        let targets: Vec<&FlushTarget> = targets.iter().collect();
        let chunk = targets.len().div_ceil(PARALLEL_FLUSHES).max(1);
        let failures = blocking::parallel_chunks(&targets, chunk, |targets| {
            let failures = targets.iter().filter_map(|target| self.flush_one(target));
            failures.collect::<Vec<_>>()
        });
        failures.into_iter().flatten().collect()
    }

    fn flush_one(&self, target: &FlushTarget) -> Option<FlushFailure> {
        let (path, flushed) = match target {
            FlushTarget::All => (&self.root, self.disk.sync_all(&self.root)),
            FlushTarget::Dir(dir) => (dir, self.disk.sync_dir(dir)),
            FlushTarget::File(file) | FlushTarget::Block(file) => (file, self.disk.sync_file(file)),
        };
        flushed.err().map(|error| FlushFailure {
            target: target.clone(),
            path: path.clone(),
            error,
        })
    }
}

impl Round {
    fn failures(&self) -> &[FlushFailure] {
        self.failures.get().map_or(&[], Vec::as_slice)
    }
}

impl FlushFailure {
    fn concerns(&self, targets: &[FlushTarget]) -> bool {
        self.target == FlushTarget::All || targets.contains(&self.target)
    }

    fn to_error(&self) -> Error {
        let source = match self.error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.error.kind(), self.error.to_string()),
        };
        let (action, path) = ("sync", self.path.clone());
        match self.target {
            FlushTarget::File(_) => Error::io(action, path, source),
            // Never `Full`, which says that blocks can still be deleted.
            FlushTarget::All | FlushTarget::Dir(_) | FlushTarget::Block(_) => Error::Io {
                action,
                path,
                source,
            },
        }
    }
}

/// Ends the running round, even if it panics.
struct RunningRound<'a> {
    flusher: &'a Flusher,
}

impl Drop for RunningRound<'_> {
    fn drop(&mut self) {
        lock(&self.flusher.rounds).is_running = false;
        self.flusher.finished.notify_all();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::disk::OsDisk;

    #[test]
    fn what_is_neither_a_file_nor_a_directory_is_not_flushed_and_poisons_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let [file, link, socket] = ["file", "link", "socket"].map(|name| dir.path().join(name));
        let disk = OsDisk::default();
        disk.write_new(&file, b"contents", 0o600, false).unwrap();
        symlink(&file, &link).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        let flusher = Flusher::new(Arc::new(disk), dir.path().to_owned());
        let others = [
            FlushTarget::Block(link.clone()),
            FlushTarget::Block(socket),
            FlushTarget::Block(dir.path().to_owned()),
            FlushTarget::Dir(link.clone()),
            FlushTarget::Dir(file),
        ];
        flusher.flush_existing(&others).unwrap();
        flusher.flush(&[FlushTarget::Block(link)]).unwrap_err();
        assert!(!flusher.is_poisoned());
    }
}
