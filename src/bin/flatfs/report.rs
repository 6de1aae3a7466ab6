//! What the program tells the user, and the exit status that belongs to it.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use console::style;
use ds_flatfs::Error;
use indicatif::{BinaryBytes, HumanCount};
use serde::Serialize;

use crate::interrupt::Interrupted;
use crate::sink::Sink;
use crate::terminal;

/// The exit status for arguments that make no sense.
pub(crate) const WRONG_USAGE: u8 = 2;

/// The exit status if a question whose answer is the exit status couldn't be answered.
pub(crate) const CANNOT_TELL: u8 = 2;

/// How a command that didn't fail went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
}

impl Answer {
    /// Yes if both are.
    pub(crate) fn and(self, other: Answer) -> Answer {
        match self {
            Answer::Yes => other,
            Answer::No => Answer::No,
        }
    }
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Yes => ExitCode::SUCCESS,
            Answer::No => ExitCode::FAILURE,
        }
    }
}

/// The arguments make no sense, though each of them alone could be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUsage(pub(crate) String);

/// Nobody reads standard output any more, which ends the program quietly.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct ClosedPipe;

/// Prints why the program failed, and says its exit status: `status`, unless the reason has one of its own.
pub(crate) fn failure(error: &anyhow::Error, status: u8) -> ExitCode {
    if error.is::<ClosedPipe>() {
        return ExitCode::SUCCESS;
    }
    print(&chain(error));
    let status = match error.downcast_ref::<Interrupted>() {
        Some(interrupted) => interrupted.status(),
        None if error.is::<WrongUsage>() => WRONG_USAGE,
        None => status,
    };
    ExitCode::from(status)
}

/// Prints a failure after which the program goes on.
pub(crate) fn error(error: &anyhow::Error) {
    print(&chain(error));
}

/// Prints what the user should know about something that didn't fail.
pub(crate) fn warn(error: &anyhow::Error) {
    if !terminal::is_quiet() {
        let warning = style("warning").yellow().for_stderr();
        terminal::write_line(&format!("flatfs: {warning}: {}", escape(chain(error))));
    }
}

/// Prints what the program is about to do, unless the user doesn't want to know.
pub(crate) fn notice(message: &str) {
    if !terminal::is_quiet() {
        print(message);
    }
}

/// Prints what came of a work that nobody has to know, to standard output.
///
/// # Errors
///
/// If it can't be written.
pub(crate) fn summary(lines: &str) -> anyhow::Result<()> {
    if terminal::is_quiet() {
        return Ok(());
    }
    answer(lines)
}

/// Prints a JSON object that was asked for, as one line, to standard output.
///
/// # Errors
///
/// If it can't be written.
pub(crate) fn json(object: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string(object).context("cannot print the result")?;
    answer(&format!("{json}\n"))
}

fn answer(lines: &str) -> anyhow::Result<()> {
    let mut sink = Sink::stdout();
    sink.write(lines.as_bytes())?;
    sink.finish()
}

/// Prints one line to standard error, safe for a terminal.
pub(crate) fn print(message: &str) {
    let name = style("flatfs").red().bold().for_stderr();
    terminal::write_line(&format!("{name}: {}", escape(message)));
}

/// A path as JSON objects have it: absolute, with `\u{fffd}` for what is not UTF-8.
pub(crate) fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path);
    let absolute = absolute.as_deref().unwrap_or(path);
    absolute.to_string_lossy().into_owned()
}

/// The error and its sources, as one line that says nothing twice, and what to do about it.
fn chain(error: &anyhow::Error) -> String {
    let (mut parts, mut hint) = (Vec::new(), None);
    let mut rest = error.chain().peekable();
    while let Some(part) = rest.next() {
        let known = known(part);
        let is_last = rest.peek().is_none();
        if matches!(known, Some(Error::BatchFailed { .. })) && !is_last {
            // What failed comes next, and what that means for the user came before.
            continue;
        }
        parts.push(known.and_then(clearer).unwrap_or_else(|| part.to_string()));
        hint = hint.or(known.and_then(hint_at));
        if matches!(known, Some(Error::Full { source, .. }) if source.kind() == io::ErrorKind::StorageFull)
        {
            break;
        }
    }
    let chain = parts.join(": ");
    match hint {
        Some(hint) => format!("{chain}; {hint}"),
        None => chain,
    }
}

/// The text of an error where its own one would puzzle the user.
fn clearer(error: &Error) -> Option<String> {
    match error {
        Error::Resharding { path, from, to } if from == to => {
            let path = path.display();
            Some(format!(
                "the datastore at {path} is being re-sharded back to {to}: if nobody is at it, \
                 complete that with 'flatfs reshard {path} {to}'"
            ))
        }
        _ => None,
    }
}

/// What to do about an error that the library can't know: which command helps.
fn hint_at(error: &Error) -> Option<&'static str> {
    const LOST: &str = "if it is a store that has lost its shard function, 'flatfs help verify' says how \
                        to find it";
    match error {
        // One that the user has named is checked with the arguments.
        Error::InvalidShard { .. } => Some(LOST),
        Error::NotAStore { reason, .. } => {
            let is_lost = ["it has files, but no SHARDING", "its SHARDING"];
            let is_lost = is_lost.iter().any(|lost| reason.starts_with(lost));
            is_lost.then_some(LOST)
        }
        _ => None,
    }
}

fn known<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let shared = || error.downcast_ref::<Arc<Error>>().map(Arc::as_ref);
    error.downcast_ref().or_else(shared)
}

/// "1 block", "1,234 blocks".
pub(crate) fn blocks(count: u64) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} block{s}", HumanCount(count))
}

/// A number of bytes, exactly and roughly.
pub(crate) fn bytes(bytes: u64) -> String {
    if bytes < 1024 {
        format!("{bytes}")
    } else {
        format!("{} ({})", HumanCount(bytes), BinaryBytes(bytes))
    }
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
    fn a_full_disk_is_told_once_and_a_full_quota_by_its_name() {
        let told = |kind: io::ErrorKind| {
            let source = Arc::new(Error::Full {
                action: "write",
                path: "/s/x".into(),
                source: kind.into(),
            });
            let failed = Error::BatchFailed { source };
            chain(&anyhow::Error::from(failed).context("nothing was imported"))
        };
        let full = "nothing was imported: no space left to write /s/x: \
                    free some space; blocks can still be deleted";
        assert_eq!(told(io::ErrorKind::StorageFull), full);
        let quota = told(io::ErrorKind::QuotaExceeded);
        assert_eq!(quota, format!("{full}: quota exceeded"));
    }

    #[test]
    fn letters_of_any_script_are_printed_as_they_are() {
        assert_eq!(escape("blöcke 块 \u{202e}"), "blöcke 块 \\u{202e}");
    }
}
