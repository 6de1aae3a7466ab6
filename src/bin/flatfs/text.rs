//! Text for users: counts, sizes, and foreign text made short and safe for a terminal.

use std::fmt::{self, Display, Write as _};

use indicatif::{BinaryBytes, HumanCount};

/// The longest quotation in a message, in bytes.
const MAX_QUOTE: usize = 200;

/// Returns "1 block" or "1,234 blocks".
pub(crate) fn blocks(count: u64) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} block{s}", HumanCount(count))
}

/// Returns a number of bytes, exact and rounded.
pub(crate) fn bytes(bytes: u64) -> String {
    if bytes < 1024 {
        format!("{bytes}")
    } else {
        format!("{} ({})", HumanCount(bytes), BinaryBytes(bytes))
    }
}

/// Returns "7 bytes" or "2,048 bytes (2.00 KiB)".
pub(crate) fn size(bytes: u64) -> String {
    let exact = format!("{} bytes", HumanCount(bytes));
    match bytes {
        0..1024 => exact,
        _ => format!("{exact} ({})", BinaryBytes(bytes)),
    }
}

/// Returns the text with those characters escaped that break a line or control a terminal.
pub(crate) fn escape(text: impl Display) -> String {
    let mut safe = String::new();
    for c in text.to_string().chars() {
        match c {
            c if !is_unsafe(c) => safe.push(c),
            c if c.is_control() => safe.extend(c.escape_default()),
            c => safe.extend(c.escape_unicode()),
        }
    }
    safe
}

/// Returns JSON that means the same and is safe for a terminal. A serializer escapes only the control
/// characters below U+0020.
pub(crate) fn escape_json(json: String) -> String {
    if !json.chars().any(is_unsafe) {
        return json;
    }
    let mut safe = String::new();
    for c in json.chars() {
        if is_unsafe(c) {
            // All of these are in the basic multilingual plane, and occur in strings only.
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Returns whether the character breaks a line or controls a terminal: a control character, a line or paragraph
/// separator, or a mark that changes the direction of writing.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the beginning of a text of unknown origin, which may have any length, for a message that
/// quotes it. All messages that quote a CAR or a block do so by this function.
pub(crate) fn quote(text: impl Display) -> String {
    shorten(text, MAX_QUOTE)
}

/// Returns the text, cut to at most `max` bytes if it is longer. A cut text says so.
pub(crate) fn shorten(text: impl Display, max: usize) -> String {
    let mut start = Start {
        text: String::new(),
        max,
        len: 0,
    };
    // A `String` takes everything, and no `Display` in this program fails.
    let _ = write!(start, "{text}");
    match start.len {
        len if len > max => format!("{}… ({} bytes)", start.text, HumanCount(len as u64)),
        _ => start.text,
    }
}

/// Collects the beginning of what is written, and counts all of it.
struct Start {
    text: String,
    max: usize,
    len: usize,
}

impl fmt::Write for Start {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.len <= self.max {
            let room = part.len().min(self.max - self.len);
            // Index 0 is a boundary, so there always is one.
            let end = (0..=room).rev().find(|end| part.is_char_boundary(*end));
            self.text.extend(end.and_then(|end| part.get(..end)));
        }
        self.len = self.len.saturating_add(part.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_script_are_printed_as_they_are() {
        assert_eq!(escape("blöcke 块 \u{202e}"), "blöcke 块 \\u{202e}");
    }

    #[test]
    fn json_with_escaped_control_characters_means_the_same() {
        let text = "a\u{9b}31m\u{7f}\u{202e}b\u{2028}ö\n";
        let json = escape_json(serde_json::to_string(text).unwrap());
        assert_eq!(json, r#""a\u009b31m\u007f\u202eb\u2028ö\n""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters_and_says_its_length() {
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("äöü", 3), "ä… (6 bytes)");
        let parts = format_args!("{}{}", "ab", "c".repeat(5000)).to_string();
        assert_eq!(shorten(parts, 3), "abc… (5,002 bytes)");
        assert!(quote("x".repeat(1 << 20)).len() < 250);
    }
}
