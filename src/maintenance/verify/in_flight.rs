//! The contents of `.temp`: the temp files and batches of writers that are running or have crashed.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Problem};
use crate::disk::{Disk, Kind, if_there};
use crate::error::Error;
use crate::format::{COMMIT, TEMP};
use crate::format::{CommitRecord, UnreadableRecord};

/// Returns a finding for each entry of `.temp`.
pub(super) fn find(disk: &dyn Disk, root: &Path) -> Vec<Finding> {
    let temp = root.join(TEMP);
    let unreadable = |error| Finding::unreadable(&temp, None, Error::io("list", &temp, error));
    let entries = match disk.list(&temp) {
        Ok(entries) => entries,
        // If there is something other than a directory, the walk over the root finds it.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Vec::new();
        }
        Err(error) => return vec![unreadable(error)],
    };
    let mut found = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => found.push(entry_in_flight(disk, &temp, &entry.name, entry.kind)),
            Err(error) => {
                found.push(unreadable(error));
                break;
            }
        }
    }
    found
}

/// Returns the findings whose files still exist.
pub(super) fn still_there(disk: &dyn Disk, before: Vec<Finding>) -> Vec<Finding> {
    let mut findings = before;
    findings.retain(|finding| is_there(disk, finding));
    findings
}

pub(super) fn is_there(disk: &dyn Disk, finding: &Finding) -> bool {
    !matches!(if_there(disk.stat(&finding.path)), Ok(None))
}

fn entry_in_flight(disk: &dyn Disk, temp: &Path, name: &OsStr, kind: Kind) -> Finding {
    let path = temp.join(name);
    let record = path.join(COMMIT);
    if kind == Kind::Dir {
        let opened = if_there(disk.open(&record));
        let read = opened.and_then(|file| file.map(CommitRecord::read).transpose());
        match read {
            // A record of a later version is applied by that version of the crate.
            Ok(Some(Ok(_) | Err(UnreadableRecord::Version(_)))) => {
                return Finding::new(record, None, Problem::PendingCommit);
            }
            Ok(_) => {}
            Err(error) => return unreadable_record(record, error),
        }
    }
    Finding::new(path, None, Problem::Leftover)
}

fn unreadable_record(record: PathBuf, error: io::Error) -> Finding {
    let error = Error::io("read", &record, error);
    Finding::unreadable(record, None, error)
}
