//! What the program does differently on Unix.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;

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
