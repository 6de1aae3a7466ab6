//! The shard function of a store that may have lost it.

use std::path::Path;
use std::sync::Arc;

use super::finding::{Finding, Problem};
use crate::disk::{Disk, Kind};
use crate::error::Result;
use crate::format::Shard;
use crate::format::{DISK_USAGE, README, SHARDING, TEMP};
use crate::store::{DirState, Opener, is_of_objects};

/// Reads the shard function, or returns a finding that says why it is unknown.
///
/// # Errors
///
/// Fails if the directory doesn't look like a store at all.
pub(super) fn read(disk: &Arc<dyn Disk>, root: &Path) -> Result<(Option<Shard>, Option<Finding>)> {
    let opener = Opener::on(Arc::clone(disk), root.to_owned());
    let wrong = match opener.probe() {
        Ok(DirState::Store(shard)) => return Ok((Some(shard), None)),
        Ok(resharding @ DirState::Resharding(_)) => opener.refusal(&resharding),
        Ok(DirState::Foreign) if looks_like_a_store(&**disk, root) => {
            opener.not_a_store("there is no SHARDING that would name its shard function")
        }
        Ok(DirState::Missing) => return Err(opener.not_a_store("there is no such directory")),
        Ok(DirState::Empty) => return Err(opener.not_a_store("it is an empty directory")),
        Ok(DirState::Foreign) => {
            return Err(opener.not_a_store("there is no SHARDING, and nothing else of a store"));
        }
        Err(error) if is_of_objects(&error) => return Err(error),
        Err(error) if is_dir(&**disk, root) && opener.read_sharding().is_err() => error,
        Err(error) => return Err(error),
    };
    let problem = Problem::Sharding(Arc::new(wrong));
    let finding = Finding::new(root.join(SHARDING), None, problem);
    Ok((None, Some(finding)))
}

fn is_dir(disk: &dyn Disk, root: &Path) -> bool {
    disk.stat(&root.join("."))
        .is_ok_and(|stat| stat.kind == Kind::Dir)
}

/// Returns whether there is an entry that only a store has.
fn looks_like_a_store(disk: &dyn Disk, root: &Path) -> bool {
    let marks = [TEMP, DISK_USAGE, README].into_iter();
    let mut found = marks.map(|mark| disk.stat(&root.join(mark)));
    found.any(|mark: std::io::Result<_>| mark.is_ok())
}
