//! [`SpillFile`]: an anonymous temp file.

use std::env;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Mutex;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::sync::lock;

/// A file without a name in the directory for temp files. The system removes it when it is closed, and after a crash.
#[derive(Debug)]
pub(crate) struct SpillFile(Mutex<File>);

impl SpillFile {
    /// Creates an empty file. openat(2) with `O_TMPFILE` on Linux; elsewhere a file that is removed at once, or when
    /// it is closed.
    pub(crate) fn create() -> Result<Self> {
        let file =
            tempfile::tempfile().map_err(|error| in_temp_dir("create a temp file in", error))?;
        Ok(SpillFile(Mutex::new(file)))
    }

    /// Returns a file to which no write succeeds.
    #[cfg(test)]
    #[expect(clippy::disallowed_methods, reason = "a file of a test")]
    pub(crate) fn read_only() -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        SpillFile(Mutex::new(File::open(file.path()).unwrap()))
    }

    /// Writes all bytes at an offset.
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut file = lock(&self.0);
        let written = file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| file.write_all(bytes));
        written.map_err(|error| in_temp_dir("write to a temp file in", error))
    }

    /// Reads `len` bytes at an offset.
    pub(crate) fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        let mut bytes = vec![0; len];
        let mut file = lock(&self.0);
        let read = file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|error| in_temp_dir("read a temp file in", error))?;
        Ok(bytes.into())
    }
}

fn in_temp_dir(action: &'static str, error: io::Error) -> Error {
    Error::io(action, env::temp_dir(), error)
}
