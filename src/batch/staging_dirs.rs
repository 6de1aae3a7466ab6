//! [`StagingDirs`]: the staging directories of a batch, and which of them are free.

use crate::format::StagingDir;

/// The maximum number of staging directories. If more writes run at a time, they share the first one.
const MAX_DIRS: u8 = 16;

/// The staging directories of a batch. There are as many as were ever in use at the same time, so a small
/// batch has one.
#[derive(Debug, Default)]
pub(super) struct StagingDirs {
    free: Vec<StagingDir>,
    created: u8,
}

impl StagingDirs {
    /// Returns a staging directory for one write, and whether it has to be created first.
    pub(super) fn acquire(&mut self) -> (StagingDir, bool) {
        if let Some(dir) = self.free.pop() {
            return (dir, false);
        }
        if self.created == MAX_DIRS {
            return (StagingDir::FIRST, false);
        }
        let dir = StagingDir::new(self.created);
        self.created += 1;
        // The first one is the batch's own directory, which exists.
        (dir, dir != StagingDir::FIRST)
    }

    /// Lets the next write use a staging directory, which exists.
    pub(super) fn release(&mut self, dir: StagingDir) {
        if !self.free.contains(&dir) {
            self.free.push(dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequential_writes_use_the_batch_s_own_directory() {
        let mut dirs = StagingDirs::default();
        for _ in 0..3 {
            let (dir, is_new) = dirs.acquire();
            assert_eq!((dir, is_new), (StagingDir::FIRST, false));
            dirs.release(dir);
        }
    }

    #[test]
    fn parallel_writes_use_one_directory_each_which_is_created_once() {
        let mut dirs = StagingDirs::default();
        let taken = [dirs.acquire(), dirs.acquire()];
        assert_eq!(
            taken,
            [(StagingDir::FIRST, false), (StagingDir::new(1), true)]
        );
        for (dir, _) in taken {
            dirs.release(dir);
        }
        assert_eq!(dirs.acquire(), (StagingDir::new(1), false));
    }

    #[test]
    fn some_of_very_many_parallel_writes_share_the_first_directory() {
        let mut dirs = StagingDirs::default();
        let taken: Vec<_> = (0..40).map(|_| dirs.acquire().0).collect();
        assert!(
            taken[usize::from(MAX_DIRS)..]
                .iter()
                .all(|dir| *dir == StagingDir::FIRST)
        );
        taken.into_iter().for_each(|dir| dirs.release(dir));
        let again: Vec<_> = (0..MAX_DIRS).map(|_| dirs.acquire()).collect();
        assert!(again.iter().all(|(_, is_new)| !is_new));
    }
}
