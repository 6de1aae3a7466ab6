//! The listings of [`OsDisk`](crate::disk::OsDisk), by `FindFirstFile`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, ReadDir};
use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use super::at::{At, kind};
use super::read_once;
use super::retry::retry_read;
use crate::disk::listing::{Entries, Listing};
use crate::disk::{Kind, Stat, contents};

/// Lists a directory.
pub(in crate::disk) fn list(dir: At<'_>) -> io::Result<Listing> {
    dir.require_dir()?;
    Ok(Listing::new(OpenDir {
        entries: Some(retry_read(|| fs::read_dir(dir.path()))?),
        dir: dir.path().to_owned(),
        name: OsString::new(),
    }))
}

/// A cursor over the entries of a directory.
struct OpenDir {
    dir: PathBuf,
    /// `None` at the end.
    entries: Option<ReadDir>,
    name: OsString,
}

impl OpenDir {
    fn at(&self) -> At<'_> {
        At::verbatim(self.dir.join(&self.name))
    }
}

impl Entries for OpenDir {
    fn advance(&mut self) -> io::Result<Option<Kind>> {
        let next = self.entries.as_mut().and_then(Iterator::next);
        let next = next.transpose().inspect_err(|_| self.entries = None)?;
        let Some(entry) = next else {
            self.entries = None;
            return Ok(None);
        };
        self.name = entry.file_name();
        Ok(Some(kind(entry.file_type()?)))
    }

    fn name(&self) -> &OsStr {
        &self.name
    }

    /// Looks the file up. What a listing says about the size of a file with several names may be out of date.
    fn stat(&self) -> io::Result<Stat> {
        self.at().stat()
    }

    fn read(&self) -> io::Result<Bytes> {
        contents::read(self.at().open_file()?, read_once)
    }
}
