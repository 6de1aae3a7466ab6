//! How commands report what a tool of the library skipped.

use anyhow::anyhow;
use ds_flatfs::maintenance::Skipped;
use indicatif::HumanCount;
use serde::Serialize;

use crate::report;

/// The fields about what a tool skipped in the JSON object of a command.
#[derive(Debug, Serialize)]
pub(crate) struct SkippedJson {
    skipped: Vec<EntryJson>,
    skipped_count: u64,
    left_over: Vec<EntryJson>,
    left_over_count: u64,
}

#[derive(Debug, Serialize)]
struct EntryJson {
    path: String,
    reason: &'static str,
}

impl SkippedJson {
    /// Each argument is a list and the number of all entries, which may be more than are listed.
    pub(crate) fn new(skipped: (&[Skipped], u64), left_over: (&[Skipped], u64)) -> Self {
        SkippedJson {
            skipped: to_json(skipped.0),
            skipped_count: skipped.1,
            left_over: to_json(left_over.0),
            left_over_count: left_over.1,
        }
    }
}

fn to_json(entries: &[Skipped]) -> Vec<EntryJson> {
    let to_json = |entry: &Skipped| EntryJson {
        path: report::absolute(&entry.path),
        reason: entry.reason.as_str(),
    };
    entries.iter().map(to_json).collect()
}

/// Prints what was skipped and why to standard error. `count` is how many there are in all, which may be
/// more than are listed.
pub(crate) fn report(skipped: &[Skipped], count: u64) {
    for Skipped { path, reason, .. } in skipped {
        report::error(&anyhow!("skipped {}: {reason}", path.display()));
    }
    let unlisted = count.saturating_sub(skipped.len() as u64);
    if unlisted > 0 {
        report::error(&anyhow!("skipped {} more", HumanCount(unlisted)));
    }
}
