//! [`DirSizes`]: the sizes of directories, which grow with the files in them.

use std::collections::HashMap;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::change::signed;
use crate::error::Result;
use crate::sync::{read, write};

/// The maximum number of directories whose sizes are in memory, for stores with a directory for each block.
const MAX_DIRS: usize = 1 << 16;

/// The sizes of directories that the disk usage includes, so that their growth can be added.
///
/// Directories grow when files are added to them, on some file systems with each file. A stat of the directory at each
/// write would cost too much, so a write only marks its directory, and a refresh stats the marked ones.
#[derive(Debug, Default)]
pub(super) struct DirSizes {
    dirs: RwLock<HashMap<String, DirSize>>,
    /// Whether a directory is marked.
    pub(super) is_due: AtomicBool,
    /// Whether a directory of unknown size has changed.
    pub(super) has_gaps: AtomicBool,
}

#[derive(Debug)]
struct DirSize {
    /// The size that is in the figure.
    counted: AtomicU64,
    is_marked: AtomicBool,
}

impl DirSizes {
    /// Notes the size of a directory that is already in the figure. It is called at the first lookup of the
    /// directory in a session, before the session changes anything in it.
    pub(super) fn note(&self, dir: &str, size: u64) {
        if !read(&self.dirs).contains_key(dir) {
            self.insert(dir, size, false);
        }
    }

    /// Notes the size of a new directory, which was added to the figure. It replaces the size that another thread
    /// may have noted after it found the directory.
    pub(super) fn note_new(&self, dir: &str, size: u64) {
        self.insert(dir, size, true);
    }

    fn insert(&self, dir: &str, size: u64, replace: bool) {
        let mut dirs = write(&self.dirs);
        if dirs.contains_key(dir) && !replace || dirs.len() >= MAX_DIRS {
            return;
        }
        let size = DirSize {
            counted: AtomicU64::new(size),
            is_marked: AtomicBool::new(false),
        };
        dirs.insert(dir.to_owned(), size);
    }

    /// Marks a directory in which something has changed. It must be called after the change, so that a
    /// refresh that takes the mark away sees the change.
    pub(super) fn mark(&self, dir: &str) {
        if !self.mark_if_known(dir) {
            self.has_gaps.store(true, Ordering::SeqCst);
        }
        self.is_due.store(true, Ordering::SeqCst);
    }

    /// Marks a directory if its size is known. Returns whether it is.
    pub(super) fn mark_if_known(&self, dir: &str) -> bool {
        let dirs = read(&self.dirs);
        let size = dirs.get(dir);
        if let Some(size) = size {
            size.is_marked.store(true, Ordering::SeqCst);
        }
        size.is_some()
    }

    /// Forgets that directories of unknown size have changed: they are about to be counted.
    pub(super) fn forget_gaps(&self) {
        self.has_gaps.store(false, Ordering::SeqCst);
    }

    /// Forgets all sizes, because the figure was replaced.
    pub(super) fn clear(&self) {
        write(&self.dirs).clear();
        self.has_gaps.store(false, Ordering::SeqCst);
    }

    /// Sets the sizes to those with which the directories were counted.
    pub(super) fn set_counted(&self, counted: &HashMap<String, u64>) {
        for (dir, size) in read(&self.dirs).iter() {
            if let Some(counted) = counted.get(dir) {
                size.counted.store(*counted, Ordering::SeqCst);
                // The directory may have grown during the count.
                size.is_marked.store(true, Ordering::SeqCst);
            }
        }
        self.is_due.store(true, Ordering::SeqCst);
    }

    /// Stats the marked directories, and returns by how much they have grown.
    pub(super) fn refresh(&self, size_of: impl Fn(&str) -> Result<u64>) -> Result<i64> {
        // Cleared first: a change during the refresh makes another one due.
        self.is_due.store(false, Ordering::SeqCst);
        let mut growth = 0_i64;
        for (dir, size) in read(&self.dirs).iter() {
            // The mark is removed before the stat: a later change marks the directory again.
            if size.is_marked.swap(false, Ordering::SeqCst) {
                let now = size_of(dir)?;
                let before = size.counted.swap(now, Ordering::SeqCst);
                growth = growth.saturating_add(signed(now).saturating_sub(signed(before)));
            }
        }
        Ok(growth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_growth_of_a_marked_directory_is_found_once() {
        let sizes = DirSizes::default();
        sizes.note("AA", 10);
        sizes.note("BB", 20);
        sizes.note("AA", 50);
        assert_eq!(sizes.refresh(|_| Ok(100)).unwrap(), 0);
        sizes.mark("AA");
        assert!(sizes.is_due.load(Ordering::SeqCst));
        assert_eq!(sizes.refresh(|_| Ok(100)).unwrap(), 90);
        assert!(!sizes.is_due.load(Ordering::SeqCst));
        sizes.mark("AA");
        assert_eq!(sizes.refresh(|_| Ok(70)).unwrap(), -30);
        sizes.note_new("BB", 30);
        sizes.mark("BB");
        assert_eq!(sizes.refresh(|_| Ok(31)).unwrap(), 1);
        assert!(!sizes.has_gaps.load(Ordering::SeqCst));
        sizes.mark("CC");
        assert!(sizes.has_gaps.load(Ordering::SeqCst));
    }
}
