//! The listings of [`OsDisk`](crate::disk::OsDisk). Names are read many at a time; files are looked up and
//! opened relative to the open directory, so that the rest of the path is not resolved again.

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
use super::read_once;
use crate::disk::listing::{Entries, Listing};
use crate::disk::{Kind, Stat, contents, if_there};

#[cfg(target_os = "linux")]
pub(in crate::disk) type PlatformNames = self::linux::Getdents;
#[cfg(not(target_os = "linux"))]
pub(in crate::disk) type PlatformNames = Dir;

/// Lists a directory.
pub(in crate::disk) fn list(dir: At<'_>) -> io::Result<Listing> {
    list_with::<PlatformNames>(dir.open_dir()?)
}

/// Lists an open directory with the reader `N`.
pub(in crate::disk) fn list_with<N: ReadNames + 'static>(dir: File) -> io::Result<Listing> {
    Ok(Listing::new(OpenDir {
        reader: N::new(dir.into())?,
        names: NameBuffer::new(),
        current: Name::default(),
        at_end: false,
    }))
}

/// A reader of the names in an open directory.
pub(in crate::disk) trait ReadNames: Send + Sized {
    fn new(dir: OwnedFd) -> rustix::io::Result<Self>;

    fn dir(&self) -> rustix::io::Result<BorrowedFd<'_>>;

    /// Reads the next names. At the end it reads none.
    fn read_names(&mut self, names: &mut NameBuffer) -> rustix::io::Result<()>;
}

/// Names, stored one after another in one allocation.
pub(in crate::disk) struct NameBuffer {
    text: Vec<u8>,
    entries: Vec<(Name, FileType)>,
    /// How many of the entries have been taken.
    taken: usize,
}

/// A name in a [`NameBuffer`].
#[derive(Clone, Debug, Default)]
struct Name {
    text: Range<usize>,
    inode: u64,
}

impl NameBuffer {
    /// Creates a buffer with room for the names of about twenty blocks, so that it rarely grows.
    fn new() -> Self {
        NameBuffer {
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

    pub(in crate::disk) fn push(&mut self, name: &CStr, file_type: FileType, inode: u64) {
        let name = name.to_bytes();
        if name != b"." && name != b".." {
            let begin = self.text.len();
            self.text.extend_from_slice(name);
            let text = begin..self.text.len();
            self.entries.push((Name { text, inode }, file_type));
        }
    }

    fn take(&mut self) -> Option<(Name, FileType)> {
        let next = self.entries.get(self.taken)?;
        self.taken += 1;
        Some(next.clone())
    }
}

/// A cursor over the entries of an open directory.
struct OpenDir<N> {
    reader: N,
    names: NameBuffer,
    current: Name,
    at_end: bool,
}

impl<N: ReadNames> OpenDir<N> {
    fn next(&mut self) -> io::Result<Option<Kind>> {
        loop {
            let Some((name, file_type)) = self.names.take() else {
                if self.at_end {
                    return Ok(None);
                }
                self.names.clear();
                self.reader.read_names(&mut self.names)?;
                self.at_end = self.names.entries.is_empty();
                continue;
            };
            self.current = name;
            if file_type != FileType::Unknown {
                return Ok(Some(kind(file_type)));
            }
            // Not every file system lists the types of its entries.
            if let Some(stat) = if_there(self.stat())? {
                return Ok(Some(stat.kind));
            }
        }
    }

    fn at(&self) -> io::Result<At<'_>> {
        Ok(At {
            dir: self.reader.dir()?,
            path: Path::new(self.name()),
        })
    }
}

impl<N: ReadNames> Entries for OpenDir<N> {
    fn advance(&mut self) -> io::Result<Option<Kind>> {
        self.next().inspect_err(|_| {
            self.names.clear();
            self.at_end = true;
        })
    }

    fn name(&self) -> &OsStr {
        OsStr::from_bytes(
            self.names
                .text
                .get(self.current.text.clone())
                .unwrap_or_default(),
        )
    }

    fn inode(&self) -> u64 {
        self.current.inode
    }

    fn stat(&self) -> io::Result<Stat> {
        self.at()?.stat()
    }

    fn read(&self) -> io::Result<Bytes> {
        contents::read(self.at()?.open_file()?, read_once)
    }
}

/// readdir(3), which every Unix has.
impl ReadNames for Dir {
    fn new(dir: OwnedFd) -> rustix::io::Result<Self> {
        Dir::new(dir)
    }

    fn dir(&self) -> rustix::io::Result<BorrowedFd<'_>> {
        self.fd()
    }

    fn read_names(&mut self, names: &mut NameBuffer) -> rustix::io::Result<()> {
        const MAX_NAMES: usize = 256;
        while names.entries.len() < MAX_NAMES
            && let Some(entry) = self.read().transpose()?
        {
            names.push(entry.file_name(), entry.file_type(), entry.ino());
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
    pub(in crate::disk) struct Getdents(OwnedFd);

    /// As much as the C library reads at once.
    const BUFFER_LEN: usize = 32 * 1024;

    impl ReadNames for Getdents {
        fn new(dir: OwnedFd) -> rustix::io::Result<Self> {
            Ok(Getdents(dir))
        }

        fn dir(&self) -> rustix::io::Result<BorrowedFd<'_>> {
            Ok(self.0.as_fd())
        }

        fn read_names(&mut self, names: &mut NameBuffer) -> rustix::io::Result<()> {
            let mut buffer = [MaybeUninit::uninit(); BUFFER_LEN];
            let mut entries = RawDir::new(&self.0, &mut buffer);
            while let Some(entry) = entries.next() {
                match entry {
                    Ok(entry) => names.push(entry.file_name(), entry.file_type(), entry.ino()),
                    Err(Errno::INTR) => {}
                    // Another process has removed the directory.
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
