//! What a tool of the library had to keep where it was, as it is told.

use anyhow::anyhow;
use ds_flatfs::maintenance::Skipped;
use indicatif::HumanCount;
use serde::Serialize;

use crate::report::{self, Answer};

/// Something that a tool kept, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct SkippedJson {
    path: String,
    why: &'static str,
}

impl SkippedJson {
    pub(crate) fn all(kept: &[Skipped]) -> Vec<Self> {
        let one = |kept: &Skipped| SkippedJson {
            path: report::absolute(&kept.path),
            why: kept.why.as_str(),
        };
        kept.iter().map(one).collect()
    }
}

/// Tells what was kept and why, on standard error.
pub(crate) fn tell(kept: &[Skipped], count: u64) {
    for Skipped { path, why, .. } in kept {
        report::error(&anyhow!("kept {}: {why}", path.display()));
    }
    let untold = count.saturating_sub(kept.len() as u64);
    if untold > 0 {
        report::error(&anyhow!("kept {} more", HumanCount(untold)));
    }
}

/// Whether there was nothing to keep.
pub(crate) fn answer(count: u64) -> Answer {
    if count == 0 { Answer::Yes } else { Answer::No }
}
