//! [`Cli`]: the arguments of the program.

use std::iter;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::commands::Command;
use crate::report;
use crate::verbosity::Talk;

/// Works with flatfs block stores: one file a block, as kubo and go-ds-flatfs have them.
#[derive(Debug, Parser)]
#[command(
    name = "flatfs",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "\
Exit status: 0 for yes, 1 for no or failed, 2 for wrong usage ('has' also if it can't tell), 130 if \
interrupted by Ctrl-C, 143 by SIGTERM.

All that changes a store can be interrupted at any time, and the same command does the rest. Where there \
is something to clean up, Ctrl-C says so and does it; a second one ends the program at once, and the next \
command on the store cleans up.

With --json every object is one line, and its paths are absolute.

Colours follow NO_COLOR, CLICOLOR and CLICOLOR_FORCE. RUST_LOG chooses what is told of the store's \
work more finely than -v does, as RUST_LOG=ds_flatfs=debug.

Example:
  flatfs import blocks backup.car
  flatfs stat ~/.ipfs/blocks"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) talk: Talk,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The arguments that the program was called with; else, once the help or the error is printed,
    /// the exit status.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        Cli::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // Nobody is there to be told if it can't be printed.
                let _ = error.print();
                ExitCode::SUCCESS
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let _ = error.print();
                ExitCode::from(report::WRONG_USAGE)
            }
            _ => {
                report::print(&one_line(&error.render().to_string()));
                ExitCode::from(report::WRONG_USAGE)
            }
        })
    }
}

/// clap's message without the usage behind it, as one line.
fn one_line(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let end = ["\n\nUsage:", "\n\nFor more information"]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min();
    let what = end.and_then(|end| message.get(..end)).unwrap_or(message);
    // Behind an empty line clap gives tips, a line each.
    let (error, tips) = what.split_once("\n\n").unwrap_or((what, ""));
    let parts = iter::once(error).chain(tips.lines());
    let parts = parts.map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    format!("{}; try --help", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_declared_without_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_tip_stands_apart_from_the_error() {
        let error = Cli::try_parse_from(["flatfs", "improt"]).unwrap_err();
        let line = one_line(&error.render().to_string());
        assert!(
            line.starts_with("unrecognized subcommand 'improt'; tip: "),
            "{line}"
        );
    }

    #[test]
    fn a_usage_error_is_one_line() {
        for args in [
            vec!["flatfs", "import"],
            vec!["flatfs", "nothing"],
            vec!["flatfs", "get", "dir", "no key"],
            vec!["flatfs", "stat", "dir", "--colour"],
        ] {
            let error = Cli::try_parse_from(&args).unwrap_err();
            let line = one_line(&error.render().to_string());
            assert!(!line.contains('\n') && !line.contains("error:"), "{line}");
            assert!(line.ends_with("; try --help"), "{line}");
        }
    }
}
