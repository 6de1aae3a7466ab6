//! What the program does differently on Windows.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::Path;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};
use windows_sys::Win32::Foundation::{
    ERROR_INVALID_FUNCTION, ERROR_INVALID_PARAMETER, ERROR_NOT_SUPPORTED,
};
use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_BACKUP_SEMANTICS;

use crate::exit::Interrupted;

/// Returns the arguments with wildcards expanded, such as `*.car`, which the shells of Windows don't do. A
/// pattern in quotes, or without a match, stays as it is.
pub(crate) fn args() -> impl Iterator<Item = OsString> {
    wild::args_os()
}

/// Makes the names in a directory durable, if the file system can flush directories.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = OpenOptions::new()
        .write(true)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(dir)?;
    let unsupported = [
        ERROR_INVALID_FUNCTION,
        ERROR_INVALID_PARAMETER,
        ERROR_NOT_SUPPORTED,
    ];
    match dir.sync_all() {
        Err(error)
            if error.raw_os_error().is_some_and(|code| {
                u32::try_from(code).is_ok_and(|code| unsupported.contains(&code))
            }) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// Ctrl-C and Ctrl-Break, and the end of the console or the system.
#[derive(Debug)]
pub(crate) struct Signals {
    ctrl_c: CtrlC,
    ctrl_break: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    /// Installs the handlers. It is called inside a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Signals {
            ctrl_c: ctrl_c()?,
            ctrl_break: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// Waits for the next event.
    pub(crate) async fn next(&mut self) -> Interrupted {
        tokio::select! {
            Some(()) = self.ctrl_c.recv() => Interrupted::Interrupt,
            Some(()) = self.ctrl_break.recv() => Interrupted::Interrupt,
            Some(()) = self.close.recv() => Interrupted::Terminate,
            Some(()) = self.shutdown.recv() => Interrupted::Terminate,
            else => std::future::pending().await,
        }
    }
}
