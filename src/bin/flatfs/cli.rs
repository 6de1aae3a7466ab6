//! [`Cli`]: the command line arguments.

use std::iter;
use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::commands::Command;
use crate::exit::{self, WrongUsage};
use crate::location::URL_HELP;
use crate::platform;
use crate::verbosity::Verbosity;

/// Works with flatfs block stores, which keep each block in a file, as kubo and go-ds-flatfs do.
#[derive(Debug, Parser)]
#[command(
    name = "flatfs",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_long_help = format!("\
Exit status, the same for every command:
  0    success, and no problem was found; or yes
  1    done, but a problem was found: a damaged, misplaced or absent block, or a file that was skipped; or no
  2    invalid usage; or 'flatfs diff' could not compare the stores
  3    the command failed, or did only a part of its work
  130  interrupted by Ctrl-C (143: terminated by SIGTERM, on Windows by the end of the console); on Windows 0xC000013A \
if there is nothing to clean up
  141  the reader of standard output was gone before the command ended, as in 'flatfs ls blocks | head'

Every command that changes a store can be interrupted at any time; run it again to complete the work. \
If there is something to clean up, the first Ctrl-C starts the cleanup and says so. A second one ends the \
program at once, and the next command that writes to the store cleans up.

kubo does not know the lock of a store. So if a store is in a kubo repo, a command that changes it also locks \
the repo: it fails while kubo is running, and kubo refuses to start while it runs. --ignore-kubo skips that.

Every command that prints results takes --json: import, put, ls, stat, du, verify, copy, diff, dag, gc, move and \
reshard. Each object is one line, and its paths are absolute.

Colors follow NO_COLOR, CLICOLOR and CLICOLOR_FORCE. RUST_LOG selects log events more precisely than -v \
does, for example RUST_LOG=ds_flatfs=debug.

{URL_HELP}

Example:
  flatfs import blocks backup.car
  flatfs stat ~/.ipfs/blocks")
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) verbosity: Verbosity,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Parses the arguments of the program. If they ask for help or the version, or there are none, prints the text and
    /// breaks with the exit status.
    ///
    /// # Errors
    ///
    /// Returns [`WrongUsage`] if the arguments are not valid.
    pub(crate) fn parse_args() -> anyhow::Result<ControlFlow<ExitCode, Self>> {
        let error = match Cli::try_parse_from(platform::args()) {
            Ok(cli) => return Ok(ControlFlow::Continue(cli)),
            Err(error) => error,
        };
        let status = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                ExitCode::from(exit::WRONG_USAGE)
            }
            _ => return Err(WrongUsage(one_line(&error.render().to_string())).into()),
        };
        // Fails if the output is closed, so that the user can't see a message either.
        let _ = error.print();
        Ok(ControlFlow::Break(status))
    }
}

/// Returns clap's message as one line, without the usage that follows it.
fn one_line(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let end = ["\n\nUsage:", "\n\nFor more information"]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min();
    let message = end.and_then(|end| message.get(..end)).unwrap_or(message);
    // clap's tips follow after an empty line, one per line.
    let (error, tips) = message.split_once("\n\n").unwrap_or((message, ""));
    let tips = tips.lines().filter(|tip| !tip.contains("tip: to pass '"));
    let tips = tips.map(best_tip);
    let parts = iter::once(error.to_owned()).chain(tips);
    let parts = parts.map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    format!("{}; try --help", parts.join("; "))
}

/// Returns a tip that names only the most similar name: clap lists the similar ones, the best one last.
fn best_tip(tip: &str) -> String {
    let kinds = ["subcommand", "argument", "value"];
    let listed = kinds.iter().find_map(|kind| {
        let names = tip.split_once(&format!("some similar {kind}s exist: "))?.1;
        let best = names.rsplit(", ").next()?;
        Some(format!("tip: a similar {kind} exists: {best}"))
    });
    listed.unwrap_or_else(|| tip.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_argument_declarations_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_tip_is_separated_from_the_error() {
        let error = Cli::try_parse_from(["flatfs", "improt"]).unwrap_err();
        let line = one_line(&error.render().to_string());
        assert!(
            line.starts_with("unrecognized subcommand 'improt'; tip: "),
            "{line}"
        );
    }

    #[test]
    fn a_tip_names_the_most_similar_command_and_does_not_mislead() {
        let line = |args: &[&str]| {
            let error = Cli::try_parse_from(args).unwrap_err();
            one_line(&error.render().to_string())
        };
        assert_eq!(
            line(&["flatfs", "imprt"]),
            "unrecognized subcommand 'imprt'; tip: a similar subcommand exists: 'import'; try --help"
        );
        assert_eq!(
            line(&["flatfs", "create", "--json", "dir"]),
            "unexpected argument '--json' found; try --help"
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
