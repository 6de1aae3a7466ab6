//! Reading and writing `diskUsage.cache`, the checkpoint of the disk usage.

use std::io;
use std::path::Path;

use crate::datastore::DiskUsage;
use crate::disk::{Disk, Publish, if_there, publish};
use crate::error::{Error, Result};
use crate::format::{DISK_USAGE, Layout, usage_cache};
use crate::observe::target;

/// Returns the cached disk usage, or `None` if the file does not exist or is not valid.
///
/// # Errors
///
/// Fails if the file exists and can't be read.
pub(crate) fn read(disk: &dyn Disk, layout: &Layout) -> Result<Option<DiskUsage>> {
    let path = layout.at_root(DISK_USAGE);
    let figure = match if_there(disk.read_at_most(&path, usage_cache::MAX_LEN)) {
        Ok(None) => return Ok(None),
        Ok(Some(contents)) => usage_cache::decode(&contents),
        // Not an error: without a valid figure, the store counts the disk usage.
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => None,
        Err(error) => return Err(Error::io("read", &path, error)),
    };
    if figure.is_none() {
        tracing::warn!(target: target::STORE, path = %path.display(), "ignoring an invalid cached disk usage");
    }
    Ok(figure)
}

/// Publishes the cached disk usage through the temp file `temp`.
pub(crate) fn write(
    disk: &dyn Disk,
    layout: &Layout,
    temp: &Path,
    figure: DiskUsage,
    how: Publish,
) -> Result<()> {
    const MODE: u32 = 0o644;
    let path = layout.at_root(DISK_USAGE);
    let contents =
        usage_cache::encode(figure).map_err(|error| Error::io("encode", &path, error.into()))?;
    publish(disk, temp, &path, &contents, MODE, how)
}
