//! What the program does differently on Windows.

use std::env;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf, Prefix};
use std::thread;
use std::time::Duration;

use glob::MatchOptions;
use tempfile::TempPath;
use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_INVALID_FUNCTION, ERROR_INVALID_NAME, ERROR_INVALID_PARAMETER,
    ERROR_LOCK_VIOLATION, ERROR_NOT_SUPPORTED, ERROR_PIPE_NOT_CONNECTED, ERROR_SHARING_VIOLATION,
    WIN32_ERROR,
};
use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_BACKUP_SEMANTICS;

use crate::exit::Interrupted;

/// How long a step that another program prevents is retried.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Returns the arguments with the wildcards `*` and `?` expanded, which the shells of Windows don't do. A pattern
/// without a match stays as it is.
pub(crate) fn args() -> impl Iterator<Item = OsString> {
    env::args_os().flat_map(expand)
}

/// A pattern in quotes is expanded, too: it can't be the name of a file, and a path with spaces needs them.
fn expand(arg: OsString) -> Vec<OsString> {
    let options = MatchOptions {
        case_sensitive: false,
        ..MatchOptions::new()
    };
    let pattern = arg.to_str().and_then(pattern);
    let paths = pattern.and_then(|pattern| glob::glob_with(&pattern, options).ok());
    let paths = paths.into_iter().flatten().flatten();
    let found: Vec<OsString> = paths.map(PathBuf::into_os_string).collect();
    match found.is_empty() {
        true => vec![arg],
        false => found,
    }
}

