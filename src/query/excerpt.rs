//! [`Excerpt`]: the beginning of a value or a text, for logs and messages.

use std::fmt::{self, Write as _};

/// How many bytes of a value or a text are shown.
const MAX_SHOWN: usize = 64;

/// The first 64 bytes of a value or a text, with the number of bytes if there are more: a query with a value of
/// megabytes must not fill the log.
pub(crate) struct Excerpt<'a>(Content<'a>);

enum Content<'a> {
    Bytes(&'a [u8]),
    Text(&'a str),
    Quoted(&'a str),
}

impl<'a> Excerpt<'a> {
    /// Shows bytes as a byte string literal.
    pub(crate) fn bytes(bytes: &'a [u8]) -> Self {
        Excerpt(Content::Bytes(bytes))
    }

    /// Shows a text as it is.
    pub(crate) fn text(text: &'a str) -> Self {
        Excerpt(Content::Text(text))
    }

    /// Shows a text as a string literal.
    pub(super) fn quoted(text: &'a str) -> Self {
        Excerpt(Content::Quoted(text))
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, shown) = match self.0 {
            Content::Bytes(bytes) => {
                let shown = bytes.get(..MAX_SHOWN).unwrap_or(bytes);
                write!(f, "b\"{}\"", shown.escape_ascii())?;
                (bytes.len(), shown.len())
            }
            Content::Text(text) => {
                let shown = beginning(text);
                f.write_str(shown)?;
                (text.len(), shown.len())
            }
            Content::Quoted(text) => {
                let shown = beginning(text);
                write!(f, "{shown:?}")?;
                (text.len(), shown.len())
            }
        };
        if shown < len {
            f.write_char('…')?;
            write!(f, " ({len} bytes)")?;
        }
        Ok(())
    }
}

/// Returns the longest beginning of the text that has at most [`MAX_SHOWN`] bytes and ends at a character boundary.
fn beginning(text: &str) -> &str {
    let end = text.len().min(MAX_SHOWN);
    let mut beginnings = (0..=end).rev().filter_map(|end| text.get(..end));
    beginnings.next().unwrap_or("")
}
