//! What goes to standard error, and the exit status that belongs to it.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit status for arguments that make no sense.
pub(crate) const WRONG_USAGE: u8 = 2;

/// The arguments make no sense, though each of them alone could be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUsage(pub(crate) String);

/// Nobody reads standard output any more, which ends the program quietly.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct ClosedPipe;

/// Prints why the program failed, and says its exit status.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    if error.is::<ClosedPipe>() {
        return ExitCode::SUCCESS;
    }
    print(&chain(error));
    if error.is::<WrongUsage>() {
        ExitCode::from(WRONG_USAGE)
    } else {
        ExitCode::FAILURE
    }
}

/// Prints a failure after which the program goes on.
pub(crate) fn error(error: &anyhow::Error) {
    print(&chain(error));
}

/// Prints what the user should know about something that didn't fail.
pub(crate) fn warn(error: &anyhow::Error) {
    print(&format!("warning: {}", chain(error)));
}

/// Prints one line to standard error, safe for a terminal.
pub(crate) fn print(message: &str) {
    // There is nobody left to tell if this fails.
    let _ = writeln!(io::stderr(), "flatfs: {}", escape(message));
}

/// The error and its sources, as one line.
fn chain(error: &anyhow::Error) -> String {
    let parts: Vec<String> = error.chain().map(ToString::to_string).collect();
    parts.join(": ")
}

/// The text with characters escaped that would break the line or steer a terminal.
pub(crate) fn escape(text: impl Display) -> String {
    let mut safe = String::new();
    for c in text.to_string().chars() {
        match c {
            // Line and paragraph separators, and the marks that turn the direction of writing.
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.extend(c.escape_unicode()),
            c if c.is_control() => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_is_printed_with_all_of_its_sources_in_one_line() {
        let error = Err::<(), _>(io::Error::other("it\nbroke"))
            .context("cannot read \u{1b}[31m.car")
            .unwrap_err();
        assert_eq!(
            escape(chain(&error)),
            "cannot read \\u{1b}[31m.car: it\\nbroke"
        );
    }

    #[test]
    fn letters_of_any_script_are_printed_as_they_are() {
        assert_eq!(escape("blöcke 块 \u{202e}"), "blöcke 块 \\u{202e}");
    }
}
