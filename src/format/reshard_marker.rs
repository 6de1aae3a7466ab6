//! [`ReshardMarker`]: the contents of `SHARDING` while a store is re-sharded, as text. No I/O.
//!
//! The marker replaces the old shard function in one step, and the new one replaces the marker in one
//! step. So at no moment can a program open the store and miss blocks. go-ds-flatfs and kubo refuse the
//! marker as an "invalid shard identifier", and print the line, so it tells their users what to do:
//!
//! ```text
//! /repo/flatfs/shard/resharding/1 from next-to-last/2 to prefix/3; run "flatfs reshard" again to complete it
//! ```
//!
//! If an interrupted re-sharding is resumed with another function, some blocks are already where an earlier
//! function places them. Version 2 of the line names these functions:
//!
//! ```text
//! /repo/flatfs/shard/resharding/2 from next-to-last/2 via prefix/3 to suffix/2; run "flatfs reshard" …
//! ```

use super::shard::Shard;
use crate::error::{Error, Result};

const MAGIC: &str = "/repo/flatfs/shard/resharding/";
/// The version of a marker without functions in between.
const DIRECT: u32 = 1;
/// The version of a marker with functions in between.
const VIA_OTHERS: u32 = 2;
const ADVICE: &str = r#"run "flatfs reshard" again to complete it"#;

/// A change of a store's shard function that is in progress, or was interrupted. Each block is where one of
/// its functions places it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReshardMarker {
    /// The function that the store had.
    pub(crate) from: Shard,
    /// The functions to which an interrupted re-sharding has moved blocks, in this order.
    pub(crate) via: Vec<Shard>,
    pub(crate) to: Shard,
}

impl ReshardMarker {
    /// Returns the marker of a new re-sharding.
    pub(crate) fn new(from: Shard, to: Shard) -> Self {
        let via = Vec::new();
        ReshardMarker { from, via, to }
    }

    /// Returns the marker of this re-sharding when it is resumed with the function `to`.
    pub(crate) fn resumed(mut self, to: Shard) -> Self {
        // The interrupted re-sharding may have moved blocks to where its function places them.
        if self.to != to && !self.sources().any(|source| source == self.to) {
            self.via.push(self.to);
        }
        ReshardMarker { to, ..self }
    }

    /// Returns the functions by which blocks may still be placed.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Shard> {
        std::iter::once(self.from).chain(self.via.iter().copied())
    }

    pub(crate) fn encode(&self) -> String {
        let (from, to) = (self.from.short(), self.to.short());
        if self.via.is_empty() {
            return format!("{MAGIC}{DIRECT} from {from} to {to}; {ADVICE}\n");
        }
        let via: Vec<String> = self.via.iter().map(|shard| shard.short()).collect();
        let via = via.join(",");
        format!("{MAGIC}{VIA_OTHERS} from {from} via {via} to {to}; {ADVICE}\n")
    }

    /// Parses a marker. Returns `None` if the text is not a marker, and should be a shard function.
    ///
    /// # Errors
    ///
    /// Returns the version of the marker if it is unknown, otherwise [`Error::InvalidShard`].
    pub(crate) fn decode(text: &str) -> Result<Option<Self>, UnreadableMarker> {
        let Some(text) = text.trim().strip_prefix(MAGIC) else {
            return Ok(None);
        };
        let (version, rest) = text.split_once(' ').unwrap_or((text, ""));
        match version.parse() {
            Ok(DIRECT | VIA_OTHERS) => ReshardMarker::decode_rest(rest).map(Some),
            Ok(version) => Err(UnreadableMarker::Version(version)),
            Err(_) => Err(damaged(text)),
        }
    }

    fn decode_rest(rest: &str) -> Result<Self, UnreadableMarker> {
        let functions = rest.strip_prefix("from ");
        let functions = functions.and_then(|rest| rest.split_once("; "));
        let functions = functions.and_then(|(functions, _)| functions.split_once(" to "));
        let (sources, to) = functions.ok_or_else(|| damaged(rest))?;
        let (from, via) = match sources.split_once(" via ") {
            Some((from, via)) => (from, via.split(',').map(parse).collect::<Result<_, _>>()?),
            None => (sources, Vec::new()),
        };
        Ok(ReshardMarker {
            from: parse(from)?,
            via,
            to: parse(to)?,
        })
    }
}

fn parse(shard: &str) -> Result<Shard, UnreadableMarker> {
    shard.parse().map_err(UnreadableMarker::Damaged)
}

/// The reason why a marker can't be read.
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
        ReshardMarker::new(Shard::default(), Shard::prefix(3).unwrap())
    }

    #[test]
    fn a_marker_is_read_back_as_it_was_written() {
        let text = resharding().encode();
        assert_eq!(ReshardMarker::decode(&text).unwrap(), Some(resharding()));
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_marker_remembers_the_functions_to_which_it_has_moved_blocks() {
        let [a, b, c] = [1, 2, 3].map(|length| Shard::prefix(length).unwrap());
        let marker = ReshardMarker::new(a, b);
        assert_eq!(marker.clone().resumed(b), marker);
        let marker = marker.resumed(c);
        assert_eq!(marker.sources().collect::<Vec<_>>(), [a, b]);
        assert_eq!(
            ReshardMarker::decode(&marker.encode()).unwrap(),
            Some(marker.clone())
        );
        let undone = marker.resumed(a);
        assert_eq!(undone.sources().collect::<Vec<_>>(), [a, b, c]);
        let marker = undone.resumed(b);
        assert_eq!(marker.sources().collect::<Vec<_>>(), [a, b, c]);
        assert_eq!(marker.to, b);
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
        let future = "/repo/flatfs/shard/resharding/3 something else";
        let unreadable = ReshardMarker::decode(future).unwrap_err();
        assert!(matches!(unreadable, UnreadableMarker::Version(3)));
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
