//! What the program prints: errors and notices on standard error, summaries and JSON on standard output.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use console::style;
use ds_flatfs::{Error, ExpectedEntry};
use serde::Serialize;

use crate::exit::{ClosedPipe, Failure, Outcome};
use crate::output::Output;
use crate::text::{escape, escape_json};
use crate::{error_text, platform, terminal};

/// Prints the error that ends the program, and returns its exit status.
pub(crate) fn failure(failure: &Failure) -> ExitCode {
    if !failure.error.is::<ClosedPipe>() {
        error(&failure.error);
    }
    ExitCode::from(failure.status)
}

/// Prints an error as one line. The program may go on after it.
pub(crate) fn error(error: &anyhow::Error) {
    message(&error_text::line(error));
}

/// Reports something in a store that can't be listed as a block, and returns what that means for the listing. Something
/// that is not a file at the path of a block causes only a warning, unless `strict` is set. At the path of a directory it
/// may hide blocks.
pub(crate) fn unlisted(error: Error, strict: bool) -> Outcome {
    let is_not_a_block = matches!(
        error,
        Error::Unexpected {
            expected: ExpectedEntry::Block,
            ..
        }
    );
    let error = error.into();
    if is_not_a_block && !strict {
        warn(&error_text::line(&error));
        return Outcome::Success;
    }
    self::error(&error);
    match is_not_a_block {
        true => Outcome::Found,
        false => Outcome::Failed,
    }
}

/// Prints a warning, unless the user wants it quiet.
pub(crate) fn warn(warning: &str) {
    if !terminal::is_quiet() {
        let label = style("warning").yellow().for_stderr();
        terminal::write_line(&format!("flatfs: {label}: {}", escape(warning)));
    }
}

/// Prints what the program is about to do, unless the user wants it quiet.
pub(crate) fn notice(notice: &str) {
    if !terminal::is_quiet() {
        message(notice);
    }
}

/// Prints one line to standard error, safe for a terminal.
fn message(message: &str) {
    let name = style("flatfs").red().bold().for_stderr();
    terminal::write_line(&format!("{name}: {}", escape(message)));
}

/// Prints the result of a command to standard output, unless the user wants it quiet.
///
/// # Errors
///
/// Fails if standard output can't be written.
pub(crate) fn summary(lines: &str) -> anyhow::Result<()> {
    if terminal::is_quiet() {
        return Ok(());
    }
    print(lines)
}

/// Prints lines that the user asked for to standard output.
///
/// # Errors
///
/// Fails if standard output can't be written.
pub(crate) fn result(lines: &str) -> anyhow::Result<()> {
    print(lines)
}

/// Prints a JSON object to standard output, as one line.
///
/// # Errors
///
/// Fails if standard output can't be written.
pub(crate) fn json(object: &impl Serialize) -> anyhow::Result<()> {
    print(&json_line(object)?)
}

/// Returns a JSON object as one line that is safe for a terminal.
///
/// # Errors
///
/// Fails if the object can't be serialized.
pub(crate) fn json_line(object: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string(object).context("cannot write the result as JSON")?;
    Ok(escape_json(json) + "\n")
}

fn print(lines: &str) -> anyhow::Result<()> {
    let mut output = Output::stdout();
    output.write(lines.as_bytes())?;
    output.finish()
}

/// Returns the path as JSON objects have it: absolute, with U+FFFD for what is not UTF-8.
pub(crate) fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path);
    let absolute = absolute.unwrap_or_else(|_| path.to_owned());
    platform::shown(absolute).to_string_lossy().into_owned()
}
