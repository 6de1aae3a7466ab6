//! How commands report what a tool of the library skipped.

use anyhow::anyhow;
use ds_flatfs::maintenance::Skipped;
use indicatif::HumanCount;
use serde::Serialize;

use crate::report;

/// Something that a tool skipped, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct SkippedJson {
    path: String,
    reason: &'static str,
}

impl SkippedJson {
    pub(crate) fn all(skipped: &[Skipped]) -> Vec<Self> {
        let to_json = |skipped: &Skipped| SkippedJson {
            path: report::absolute(&skipped.path),
            reason: skipped.reason.as_str(),
        };
        skipped.iter().map(to_json).collect()
    }
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
