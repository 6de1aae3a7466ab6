//! [`ReshardMarker`]: the text of `SHARDING` while a store is re-sharded. No I/O.
//!
//! The marker replaces the old shard function in one step, and the new one replaces the marker in one
//! step. So at no moment can a program open the store and miss blocks. go-ds-flatfs and kubo refuse the
//! marker as an "invalid shard identifier", and print the line, so it tells their users what to do:
//!
//! ```text
//! /repo/flatfs/shard/resharding/1 from next-to-last/2 to prefix/3; run "flatfs reshard" again to complete it
//! ```

use super::shard::Shard;
use crate::error::{Error, Result};

const MAGIC: &str = "/repo/flatfs/shard/resharding/";
const VERSION: u32 = 1;
const ADVICE: &str = r#"run "flatfs reshard" again to complete it"#;

/// A change of a store's shard function that is in progress, or was interrupted. Each block is in the
/// directory that one of the two functions gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReshardMarker {
    pub(crate) from: Shard,
    pub(crate) to: Shard,
}

impl ReshardMarker {
    pub(crate) fn encode(&self) -> String {
        let (from, to) = (self.from.short(), self.to.short());
        format!("{MAGIC}{VERSION} from {from} to {to}; {ADVICE}\n")
    }

    /// Parses a marker. Returns `None` if the text is not a marker, and should be a shard function.
    ///
    /// # Errors
    ///
    /// The version that the marker names if it is unknown, otherwise [`Error::InvalidShard`].
    pub(crate) fn decode(text: &str) -> Result<Option<Self>, UnreadableMarker> {
        let Some(text) = text.trim().strip_prefix(MAGIC) else {
            return Ok(None);
        };
        let (version, rest) = text.split_once(' ').unwrap_or((text, ""));
        match version.parse() {
            Ok(VERSION) => ReshardMarker::decode_rest(rest).map(Some),
            Ok(version) => Err(UnreadableMarker::Version(version)),
            Err(_) => Err(damaged(text)),
        }
    }

    fn decode_rest(rest: &str) -> Result<Self, UnreadableMarker> {
        let functions = rest.strip_prefix("from ");
        let functions = functions.and_then(|rest| rest.split_once("; "));
        let functions = functions.and_then(|(functions, _)| functions.split_once(" to "));
        let (from, to) = functions.ok_or_else(|| damaged(rest))?;
        Ok(ReshardMarker {
            from: from.parse().map_err(UnreadableMarker::Damaged)?,
            to: to.parse().map_err(UnreadableMarker::Damaged)?,
        })
    }
}

/// The reason why a marker cannot be read.
#[derive(Debug)]
pub(crate) enum UnreadableMarker {
    /// It has a version that this code does not know.
    Version(u32),
    /// It does not name two shard functions.
    Damaged(Error),
}

fn damaged(text: &str) -> UnreadableMarker {
    UnreadableMarker::Damaged(Error::InvalidShard {
        input: text.chars().take(80).collect(),
        reason: "it does not name the old and the new shard function of the re-sharding".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resharding() -> ReshardMarker {
        ReshardMarker {
            from: Shard::default(),
            to: Shard::prefix(3).unwrap(),
        }
    }

    #[test]
    fn a_marker_is_read_back_as_it_was_written() {
        let text = resharding().encode();
        assert_eq!(ReshardMarker::decode(&text).unwrap(), Some(resharding()));
        assert_eq!(text.lines().count(), 1);
    }

    /// Its parser expects three parts after the prefix, the first of which is v1.
    #[test]
    fn go_ds_flatfs_does_not_take_a_marker_for_a_shard_function() {
        let text = resharding().encode();
        let parts = text.strip_prefix("/repo/flatfs/shard/").unwrap().split('/');
        assert_ne!(parts.count(), 3);
        assert!(Shard::from_identifier(&text).is_err());
    }

    #[test]
    fn a_shard_function_is_not_a_marker() {
        let text = Shard::default().to_string();
        assert_eq!(ReshardMarker::decode(&text).unwrap(), None);
    }

    #[test]
    fn a_marker_of_another_version_is_reported_by_its_version_whatever_follows() {
        let future = "/repo/flatfs/shard/resharding/2 something else";
        let unreadable = ReshardMarker::decode(future).unwrap_err();
        assert!(matches!(unreadable, UnreadableMarker::Version(2)));
    }

    #[test]
    fn a_damaged_marker_is_refused() {
        let text = resharding().encode();
        for end in MAGIC.len()..text.find(';').unwrap() {
            let cut = ReshardMarker::decode(&text[..end]);
            assert!(matches!(cut, Err(UnreadableMarker::Damaged(_))), "{cut:?}");
        }
    }
}
