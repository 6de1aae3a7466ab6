//! [`ShardParser`]: the argument SHARD, which is any shard function. Shells complete the usual ones.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};
use ds_flatfs::Shard;

/// The functions that a shell suggests: kubo's default, its successors for large stores, and those of older
/// stores.
const USUAL: [&str; 6] = [
    "next-to-last/2",
    "next-to-last/3",
    "next-to-last/4",
    "prefix/2",
    "prefix/5",
    "suffix/2",
];

/// Parses a shard function.
#[derive(Clone, Debug)]
pub(crate) struct ShardParser;

impl TypedValueParser for ShardParser {
    type Value = Shard;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Shard, clap::Error> {
        let parse = |text: &str| text.parse::<Shard>();
        parse.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(USUAL.iter().map(PossibleValue::new)))
    }
}
