//! [`At`]: a path, and the calls that take it.

use std::borrow::Cow;
use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND, ERROR_SHARING_VIOLATION,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT,
};

use super::retry::{is_error, retry_change, retry_read};
use super::verbatim::verbatim;
use crate::disk::{Kind, Stat, contents};

/// An absolute path in verbatim form.
///
/// Files are opened with all share flags, which the standard library sets: what this process has open can be
/// read, written, renamed and removed by others.
#[derive(Debug)]
pub(in crate::disk) struct At<'a> {
    path: Cow<'a, Path>,
}

impl<'a> At<'a> {
    pub(in crate::disk) fn cwd(path: &'a Path) -> Self {
        At {
            path: verbatim(path),
        }
    }

    pub(super) fn verbatim(path: PathBuf) -> Self {
        At { path: path.into() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens what is at the path, and follows no symbolic link in the last component.
    ///
    /// The flag for that also makes the system return the raw contents of files that a filter keeps elsewhere,
    /// such as deduplicated ones. Those are opened again without it.
    fn open(&self, options: &OpenOptions) -> io::Result<File> {
        // With backup semantics directories can be opened, too.
        let open = |flags| {
            options
                .clone()
                .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | flags)
                .open(&self.path)
        };
        let file = open(FILE_FLAG_OPEN_REPARSE_POINT)?;
        let found = file.metadata()?;
        if found.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0 && !found.is_symlink() {
            return open(0);
        }
        Ok(file)
    }

    /// Opens what should be a regular file to read it, without a retry.
    pub(super) fn open_now(&self) -> io::Result<File> {
        let opened = self.open(OpenOptions::new().read(true));
        opened.map_err(|error| self.explain(error))
    }

    /// Opens what should be a regular file to read it.
    pub(in crate::disk) fn open_file(&self) -> io::Result<File> {
        retry_read(|| self.open_now())
    }

    /// Opens a regular file to flush it, which takes write access.
    pub(in crate::disk) fn open_file_to_sync(&self) -> io::Result<File> {
        let file = self.open_to_sync()?;
        contents::regular(file).map(|(file, _)| file)
    }

    /// Opens a directory to flush it, which takes write access.
    pub(in crate::disk) fn open_dir_to_sync(&self) -> io::Result<File> {
        let dir = self.open_to_sync()?;
        match kind(dir.metadata()?.file_type()) {
            Kind::Dir => Ok(dir),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn open_to_sync(&self) -> io::Result<File> {
        self.change_any(|| self.writable(|| self.open(OpenOptions::new().write(true))))
    }

    /// Opens a lock file, and creates it if it does not exist.
    pub(in crate::disk) fn open_lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        self.change(|| self.open(&options))
    }

    /// Creates a file that must not exist. It inherits its permissions from the directory.
    pub(in crate::disk) fn create_file(&self, _mode: u32) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        self.change(|| options.open(&self.path))
    }

    pub(in crate::disk) fn create_dir(&self, _mode: u32) -> io::Result<()> {
        self.change(|| fs::create_dir(&self.path))
    }

    pub(in crate::disk) fn rename(&self, to: At<'_>) -> io::Result<()> {
        to.change(|| {
            let renamed = to.writable(|| fs::rename(&self.path, &to.path));
            renamed.map_err(|error| self.if_exists(error))
        })
    }

    pub(in crate::disk) fn link(&self, to: At<'_>) -> io::Result<()> {
        to.change(|| fs::hard_link(&self.path, &to.path).map_err(|error| self.if_exists(error)))
    }

    /// Removes a file, and waits until its name is gone.
    ///
    /// `DeleteFile` may only mark the file, and then the name stays until the last handle of the file is closed, even
    /// if it is one of this process. Wine even lets others open such a file, so that a read after a delete would find the block.
    pub(in crate::disk) fn remove_file(&self) -> io::Result<()> {
        let mut is_removed = false;
        // One retry for both steps, so that they have one bound.
        self.change(|| {
            if !is_removed {
                self.try_remove_file()?;
                is_removed = true;
            }
            match self.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                // Access to a file that is marked is denied.
                Err(error) if !is_error(&error, &[ERROR_ACCESS_DENIED]) => Err(error),
                _ => Err(still_open()),
            }
        })
    }

    /// Removes a file that this process has open, so that there is nothing to wait for.
    pub(in crate::disk) fn remove_open_file(&self) -> io::Result<()> {
        self.change(|| self.try_remove_file())
    }

