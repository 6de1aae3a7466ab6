//! The text of `diskUsage.cache`, as go-ds-flatfs writes it. No I/O.

use serde::{Deserialize, Serialize};

use crate::datastore::{Accuracy, DiskUsage};

/// The longest text that is read as a cached disk usage. go-ds-flatfs writes about 60 bytes.
pub(crate) const MAX_LEN: u64 = 4096;

/// The largest figure that is plausible: 4 EiB.
const MAX_BYTES: i64 = 1 << 62;

#[derive(Serialize, Deserialize)]
struct UsageCache {
    #[serde(rename = "diskUsage")]
    disk_usage: i64,
    #[serde(default)]
    accuracy: String,
}

/// Parses the text of the file. Returns `None` if it is not a disk usage, or not a plausible one: then the store
/// has to be counted again.
pub(crate) fn decode(contents: &[u8]) -> Option<DiskUsage> {
    let cache: UsageCache = serde_json::from_slice(contents).ok()?;
    let is_plausible = (1..=MAX_BYTES).contains(&cache.disk_usage);
    let bytes = u64::try_from(cache.disk_usage).ok()?;
    let accuracy = cache.accuracy.parse().unwrap_or(Accuracy::Unknown);
    is_plausible.then(|| DiskUsage::new(bytes, accuracy))
}

/// Returns the text of the file for a disk usage.
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
    fn a_figure_is_read_as_go_ds_flatfs_writes_it() {
        let figure = decode(b"{\"diskUsage\":1086954,\"accuracy\":\"initial-exact\"}\n");
        assert_eq!(figure, Some(DiskUsage::new(1_086_954, Accuracy::Exact)));
        let vague = decode(b"{\"diskUsage\":1,\"accuracy\":\"\"}").unwrap();
        assert_eq!(vague.accuracy, Accuracy::Unknown);
        let bare = decode(b"{\"diskUsage\":1}").unwrap();
        assert_eq!(bare.accuracy, Accuracy::Unknown);
    }

    #[test]
    fn a_text_that_cannot_be_a_disk_usage_is_ignored() {
        for garbage in [
            "",
            "null",
            "{}",
            "{\"diskUsage\":0}",
            "{\"diskUsage\":-5}",
            "{\"diskUsage\":9223372036854775807}",
            "{\"diskUsage\":9223372036854775808}",
            "\0\0\0\0",
        ] {
            assert_eq!(decode(garbage.as_bytes()), None, "{garbage:?}");
        }
    }
}