/// Returns an argument as a pattern, if it has wildcards. Brackets are characters like any others in names.
fn pattern(arg: &str) -> Option<String> {
    // The prefix of a verbatim path has a question mark.
    let is_pattern = !arg.starts_with(r"\\?\") && arg.contains(['*', '?']);
    is_pattern.then(|| {
        arg.chars().fold(String::new(), |mut pattern, c| {
            match c {
                '[' => pattern.push_str("[[]"),
                ']' => pattern.push_str("[]]"),
                c => pattern.push(c),
            }
            pattern
        })
    })
}

/// Replaces the file at the path by this one. While another program, such as a virus scanner, prevents that, it is
/// retried for two seconds.
pub(crate) fn persist(file: TempPath, path: &Path) -> io::Result<()> {
    persist_with(file, path, thread::sleep)
}

fn persist_with(
    mut file: TempPath,
    path: &Path,
    mut pause: impl FnMut(Duration),
) -> io::Result<()> {
    const MAX_DELAY: Duration = Duration::from_millis(64);
    let (mut delay, mut waited) = (Duration::from_millis(1), Duration::ZERO);
    loop {
        let error = match file.persist(path) {
            Ok(()) => return Ok(()),
            Err(failed) => {
                file = failed.path;
                failed.error
            }
        };
        let is_shared = is_error(&error, &[ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION]);
        if !is_shared && !is_error(&error, &[ERROR_ACCESS_DENIED]) {
            return Err(error);
        }
        if waited >= MAX_WAIT {
            let reason = match is_shared {
                true => "another program has the file open",
                false => "another program has the file open, or the access is denied",
            };
            return Err(io::Error::new(error.kind(), reason));
        }
        pause(delay);
        waited += delay;
        delay = MAX_DELAY.min(delay * 2);
    }
}

/// Returns whether a write failed because the reader of the pipe has gone.
pub(crate) fn is_closed_pipe(error: &io::Error) -> bool {
    // A socket or a pipe of another system is reported as not connected.
    error.kind() == io::ErrorKind::BrokenPipe || is_error(error, &[ERROR_PIPE_NOT_CONNECTED])
}

/// Returns the path in verbatim form, `\\?\C:\dir`. In any other form the system removes dots and spaces at the end of
/// a name below it, and takes names such as `aux` for devices.
pub(crate) fn with_exact_names(path: &Path) -> PathBuf {
    let Ok(absolute) = std::path::absolute(path) else {
        return path.to_owned();
    };
    let mut components = absolute.components();
    let Some(Component::Prefix(prefix)) = components.next() else {
        return absolute;
    };
    let mut text = OsString::new();
    match prefix.kind() {
        Prefix::Disk(_) => {
            text.push(r"\\?\");
            text.push(prefix.as_os_str());
        }
        Prefix::UNC(server, share) => {
            text.push(r"\\?\UNC\");
            text.push(server);
            text.push(r"\");
            text.push(share);
        }
        _ => return absolute,
    }
    text.push(components.as_path());
    text.into()
}

/// Returns the path in the form that users know, without `\\?\`.
pub(crate) fn shown(path: PathBuf) -> PathBuf {
    let prefix = match path.components().next() {
        Some(Component::Prefix(prefix)) => prefix.kind(),
        _ => return path,
    };
    let shown = match (prefix, path.to_str()) {
        (Prefix::VerbatimDisk(_), Some(text)) => text.strip_prefix(r"\\?\").map(PathBuf::from),
        (Prefix::VerbatimUNC(..), Some(text)) => {
            let share = text.strip_prefix(r"\\?\UNC\");
            share.map(|share| PathBuf::from(format!(r"\\{share}")))
        }
        _ => None,
    };
    shown.unwrap_or(path)
}

/// Returns the absolute path without symbolic links. Where the file system can't resolve them, as on some virtual
/// disks, they stay.
pub(crate) fn canonical(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Ok(found) => Ok(shown(found)),
        Err(_) if path.exists() => std::path::absolute(path),
        Err(error) => Err(error),
    }
}

/// Returns a text for an error of the system that would puzzle a user of the program.
pub(crate) fn clearer_text(error: &io::Error) -> Option<&'static str> {
    let is_name = is_error(error, &[ERROR_INVALID_NAME]);
    is_name.then_some("no file matches, or the name is not valid on Windows")
}

fn is_error(error: &io::Error, codes: &[WIN32_ERROR]) -> bool {
    let code = error.raw_os_error().and_then(|code| code.try_into().ok());
    code.is_some_and(|code| codes.contains(&code))
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
        Err(error) if is_error(&error, &unsupported) => Ok(()),
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

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests read and write their own files"
)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn brackets_are_not_wildcards() {
        for literal in ["b[1].bin", r"\\?\C:\a", "-r"] {
            assert_eq!(pattern(literal), None);
        }
        assert_eq!(pattern("d[1]*").as_deref(), Some("d[[]1[]]*"));
    }

    #[test]
    fn an_output_replaces_a_file_once_the_other_program_closes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("o.car");
        let persist = |closes: bool| {
            fs::write(&path, "old").unwrap();
            let new = tempfile::NamedTempFile::new_in(&dir).unwrap();
            fs::write(new.path(), "new").unwrap();
            let mut options = File::options();
            let mut open = Some(options.read(true).share_mode(0).open(&path).unwrap());
            let mut paused = Duration::ZERO;
            let done = persist_with(new.into_temp_path(), &path, |pause| {
                paused += pause;
                if closes {
                    open = None;
                }
            });
            drop(open);
            (done, paused, fs::read_to_string(&path).unwrap())
        };
        let (done, _, contents) = persist(true);
        done.unwrap();
        assert_eq!(contents, "new");
        let (done, paused, contents) = persist(false);
        assert!(
            done.unwrap_err()
                .to_string()
                .contains("another program has the file open")
        );
        assert_eq!(contents, "old");
        assert!((2000..2100).contains(&paused.as_millis()), "{paused:?}");
    }

    #[test]
    fn a_pipe_of_another_system_is_closed_when_it_is_not_connected() {
        for (code, expected) in [
            (ERROR_PIPE_NOT_CONNECTED, true),
            (ERROR_ACCESS_DENIED, false),
        ] {
            let error = io::Error::from_raw_os_error(code.cast_signed());
            assert_eq!(is_closed_pipe(&error), expected);
        }
    }

    #[test]
    fn exact_names_are_those_of_the_verbatim_form_and_are_shown_without_its_prefix() {
        for (path, exact) in [
            (r"C:\a\b", r"\\?\C:\a\b"),
            (r"C:\", r"\\?\C:\"),
            (r"\\server\share\a", r"\\?\UNC\server\share\a"),
        ] {
            let found = with_exact_names(Path::new(path));
            assert_eq!(found.as_os_str(), exact);
            assert_eq!(shown(found).as_os_str(), path);
        }
        assert_eq!(shown("a".into()), Path::new("a"));
    }
}
