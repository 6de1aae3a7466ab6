//! The two passes of a repair: [`QuarantineDamaged`] and [`MoveMisplaced`].

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::block_checker::BlockChecker;
use super::check_walk::{BlockFile, CheckItem};
use super::finding::{Finding, Problem};
use super::left_over;
use super::pass::PassTask;
use super::repair_mover::{RepairMoveOutcome, RepairMover};
use crate::disk::Disk;
use crate::error::{Error, Result};

/// The first pass: it moves damaged blocks and leftover files into quarantine.
pub(super) struct QuarantineDamaged {
    pub(super) checker: BlockChecker,
    pub(super) mover: Arc<RepairMover>,
}

impl PassTask for QuarantineDamaged {
    fn begin(&self) -> Result<Box<dyn Send>> {
        begin(&self.mover)
    }

    fn each(&self, item: CheckItem, buffer: &mut [u8]) -> Result<Option<Finding>> {
        let file = match item {
            CheckItem::Finding(finding) => return Ok(Some(finding)),
            CheckItem::LeftOver(path) => {
                let remedy = self.mover.quarantine_left_over(&path)?;
                return Ok(remedy.map(|remedy| left_over(path).remedied(remedy)));
            }
            CheckItem::Block(file) => file,
        };
        match self.checker.check(&file, buffer) {
            Some(finding) if finding.problem.is_damage() => {
                quarantined(&self.mover, &file, finding)
            }
            // The second pass reports it.
            Some(_) if file.belongs.is_some() => Ok(None),
            found => Ok(found),
        }
    }

    fn finish(&self, findings: &[Finding]) -> Result<()> {
        self.mover.flush(findings)
    }
}

/// The second pass: it moves misplaced blocks to their shard directories.
pub(super) struct MoveMisplaced {
    pub(super) checker: BlockChecker,
    pub(super) mover: Arc<RepairMover>,
}

impl PassTask for MoveMisplaced {
    fn begin(&self) -> Result<Box<dyn Send>> {
        begin(&self.mover)
    }

    fn each(&self, item: CheckItem, buffer: &mut [u8]) -> Result<Option<Finding>> {
        let CheckItem::Block(file) = item else {
            return Ok(None);
        };
        let Some(belongs) = &file.belongs else {
            return Ok(None);
        };
        match self.checker.check(&file, buffer) {
            Some(finding) if finding.problem.is_damage() => {
                quarantined(&self.mover, &file, finding)
            }
            Some(finding) if matches!(finding.problem, Problem::Unreadable(_)) => Ok(Some(finding)),
            Some(finding) => self.move_to_shard(&file, belongs, finding),
            None => Ok(None),
        }
    }

    fn finish(&self, findings: &[Finding]) -> Result<()> {
        self.mover.flush(findings)
    }
}

impl MoveMisplaced {
    fn move_to_shard(
        &self,
        file: &BlockFile,
        belongs: &Path,
        finding: Finding,
    ) -> Result<Option<Finding>> {
        let of_file = |problem| Finding::new(&file.path, Some(file.key()), problem);
        let original = belongs.to_owned();
        match self.mover.move_to_shard(file, belongs) {
            Ok(RepairMoveOutcome::Moved(remedy)) => {
                let belongs = original;
                let moved = of_file(Problem::Misplaced { belongs });
                Ok(Some(moved.remedied(remedy)))
            }
            Ok(RepairMoveOutcome::Gone) => Ok(None),
            Ok(RepairMoveOutcome::Taken) => match is_same(&*self.checker.disk, &file.path, belongs)
            {
                Ok(true) => {
                    let finding = of_file(Problem::Duplicate { original });
                    quarantined(&self.mover, file, finding)
                }
                Ok(false) => Ok(Some(of_file(Problem::Conflict { original }))),
                // The file there is not a block or can't be read, which the first pass has reported.
                Err(_) => Ok(Some(of_file(Problem::Duplicate { original }))),
            },
            // Something else is at the path of the shard directory. The first pass has reported that, too.
            Err(Error::Unexpected { .. }) => Ok(Some(finding)),
            Err(error) => Err(error),
        }
    }
}

/// Returns a guard: the close of the store waits until it is dropped.
fn begin(mover: &RepairMover) -> Result<Box<dyn Send>> {
    Ok(Box::new(
        mover.flatfs.store.lifecycle.begin_write((), None)?,
    ))
}

fn quarantined(mover: &RepairMover, file: &BlockFile, finding: Finding) -> Result<Option<Finding>> {
    let remedy = mover.quarantine(file)?;
    Ok(remedy.map(|remedy| finding.remedied(remedy)))
}

/// Returns whether two files have the same contents, which are read in parts.
fn is_same(disk: &dyn Disk, one: &Path, other: &Path) -> io::Result<bool> {
    const PART: u64 = 64 << 10;
    let (mut one, mut other) = (disk.open(one)?, disk.open(other)?);
    let (mut part, mut other_part) = (Vec::new(), Vec::new());
    loop {
        part.clear();
        other_part.clear();
        Read::take(&mut one, PART).read_to_end(&mut part)?;
        Read::take(&mut other, PART).read_to_end(&mut other_part)?;
        if part != other_part {
            return Ok(false);
        }
        if part.is_empty() {
            return Ok(true);
        }
    }
}
