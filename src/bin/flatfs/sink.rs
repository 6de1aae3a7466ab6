//! [`Sink`]: where a command's output goes.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempPath;

use crate::report::{ClosedPipe, WrongUsage};

/// How much is collected before it is written.
const BUFFER: usize = 64 << 10;

/// Standard output, or a file that only has its name once all of it is there.
#[derive(Debug)]
pub(crate) enum Sink {
    Stdout(BufWriter<Stdout>),
    /// A file that is written beside its place and moved there at the end.
    File(BufWriter<File>, TempPath, PathBuf),
    /// A device or pipe, which can't be replaced by a file.
    Special(BufWriter<File>, PathBuf),
}

impl Sink {
    /// Standard output.
    pub(crate) fn stdout() -> Self {
        Sink::Stdout(BufWriter::with_capacity(BUFFER, io::stdout()))
    }

    /// The file, or standard output if there is none.
    ///
    /// # Errors
    ///
    /// If the file can't be made.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        match path {
            None => Ok(Sink::stdout()),
            Some(path) if path.as_os_str() == "-" => Ok(Sink::stdout()),
            Some(path) => create(path).with_context(|| format!("cannot write {}", path.display())),
        }
    }

    /// # Errors
    ///
    /// [`WrongUsage`] with this message if this is a terminal, which binary data would upset.
    pub(crate) fn refuse_terminal(&self, why: &str) -> anyhow::Result<()> {
        match self {
            Sink::Stdout(_) if io::stdout().is_terminal() => Err(WrongUsage(why.to_owned()).into()),
            _ => Ok(()),
        }
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    ///
    /// If they can't be written; [`ClosedPipe`] if nobody reads standard output any more.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.writer().write_all(bytes);
        self.told(written)
    }

    /// Lets the reader see what was written up to here.
    ///
    /// # Errors
    ///
    /// As [`Sink::write`].
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        let flushed = self.writer().flush();
        self.told(flushed)
    }

    /// Writes what is left; a file gets its name. Without this call it never does.
    ///
    /// # Errors
    ///
    /// As [`Sink::write`].
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.flush()?;
        match self {
            Sink::File(writer, temp, path) => publish(writer, temp, &path)
                .with_context(|| format!("cannot write {}", path.display())),
            Sink::Stdout(_) | Sink::Special(..) => Ok(()),
        }
    }

    /// Gives up. Where something has been seen of the output, it ends with `end`, if that can be
    /// written; a file never gets its name.
    pub(crate) fn give_up(mut self, end: &[u8]) {
        if !matches!(self, Sink::File(..)) {
            // It has failed before, and why is told.
            let _ = self.write(end).and_then(|()| self.flush());
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Sink::Stdout(writer) => writer,
            Sink::File(writer, ..) => writer,
            Sink::Special(writer, _) => writer,
        }
    }

    fn told(&self, result: io::Result<()>) -> anyhow::Result<()> {
        result.map_err(|error| match self {
            Sink::Stdout(_) if error.kind() == io::ErrorKind::BrokenPipe => ClosedPipe.into(),
            Sink::Stdout(_) => anyhow::Error::new(error).context("cannot write standard output"),
            Sink::File(_, _, path) | Sink::Special(_, path) => {
                anyhow::Error::new(error).context(format!("cannot write {}", path.display()))
            }
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program writes the user's own files"
)]
fn create(path: &Path) -> io::Result<Sink> {
    let place = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if found.is_file() => fs::canonicalize(path)?,
        Ok(_) => {
            let file = File::options().write(true).open(path)?;
            let writer = BufWriter::with_capacity(BUFFER, file);
            return Ok(Sink::Special(writer, path.to_owned()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let dir = match place.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    // With the mode that a file of this user usually gets.
    let open_new = |path: &Path| File::options().write(true).create_new(true).open(path);
    let file = tempfile::Builder::new()
        .prefix(".flatfs-")
        .make_in(dir, open_new)?;
    let (file, temp) = file.into_parts();
    let writer = BufWriter::with_capacity(BUFFER, file);
    Ok(Sink::File(writer, temp, place))
}

fn publish(writer: BufWriter<File>, temp: TempPath, path: &Path) -> io::Result<()> {
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    temp.persist(path).map_err(|error| error.error)
}