    fn try_remove_file(&self) -> io::Result<()> {
        match self.writable(|| fs::remove_file(&self.path)) {
            // A symbolic link to a directory is removed as a directory.
            Err(error) if is_error(&error, &[ERROR_ACCESS_DENIED]) && self.is_link_to_dir() => {
                fs::remove_dir(&self.path)
            }
            removed => removed,
        }
    }

    pub(in crate::disk) fn remove_dir(&self) -> io::Result<()> {
        self.require_dir()?;
        self.change_any(|| self.writable(|| fs::remove_dir(&self.path)))
    }

    pub(in crate::disk) fn stat(&self) -> io::Result<Stat> {
        let found = retry_read(|| self.metadata())?;
        Ok(Stat {
            kind: kind(found.file_type()),
            len: found.len(),
        })
    }

    /// Returns when the contents were last changed.
    pub(in crate::disk) fn modified(&self) -> io::Result<SystemTime> {
        retry_read(|| self.metadata())?.modified()
    }

    /// Returns an error if this is not a directory, because the calls on directories follow symbolic links.
    pub(super) fn require_dir(&self) -> io::Result<()> {
        match self.stat()?.kind {
            Kind::Dir => Ok(()),
            Kind::File | Kind::Symlink | Kind::Other => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn metadata(&self) -> io::Result<Metadata> {
        fs::symlink_metadata(&self.path).map_err(|error| self.explain_missing(error))
    }

    fn is_link_to_dir(&self) -> bool {
        let found = fs::symlink_metadata(&self.path);
        found.is_ok_and(|found| found.file_type().is_symlink_dir())
    }

    /// Returns the error of a step with two paths, or that the directory of this one does not exist: Windows does
    /// not tell which path it has not found. The result has no code, so that nothing else explains it.
    fn if_exists(&self, error: io::Error) -> io::Error {
        match self.metadata() {
            Err(absent)
                if is_error(&error, &[ERROR_PATH_NOT_FOUND])
                    && !is_error(&absent, &[ERROR_FILE_NOT_FOUND]) =>
            {
                absent.kind().into()
            }
            _ => error,
        }
    }

    /// Makes a change of a file or a directory, and retries it while another program prevents it.
    pub(super) fn change_any<T>(&self, mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        retry_change(|| step().map_err(|error| self.explain_missing(error)))
    }

    /// Makes a change that is denied if there is a directory, and retries it while another program prevents it.
    pub(super) fn change<T>(&self, mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        retry_change(|| step().map_err(|error| self.explain(error)))
    }

    /// Makes a change of a file or a directory. If that is denied because of the read-only attribute, which other programs may
    /// have set, the attribute is removed. On Unix only the permissions of the directory count.
    fn writable<T>(&self, step: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match step() {
            Err(error) if is_error(&error, &[ERROR_ACCESS_DENIED]) => {
                let found = fs::symlink_metadata(&self.path);
                let Some(found) = found.ok().filter(|found| found.permissions().readonly()) else {
                    return Err(error);
                };
                let mut permissions = found.permissions();
                #[expect(
                    clippy::permissions_set_readonly_false,
                    reason = "on Windows this gives no rights to other users"
                )]
                permissions.set_readonly(false);
                fs::set_permissions(&self.path, permissions)?;
                step()
            }
            done => done,
        }
    }

    /// Returns a more specific error, where Windows has one error for several reasons.
    fn explain(&self, error: io::Error) -> io::Error {
        let is_dir = || fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_dir());
        if is_error(&error, &[ERROR_ACCESS_DENIED]) && is_dir() {
            return io::ErrorKind::IsADirectory.into();
        }
        self.explain_missing(error)
    }

    /// If a directory above does not exist because it is a file, returns that.
    fn explain_missing(&self, error: io::Error) -> io::Error {
        if !is_error(&error, &[ERROR_PATH_NOT_FOUND]) {
            return error;
        }
        let above = self.path.ancestors().skip(1);
        match above.map(fs::symlink_metadata).find_map(Result::ok) {
            Some(found) if !found.is_dir() => io::ErrorKind::NotADirectory.into(),
            _ => error,
        }
    }
}

/// The error of a step that waits until other programs close a file.
fn still_open() -> io::Error {
    io::Error::from_raw_os_error(ERROR_SHARING_VIOLATION.cast_signed())
}

pub(super) fn kind(file_type: FileType) -> Kind {
    if file_type.is_symlink() {
        Kind::Symlink
    } else if file_type.is_dir() {
        Kind::Dir
    } else if file_type.is_file() {
        Kind::File
    } else {
        Kind::Other
    }
}
