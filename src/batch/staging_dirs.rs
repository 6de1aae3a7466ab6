//! [`StagingDirs`]: which of a batch's directories nobody writes to now.

use crate::format::StagingDir;

/// More writes side by side share the first one.
const MOST: u8 = 16;

/// The lanes of a batch. There are as many as ever were needed at a time, so a small batch has one.
#[derive(Debug, Default)]
pub(super) struct StagingDirs {
    free: Vec<StagingDir>,
    made: u8,
}

impl StagingDirs {
    /// A lane for one write, and whether its directory has to be made first.
    pub(super) fn take(&mut self) -> (StagingDir, bool) {
        if let Some(lane) = self.free.pop() {
            return (lane, false);
        }
        if self.made == MOST {
            return (StagingDir::FIRST, false);
        }
        let lane = StagingDir::new(self.made);
        self.made += 1;
        // The first one is there from the beginning.
        (lane, lane != StagingDir::FIRST)
    }

    /// Lets the next write have a lane, whose directory is there.
    pub(super) fn give_back(&mut self, lane: StagingDir) {
        if !self.free.contains(&lane) {
            self.free.push(lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_one_after_another_have_the_batch_s_own_directory() {
        let mut lanes = StagingDirs::default();
        for _ in 0..3 {
            let (lane, is_new) = lanes.take();
            assert_eq!((lane, is_new), (StagingDir::FIRST, false));
            lanes.give_back(lane);
        }
    }

    #[test]
    fn writes_side_by_side_have_one_each_which_is_made_once() {
        let mut lanes = StagingDirs::default();
        let taken = [lanes.take(), lanes.take()];
        assert_eq!(
            taken,
            [(StagingDir::FIRST, false), (StagingDir::new(1), true)]
        );
        for (lane, _) in taken {
            lanes.give_back(lane);
        }
        assert_eq!(lanes.take(), (StagingDir::new(1), false));
    }

    #[test]
    fn of_very_many_writes_side_by_side_some_share_the_first() {
        let mut lanes = StagingDirs::default();
        let taken: Vec<_> = (0..40).map(|_| lanes.take().0).collect();
        assert!(
            taken[usize::from(MOST)..]
                .iter()
                .all(|lane| *lane == StagingDir::FIRST)
        );
        taken.into_iter().for_each(|lane| lanes.give_back(lane));
        let again: Vec<_> = (0..MOST).map(|_| lanes.take()).collect();
        assert!(again.iter().all(|(_, is_new)| !is_new));
    }
}
