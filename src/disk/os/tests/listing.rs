//! Listings, by the reader of this system and by the one that every Unix has.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::sync::Arc;

use rustix::fs::{Dir, FileType};

use super::unix::fifo;
use super::*;
use crate::disk::unix::listing::{NameBuffer, PlatformNames, ReadNames, list_with};
use crate::disk::{Kind, Listing};

type List = fn(File) -> io::Result<Listing>;

const LISTS: [List; 2] = [list_with::<PlatformNames>, list_with::<Dir>];

fn listing(list: List, dir: &Path) -> Listing {
    list(At::cwd(dir).open_dir().unwrap()).unwrap()
}

fn names(listing: Listing) -> Vec<String> {
    let mut names: Vec<String> = listing
        .map(|listed| listed.unwrap().name.into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn every_entry_of_a_directory_of_any_size_is_listed_once() {
    for list in LISTS {
        for count in [0, 1, 3000] {
            let dir = dir();
            let all: BTreeSet<String> = (0..count).map(|n| format!("{n:060}")).collect();
            for name in &all {
                File::create(dir.path().join(name)).unwrap();
            }
            let found = names(listing(list, dir.path()));
            assert!(found.iter().eq(&all), "{} of {count}", found.len());
        }
    }
}

#[test]
fn an_entry_can_be_looked_up_and_read_and_no_link_is_followed() {
    for list in LISTS {
        let dir = dir();
        file(&dir, "file");
        fifo(&dir);
        symlink("file", dir.path().join("link")).unwrap();
        disk().create_dir(&dir.path().join("dir")).unwrap();
        let mut listing = listing(list, dir.path());
        let mut seen = 0;
        while let Some(entry) = listing.next_entry().unwrap() {
            let kind = match entry.name().to_str().unwrap() {
                "file" => Kind::File,
                "fifo" => Kind::Other,
                "link" => Kind::Symlink,
                _ => Kind::Dir,
            };
            assert_eq!((entry.kind, entry.stat().unwrap().kind), (kind, kind));
            match kind {
                Kind::File => assert_eq!(entry.read().unwrap(), "file"),
                _ => assert!(entry.read().is_err(), "{kind:?}"),
            }
            seen += 1;
        }
        assert_eq!(seen, 4);
    }
}

#[test]
fn a_listed_file_that_is_removed_is_not_found() {
    for list in LISTS {
        let dir = dir();
        let file = file(&dir, "file");
        let mut listing = listing(list, dir.path());
        let entry = listing.next_entry().unwrap().unwrap();
        disk().remove_file(&file).unwrap();
        assert_eq!(kind_of(entry.stat()), ErrorKind::NotFound);
        assert_eq!(kind_of(entry.read()), ErrorKind::NotFound);
    }
}

#[test]
fn a_directory_that_is_removed_while_it_is_listed_has_no_more_entries() {
    for list in LISTS {
        let dir = dir();
        let below = dir.path().join("below");
        disk().create_dir(&below).unwrap();
        let listing = listing(list, &below);
        disk().remove_dir(&below).unwrap();
        assert!(names(listing).is_empty());
    }
}

/// A file system that does not list the types of its entries.
struct WithoutTypes(Dir);

impl ReadNames for WithoutTypes {
    fn new(dir: OwnedFd) -> rustix::io::Result<Self> {
        Dir::new(dir).map(WithoutTypes)
    }

    fn dir(&self) -> rustix::io::Result<BorrowedFd<'_>> {
        self.0.fd()
    }

    fn read_names(&mut self, names: &mut NameBuffer) -> rustix::io::Result<()> {
        let mut entries = self.0.by_ref().peekable();
        if entries.peek().is_some() {
            names.push(c"removed meanwhile", FileType::Unknown, 0);
        }
        for entry in entries {
            let entry = entry?;
            names.push(entry.file_name(), FileType::Unknown, entry.ino());
        }
        Ok(())
    }
}

#[test]
fn a_type_that_is_not_listed_is_looked_up_and_a_removed_entry_is_left_out() {
    let dir = dir();
    file(&dir, "file");
    symlink("file", dir.path().join("link")).unwrap();
    let listed = listing(list_with::<WithoutTypes>, dir.path()).map(|listed| listed.unwrap().kind);
    let mut kinds: Vec<_> = listed.map(Kind::name).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["file", "symbolic link"]);
}

#[test]
fn a_listing_in_memory_reads_files_by_their_paths() {
    let dir = dir();
    file(&dir, "file");
    let listing = disk().list(dir.path()).unwrap();
    let mut listing = listing.into_memory(Arc::new(disk()), dir.path().to_owned());
    let entry = listing.next_entry().unwrap().unwrap();
    assert_eq!((entry.kind, entry.stat().unwrap().len), (Kind::File, 4));
    assert_eq!(entry.read().unwrap(), "file");
    assert!(listing.next_entry().unwrap().is_none());
}
