//! [`Shard`]: the function that maps a key to the directory of its block.

use std::borrow::Cow;
use std::fmt;
use std::iter;
use std::num::NonZeroU8;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const IDENTIFIER: &str = "/repo/flatfs/shard/";
const VERSION: &str = "v1";

/// A shard function: it picks the directory of a block by some characters of the key.
///
/// The key is taken without its `/`, and padded with `_` if it is too short:
///
/// | function | directory of `/CIQABC` |
/// | --- | --- |
/// | [`prefix/2`](Shard::prefix): the first characters | `CI` |
/// | [`suffix/2`](Shard::suffix): the last characters | `BC` |
/// | [`next-to-last/2`](Shard::next_to_last): the characters before the last one | `AB` |
///
/// The default is kubo's `next-to-last/2`. `Display` writes the identifier as it is in a store's
/// `SHARDING` file. `FromStr` and serde parse it with or without its first parts.
///
/// ```
/// use ds_flatfs::Shard;
///
/// let shard: Shard = "next-to-last/2".parse()?;
/// assert_eq!(shard, Shard::default());
/// assert_eq!(shard.to_string(), "/repo/flatfs/shard/v1/next-to-last/2");
/// assert_eq!(shard.dir("CIQABC"), "AB");
/// # Ok::<(), ds_flatfs::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    function: Function,
    length: NonZeroU8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    Prefix,
    Suffix,
    NextToLast,
}

/// Returns the default of kubo, `next-to-last/2`.
impl Default for Shard {
    fn default() -> Self {
        const TWO: NonZeroU8 = NonZeroU8::MIN.saturating_add(1);
        Shard {
            function: Function::NextToLast,
            length: TWO,
        }
    }
}

impl Shard {
    /// Takes the first `length` characters of the key.
    ///
    /// # Errors
    ///
    /// Returns [`Error::InvalidShard`] if `length` is 0 or greater than 255, the maximum length of a file
    /// name.
    pub fn prefix(length: usize) -> Result<Self> {
        Shard::new(Function::Prefix, length)
    }

    /// Takes the last `length` characters of the key.
    ///
    /// # Errors
    ///
    /// As for [`prefix`](Shard::prefix).
    pub fn suffix(length: usize) -> Result<Self> {
        Shard::new(Function::Suffix, length)
    }

    /// Takes the `length` characters before the last one of the key. They spread blocks more evenly: the
    /// last character of a base32 text does not take every value.
    ///
    /// # Errors
    ///
    /// As for [`prefix`](Shard::prefix).
    pub fn next_to_last(length: usize) -> Result<Self> {
        Shard::new(Function::NextToLast, length)
    }

    fn new(function: Function, length: usize) -> Result<Self> {
        match u8::try_from(length).ok().and_then(NonZeroU8::new) {
            Some(length) => Ok(Shard { function, length }),
            None => {
                let input = format!("{}/{length}", function.name());
                Err(bad_length(&input))
            }
        }
    }

    /// Parses an identifier as it is in a `SHARDING` file. White space around it is ignored.
    ///
    /// # Errors
    ///
    /// Returns [`Error::InvalidShard`] if the text is not an identifier, or its length is 0 or greater than
    /// 255.
    pub fn from_identifier(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let invalid = |reason: &str| Error::InvalidShard {
            input: shortened(trimmed),
            reason: reason.to_owned(),
        };
        if trimmed.is_empty() {
            return Err(invalid("it is empty"));
        }
        let Some(versioned) = trimmed.strip_prefix(IDENTIFIER) else {
            return Err(invalid("it does not start with /repo/flatfs/shard/"));
        };
        let (version, rest) = versioned.split_once('/').unwrap_or((versioned, ""));
        if version != VERSION {
            return Err(invalid("its version is not v1"));
        }
        let Some((name, length)) = rest.split_once('/') else {
            return Err(invalid(
                "it does not end with a function and a length, such as next-to-last/2",
            ));
        };
        let function = match name {
            "prefix" => Function::Prefix,
            "suffix" => Function::Suffix,
            "next-to-last" => Function::NextToLast,
            _ => {
                return Err(invalid(
                    "its function is not prefix, suffix or next-to-last",
                ));
            }
        };
        match length.parse::<usize>() {
            Ok(length) => Shard::new(function, length),
            Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => {
                Err(bad_length(trimmed))
            }
            Err(_) => Err(invalid("its length is not a number")),
        }
    }

