//! What the two passes of a repair do with what they meet.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::check::Examiner;
use super::finding::{Finding, Problem};
use super::pass::Task;
use super::repair_moves::{Placed, RepairMover};
use super::walk::{BlockFile, WalkItem};
use crate::disk::Disk;
use crate::error::{Error, Result};

/// The first pass: what is damaged goes into quarantine.
pub(super) struct Damaged {
    pub(super) examiner: Examiner,
    pub(super) mender: Arc<RepairMover>,
}

impl Task for Damaged {
    fn begin(&self) -> Result<Box<dyn Send>> {
        begin(&self.mender)
    }

    fn each(&self, met: WalkItem, buffer: &mut [u8]) -> Result<Option<Finding>> {
        let file = match met {
            WalkItem::Finding(finding) => return Ok(Some(finding)),
            WalkItem::Block(file) => file,
        };
        match self.examiner.examine(&file, buffer) {
            Some(finding) if finding.problem.is_damage() => {
                quarantined(&self.mender, &file, finding)
            }
            // The second pass tells.
            Some(_) if file.belongs.is_some() => Ok(None),
            found => Ok(found),
        }
    }

    fn finish(&self, findings: &[Finding]) -> Result<()> {
        self.mender.settle(findings)
    }
}

/// The second pass: blocks in the wrong place.
pub(super) struct Misplaced {
    pub(super) examiner: Examiner,
    pub(super) mender: Arc<RepairMover>,
}

impl Task for Misplaced {
    fn begin(&self) -> Result<Box<dyn Send>> {
        begin(&self.mender)
    }

    fn each(&self, met: WalkItem, buffer: &mut [u8]) -> Result<Option<Finding>> {
        let WalkItem::Block(file) = met else {
            return Ok(None);
        };
        let Some(belongs) = &file.belongs else {
            return Ok(None);
        };
        match self.examiner.examine(&file, buffer) {
            Some(finding) if finding.problem.is_damage() => {
                quarantined(&self.mender, &file, finding)
            }
            Some(finding) if matches!(finding.problem, Problem::Unreadable(_)) => Ok(Some(finding)),
            Some(finding) => self.put_right(&file, belongs, finding),
            None => Ok(None),
        }
    }

    fn finish(&self, findings: &[Finding]) -> Result<()> {
        self.mender.settle(findings)
    }
}

impl Misplaced {
    fn put_right(
        &self,
        file: &BlockFile,
        belongs: &Path,
        finding: Finding,
    ) -> Result<Option<Finding>> {
        let told = |problem| Finding::new(&file.path, Some(file.key()), problem);
        let original = belongs.to_owned();
        match self.mender.put_in_place(file, belongs) {
            Ok(Placed::Moved(remedy)) => {
                let belongs = original;
                let moved = told(Problem::Misplaced { belongs });
                Ok(Some(moved.remedied(remedy)))
            }
            Ok(Placed::Gone) => Ok(None),
            Ok(Placed::Taken) => match is_same(&*self.examiner.disk, &file.path, belongs) {
                Ok(true) => {
                    let finding = told(Problem::Duplicate { original });
                    quarantined(&self.mender, file, finding)
                }
                Ok(false) => Ok(Some(told(Problem::Conflict { original }))),
                // What stands there is no block, or can't be read, which has been told.
                Err(_) => Ok(Some(told(Problem::Duplicate { original }))),
            },
            // So is what stands in the place of its directory.
            Err(Error::Unexpected { .. }) => Ok(Some(finding)),
            Err(error) => Err(error),
        }
    }
}

/// The close of the store waits for a job that holds this.
fn begin(mender: &RepairMover) -> Result<Box<dyn Send>> {
    Ok(Box::new(mender.flatfs.store.lifecycle.begin_write()?))
}

fn quarantined(
    mender: &RepairMover,
    file: &BlockFile,
    finding: Finding,
) -> Result<Option<Finding>> {
    let remedy = mender.quarantine(file)?;
    Ok(remedy.map(|remedy| finding.remedied(remedy)))
}

/// Whether two files have the same contents, read side by side in parts.
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
