//! The checkpoint of the figure, `diskUsage.cache`, as go-ds-flatfs writes it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::datastore::{Accuracy, DiskUsage};
use crate::disk::{Disk, Publish, if_there, publish};
use crate::error::{Error, Result};
use crate::layout::{DISK_USAGE, Layout};
use crate::observe::target;

#[derive(Serialize, Deserialize)]
struct Cache {
    #[serde(rename = "diskUsage")]
    disk_usage: i64,
    #[serde(default)]
    accuracy: String,
}

/// The cached figure; `None` if there is none, or none that makes sense.
///
/// # Errors
///
/// If it is there and can't be read.
pub(crate) fn read(disk: &dyn Disk, layout: &Layout) -> Result<Option<DiskUsage>> {
    let path = layout.at_root(DISK_USAGE);
    let read = if_there(disk.read(&path));
    let Some(contents) = read.map_err(|error| Error::io("read", &path, error))? else {
        return Ok(None);
    };
    let figure = parse(&contents);
    if figure.is_none() {
        tracing::warn!(target: target::STORE, path = %path.display(), "ignoring a disk usage that makes no sense");
    }
    Ok(figure)
}

fn parse(contents: &[u8]) -> Option<DiskUsage> {
    let cache: Cache = serde_json::from_slice(contents).ok()?;
    let bytes = u64::try_from(cache.disk_usage)
        .ok()
        .filter(|&bytes| bytes > 0)?;
    Some(DiskUsage::new(
        bytes,
        cache.accuracy.parse().unwrap_or(Accuracy::Unknown),
    ))
}

/// Writes the figure by way of the temp file `temp`.
pub(crate) fn write(
    disk: &dyn Disk,
    layout: &Layout,
    temp: &Path,
    figure: DiskUsage,
    how: Publish,
) -> Result<()> {
    const MODE: u32 = 0o644;
    let cache = Cache {
        disk_usage: i64::try_from(figure.bytes).unwrap_or(i64::MAX),
        accuracy: figure.accuracy.to_string(),
    };
    let path = layout.at_root(DISK_USAGE);
    let mut contents =
        serde_json::to_vec(&cache).map_err(|error| Error::io("encode", &path, error.into()))?;
    contents.push(b'\n');
    publish(disk, temp, &path, &contents, MODE, how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_read_as_go_ds_flatfs_writes_it() {
        let figure = parse(b"{\"diskUsage\":1086954,\"accuracy\":\"initial-exact\"}\n");
        assert_eq!(figure, Some(DiskUsage::new(1_086_954, Accuracy::Exact)));
        let vague = parse(b"{\"diskUsage\":1,\"accuracy\":\"\"}").unwrap();
        assert_eq!(vague.accuracy, Accuracy::Unknown);
        let bare = parse(b"{\"diskUsage\":1}").unwrap();
        assert_eq!(bare.accuracy, Accuracy::Unknown);
    }

    #[test]
    fn a_figure_that_makes_no_sense_is_none() {
        for garbage in [
            "",
            "null",
            "{}",
            "{\"diskUsage\":0}",
            "{\"diskUsage\":-5}",
            "\0\0\0\0",
        ] {
            assert_eq!(parse(garbage.as_bytes()), None, "{garbage:?}");
        }
    }
}
