//! What the program does differently on Unix.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempPath;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Interrupted;

/// Returns the arguments, in which the shell has expanded the wildcards.
pub(crate) fn args() -> impl Iterator<Item = OsString> {
    env::args_os()
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program writes the user's own files"
    )]
    File::open(dir)?.sync_all()
}

/// Replaces the file at the path by this one.
pub(crate) fn persist(file: TempPath, path: &Path) -> io::Result<()> {
    file.persist(path).map_err(|error| error.error)
}

/// Returns whether a write failed because the reader of the pipe has gone.
pub(crate) fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Returns the path in a form in which the system uses the names in it, and below it, as they are.
pub(crate) fn with_exact_names(path: &Path) -> PathBuf {
    path.to_owned()
}

/// Returns the path in the form that users know.
pub(crate) fn shown(path: PathBuf) -> PathBuf {
    path
}

/// Returns the absolute path without symbolic links.
pub(crate) fn canonical(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize()
}

/// Returns a text for an error of the system that would puzzle a user of the program.
pub(crate) fn clearer_text(_: &io::Error) -> Option<&'static str> {
    None
}

/// The signals SIGINT and SIGTERM.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Installs the handlers. It is called inside a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Interrupted {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Interrupted::Interrupt,
            Some(()) = self.terminate.recv() => Interrupted::Terminate,
            else => std::future::pending().await,
        }
    }
}