    /// Returns the function and its length alone, such as `next-to-last/2`.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}/{}", self.function.name(), self.length)
    }

    /// Returns how many characters of a key the function takes, 1 to 255. This is the length of the names
    /// of its directories.
    ///
    /// ```
    /// # use ds_flatfs::Shard;
    /// assert_eq!(Shard::default().length(), 2);
    /// ```
    #[must_use]
    pub fn length(&self) -> usize {
        usize::from(self.length.get())
    }

    /// Returns the name of the directory for a key, which is given without its `/`.
    #[must_use]
    pub fn dir(&self, name: &str) -> String {
        self.dir_of(name).into_owned()
    }

    /// Like [`dir`](Shard::dir), but borrows from the key if it needs no padding, as is usual.
    pub(crate) fn dir_of<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let length = self.length();
        let part = match self.function {
            Function::Prefix => name.get(..length),
            Function::Suffix => last(name, length),
            Function::NextToLast => last(name, length + 1).and_then(|part| part.get(..length)),
        };
        match part {
            // The length counts characters, which are bytes only in ASCII.
            Some(part) if name.is_ascii() => Cow::Borrowed(part),
            _ => Cow::Owned(self.padded(name)),
        }
    }

    fn padded(&self, name: &str) -> String {
        let length = self.length();
        let padding = iter::repeat('_');
        match self.function {
            Function::Prefix => name.chars().chain(padding).take(length).collect(),
            Function::Suffix => reversed(name.chars().rev().chain(padding).take(length)),
            Function::NextToLast => {
                reversed(name.chars().rev().skip(1).chain(padding).take(length))
            }
        }
    }
}

fn last(name: &str, length: usize) -> Option<&str> {
    name.get(name.len().checked_sub(length)?..)
}

fn reversed(characters: impl Iterator<Item = char>) -> String {
    let mut characters: Vec<char> = characters.collect();
    characters.reverse();
    characters.into_iter().collect()
}

impl Function {
    fn name(self) -> &'static str {
        match self {
            Function::Prefix => "prefix",
            Function::Suffix => "suffix",
            Function::NextToLast => "next-to-last",
        }
    }
}

fn bad_length(input: &str) -> Error {
    Error::InvalidShard {
        input: shortened(input),
        reason: "its length must be between 1 and 255".to_owned(),
    }
}

/// Shortens a text for an error message.
fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    if text.chars().count() <= MAX_CHARS {
        return text.to_owned();
    }
    text.chars().take(MAX_CHARS).chain("…".chars()).collect()
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shard { function, length } = self;
        write!(f, "{IDENTIFIER}{VERSION}/{}/{length}", function.name())
    }
}

/// Parses the three spellings that go-ds-flatfs accepts: `next-to-last/2`, `v1/next-to-last/2` and the
/// whole identifier.
impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let identifier = if text.starts_with('/') || text.is_empty() {
            text.to_owned()
        } else if text.starts_with('v') {
            format!("{IDENTIFIER}{text}")
        } else {
            format!("{IDENTIFIER}{VERSION}/{text}")
        };
        Shard::from_identifier(&identifier).map_err(|error| match error {
            Error::InvalidShard { reason, .. } => Error::InvalidShard {
                input: shortened(text),
                reason,
            },
            error => error,
        })
    }
}

impl TryFrom<String> for Shard {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spellings_name_the_same_function() {
        let shard = Shard::next_to_last(2).unwrap();
        for text in [
            "next-to-last/2",
            "v1/next-to-last/2",
            "/repo/flatfs/shard/v1/next-to-last/2",
            " next-to-last/2\n",
        ] {
            assert_eq!(text.parse::<Shard>().unwrap(), shard, "{text:?}");
        }
        assert_eq!(shard.short(), "next-to-last/2");
    }

    #[test]
    fn a_length_that_is_not_that_of_a_directory_name_is_refused() {
        for length in [0, 256, usize::MAX] {
            assert!(Shard::prefix(length).is_err(), "{length}");
        }
        let error = "suffix/99999999999999999999".parse::<Shard>().unwrap_err();
        assert!(error.to_string().ends_with("between 1 and 255"), "{error}");
        assert!(error.to_string().contains("\"suffix/9"), "{error}");
        assert_eq!(Shard::suffix(255).unwrap().dir("A").len(), 255);
    }

    #[test]
    fn the_names_of_all_directories_have_the_length_of_the_function() {
        for text in ["prefix/3", "suffix/1", "next-to-last/255"] {
            let shard: Shard = text.parse().unwrap();
            for key in ["A", "CIQABCDEF"] {
                assert_eq!(shard.dir(key).len(), shard.length(), "{shard}, {key}");
            }
        }
    }

    #[test]
    fn text_beyond_ascii_is_cut_at_characters() {
        assert_eq!(Shard::prefix(2).unwrap().dir("ü"), "ü_");
        assert_eq!(Shard::next_to_last(1).unwrap().dir("äöü"), "ö");
    }

    #[test]
    fn a_long_text_is_shortened_in_the_error() {
        let error = Shard::from_identifier(&"x".repeat(5000)).unwrap_err();
        assert!(error.to_string().len() < 300);
    }
}
