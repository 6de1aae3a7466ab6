//! The text of `diskUsage.cache`, as go-ds-flatfs writes it. No I/O.

use serde::{Deserialize, Serialize};

use crate::datastore::{Accuracy, DiskUsage};

#[derive(Serialize, Deserialize)]
struct UsageCache {
    #[serde(rename = "diskUsage")]
    disk_usage: i64,
    #[serde(default)]
    accuracy: String,
}

/// The disk usage that the text of the file says, or `None` if it makes no sense.
pub(crate) fn decode(contents: &[u8]) -> Option<DiskUsage> {
    let cache: UsageCache = serde_json::from_slice(contents).ok()?;
    let bytes = u64::try_from(cache.disk_usage)
        .ok()
        .filter(|&bytes| bytes > 0)?;
    Some(DiskUsage::new(
        bytes,
        cache.accuracy.parse().unwrap_or(Accuracy::Unknown),
    ))
}

/// The text of the file for this disk usage.
pub(crate) fn encode(figure: DiskUsage) -> serde_json::Result<Vec<u8>> {
    let cache = UsageCache {
        disk_usage: i64::try_from(figure.bytes).unwrap_or(i64::MAX),
        accuracy: figure.accuracy.to_string(),
    };
    let mut contents = serde_json::to_vec(&cache)?;
    contents.push(b'\n');
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_read_as_go_ds_flatfs_writes_it() {
        let figure = decode(b"{\"diskUsage\":1086954,\"accuracy\":\"initial-exact\"}\n");
        assert_eq!(figure, Some(DiskUsage::new(1_086_954, Accuracy::Exact)));
        let vague = decode(b"{\"diskUsage\":1,\"accuracy\":\"\"}").unwrap();
        assert_eq!(vague.accuracy, Accuracy::Unknown);
        let bare = decode(b"{\"diskUsage\":1}").unwrap();
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
            assert_eq!(decode(garbage.as_bytes()), None, "{garbage:?}");
        }
    }
}
