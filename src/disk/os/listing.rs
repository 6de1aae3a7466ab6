//! The listings of [`OsDisk`](super::OsDisk): names are read many at a time, and files are looked at
//! and opened relative to the open directory, which spares the walk through the path.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;
use rustix::fs::{Dir, FileType};

use super::at::{At, kind};
use super::contents;
use crate::disk::listing::{Entries, Listing};
use crate::disk::{Kind, Stat, if_there};

#[cfg(target_os = "linux")]
pub(super) type Platform = self::linux::Raw;
#[cfg(not(target_os = "linux"))]
pub(super) type Platform = Dir;

/// The entries of an open directory.
pub(super) fn list<S: Source + 'static>(dir: File) -> io::Result<Listing> {
    Ok(Listing::new(OpenDir {
        source: S::new(dir.into())?,
        names: Names::new(),
        name: 0..0,
        at_end: false,
    }))
}

/// An open directory whose names come some at a time.
pub(super) trait Source: Send + Sized {
    fn new(dir: OwnedFd) -> rustix::io::Result<Self>;

    fn dir(&self) -> rustix::io::Result<BorrowedFd<'_>>;

    /// Reads some more names, none if that were all.
    fn read_into(&mut self, names: &mut Names) -> rustix::io::Result<()>;
}

/// Some names, one behind another.
pub(super) struct Names {
    text: Vec<u8>,
    entries: Vec<(Range<usize>, FileType)>,
    /// How many of the entries have been taken.
    taken: usize,
}

impl Names {
    /// With room for the names of some twenty blocks, so that it needn't grow for most directories.
    fn new() -> Self {
        Names {
            text: Vec::with_capacity(2048),
            entries: Vec::with_capacity(32),
            taken: 0,
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
        self.taken = 0;
    }

    pub(super) fn push(&mut self, name: &CStr, file_type: FileType) {
        let name = name.to_bytes();
        if name != b"." && name != b".." {
            let begin = self.text.len();
            self.text.extend_from_slice(name);
            self.entries.push((begin..self.text.len(), file_type));
        }
    }

    fn take(&mut self) -> Option<(Range<usize>, FileType)> {
        let next = self.entries.get(self.taken)?;
        self.taken += 1;
        Some(next.clone())
    }
}

struct OpenDir<S> {
    source: S,
    names: Names,
    /// Where the name of the entry stands that this stands at.
    name: Range<usize>,
    at_end: bool,
}

impl<S: Source> OpenDir<S> {
    fn next(&mut self) -> io::Result<Option<Kind>> {
        loop {
            let Some((name, file_type)) = self.names.take() else {
                if self.at_end {
                    return Ok(None);
                }
                self.names.clear();
                self.source.read_into(&mut self.names)?;
                self.at_end = self.names.entries.is_empty();
                continue;
            };
            self.name = name;
            if file_type != FileType::Unknown {
                return Ok(Some(kind(file_type)));
            }
            // Not every file system lists what its entries are.
            if let Some(stat) = if_there(self.stat())? {
                return Ok(Some(stat.kind));
            }
        }
    }
}

impl<S: Source> OpenDir<S> {
    fn at(&self) -> io::Result<At<'_>> {
        Ok(At {
            dir: self.source.dir()?,
            path: Path::new(self.name()),
        })
    }
}

impl<S: Source> Entries for OpenDir<S> {
    fn advance(&mut self) -> io::Result<Option<Kind>> {
        self.next().inspect_err(|_| {
            self.names.clear();
            self.at_end = true;
        })
    }

    fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.names.text.get(self.name.clone()).unwrap_or_default())
    }

    fn stat(&self) -> io::Result<Stat> {
        self.at()?.stat()
    }

    fn read(&self) -> io::Result<Bytes> {
        contents::read(self.at()?.open_file()?)
    }
}

/// What every Unix can do: readdir(3).
impl Source for Dir {
    fn new(dir: OwnedFd) -> rustix::io::Result<Self> {
        Dir::new(dir)
    }

    fn dir(&self) -> rustix::io::Result<BorrowedFd<'_>> {
        self.fd()
    }

    fn read_into(&mut self, names: &mut Names) -> rustix::io::Result<()> {
        const SOME: usize = 256;
        while names.entries.len() < SOME
            && let Some(entry) = self.read().transpose()?
        {
            names.push(entry.file_name(), entry.file_type());
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::MaybeUninit;
    use std::os::fd::AsFd;

    use rustix::fs::RawDir;
    use rustix::io::Errno;

    use super::*;

    /// getdents64(2) into a buffer on the stack, so that no entry takes an allocation.
    pub(in super::super) struct Raw(OwnedFd);

    /// As much as the C library reads at once.
    const BUFFER: usize = 32 * 1024;

    impl Source for Raw {
        fn new(dir: OwnedFd) -> rustix::io::Result<Self> {
            Ok(Raw(dir))
        }

        fn dir(&self) -> rustix::io::Result<BorrowedFd<'_>> {
            Ok(self.0.as_fd())
        }

        fn read_into(&mut self, names: &mut Names) -> rustix::io::Result<()> {
            let mut buffer = [MaybeUninit::uninit(); BUFFER];
            let mut entries = RawDir::new(&self.0, &mut buffer);
            while let Some(entry) = entries.next() {
                match entry {
                    Ok(entry) => names.push(entry.file_name(), entry.file_type()),
                    Err(Errno::INTR) => {}
                    // Somebody has removed the directory.
                    Err(Errno::NOENT) => break,
                    Err(error) => return Err(error),
                }
                if entries.is_buffer_empty() && !names.entries.is_empty() {
                    break;
                }
            }
            Ok(())
        }
    }
}
