//! [`Output`]: standard output, or a file that appears only when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempPath;

use crate::exit::{ClosedPipe, WrongUsage};
use crate::platform;

/// The size of the write buffer.
const BUFFER: usize = 64 << 10;

/// Where the output of a command goes.
#[derive(Debug)]
pub(crate) enum Output {
    Stdout(BufWriter<Stdout>),
    /// A temporary file in the directory of the path, to which it is renamed at the end.
    File(BufWriter<File>, TempPath, PathBuf),
    /// A device or pipe, which must not be replaced by a file.
    Special(BufWriter<File>, PathBuf),
}

impl Output {
    /// Returns standard output.
    pub(crate) fn stdout() -> Self {
        Output::Stdout(BufWriter::with_capacity(BUFFER, io::stdout()))
    }

    /// Opens the file, or standard output if the path is missing or `-`.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be created.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        match path {
            None => Ok(Output::stdout()),
            Some(path) if path.as_os_str() == "-" => Ok(Output::stdout()),
            Some(path) => create(path).with_context(|| format!("cannot write {}", path.display())),
        }
    }

    /// Checks that this is not a terminal, which binary data would garble.
    ///
    /// # Errors
    ///
    /// Returns [`WrongUsage`] with this message if it is one.
    pub(crate) fn refuse_terminal(&self, message: &str) -> anyhow::Result<()> {
        match self {
            Output::Stdout(_) if io::stdout().is_terminal() => {
                Err(WrongUsage(message.to_owned()).into())
            }
            _ => Ok(()),
        }
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    ///
    /// Fails if they can't be written, with [`ClosedPipe`] if the reader of standard output has gone.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.writer().write_all(bytes);
        self.with_name(written)
    }

    /// Writes out the buffer, so that a reader sees everything up to here.
    ///
    /// # Errors
    ///
    /// As for [`Output::write`].
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        let flushed = self.writer().flush();
        self.with_name(flushed)
    }

    /// Writes out the buffer, and renames a file to its path. Without this call the file never appears.
    ///
    /// # Errors
    ///
    /// As for [`Output::write`].
    ///
    /// # Durability
    ///
    /// The file survives a power cut.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.flush()?;
        match self {
            Output::File(writer, temp, path) => publish(writer, temp, &path)
                .with_context(|| format!("cannot write {}", path.display())),
            Output::Stdout(_) | Output::Special(..) => Ok(()),
        }
    }

    /// Abandons the output. A file never appears. Elsewhere a reader may have seen a part already, so
    /// `end` is written after it, if that works.
    pub(crate) fn abandon(mut self, end: &[u8]) {
        if !matches!(self, Output::File(..)) {
            // The caller reports the error that came first.
            let _ = self.write(end).and_then(|()| self.flush());
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Output::Stdout(writer) => writer,
            Output::File(writer, ..) => writer,
            Output::Special(writer, _) => writer,
        }
    }

    fn with_name(&self, result: io::Result<()>) -> anyhow::Result<()> {
        result.map_err(|error| match self {
            Output::Stdout(_) if platform::is_closed_pipe(&error) => ClosedPipe.into(),
            Output::Stdout(_) => anyhow::Error::new(error).context("cannot write standard output"),
            Output::File(_, _, path) | Output::Special(_, path) => {
                anyhow::Error::new(error).context(format!("cannot write {}", path.display()))
            }
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program writes the user's own files"
)]
fn create(path: &Path) -> io::Result<Output> {
    let target = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        // A symbolic link stays as it is, and the file that it leads to is replaced.
        Ok(found) if found.is_file() && path.is_symlink() => fs::canonicalize(path)?,
        Ok(found) if found.is_file() => path.to_owned(),
        Ok(_) => return special(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        // A device of Windows, such as NUL, has no metadata, and can be opened.
        Err(error) => return special(path).map_err(|_| error),
    };
    // Unlike a file of `tempfile`'s own, it gets the mode that new files of this user have.
    let open_new = |path: &Path| File::options().write(true).create_new(true).open(path);
    let file = tempfile::Builder::new()
        .prefix(".flatfs-")
        .make_in(dir_of(&target), open_new)?;
    let (file, temp) = file.into_parts();
    let writer = BufWriter::with_capacity(BUFFER, file);
    Ok(Output::File(writer, temp, target))
}

fn special(path: &Path) -> io::Result<Output> {
    let file = File::options().write(true).open(path)?;
    // A regular file would keep the end of its old contents.
    if file.metadata().is_ok_and(|found| found.is_file()) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let writer = BufWriter::with_capacity(BUFFER, file);
    Ok(Output::Special(writer, path.to_owned()))
}

fn publish(writer: BufWriter<File>, temp: TempPath, path: &Path) -> io::Result<()> {
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    // Before the rename: otherwise a power cut could leave the name with a part of the contents.
    file.sync_all()?;
    platform::persist(temp, path)?;
    // After the rename: otherwise a power cut could take the name away again, and a backup with it.
    platform::sync_dir(dir_of(path))
}

/// Returns the directory that the file is in.
fn dir_of(file: &Path) -> &Path {
    match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}
