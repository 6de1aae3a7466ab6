//! `flatfs man`

use std::io;

use anyhow::Context as _;
use clap::Args;
use clap_mangen::roff::{Roff, bold, roman};

use crate::exit::{Outcome, WrongUsage};
use crate::output::Output;

/// Print the manual page of the program or of a command
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  flatfs man | man -l -
  flatfs man import > ~/.local/share/man/man1/flatfs-import.1")]
pub(crate) struct Man {
    /// The command [default: the program as a whole]
    command: Option<String>,
}

impl Man {
    pub(crate) fn run(self, program: clap::Command) -> anyhow::Result<Outcome> {
        let page = page(self.subject(program)?).context("cannot write the manual page")?;
        let mut output = Output::stdout();
        output.write(&page)?;
        output.finish()?;
        Ok(Outcome::Success)
    }

    fn subject(&self, mut program: clap::Command) -> anyhow::Result<clap::Command> {
        // Passes the program's name and version on to its commands.
        program.build();
        let Some(name) = &self.command else {
            return Ok(program);
        };
        let command = program.find_subcommand(name);
        let command = command.ok_or_else(|| WrongUsage(format!("there is no command '{name}'")))?;
        Ok(command.clone())
    }
}

/// Returns the page. The part of the help that follows the options becomes the sections NOTES and EXAMPLES.
fn page(mut command: clap::Command) -> io::Result<Vec<u8>> {
    let usage = command.render_usage().to_string();
    let help = command.get_after_long_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    let (notes, examples) = help.split_once("Example:\n").unwrap_or((&help, ""));
    let has_commands = command.has_subcommands();
    let has_version = command.get_version().is_some();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command);
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(&usage).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    section("NOTES", notes).to_writer(&mut page)?;
    section("EXAMPLES", examples).to_writer(&mut page)?;
    if has_version {
        // It panics otherwise: clap's own command `help` has no version.
        man.render_version_section(&mut page)?;
    }
    Ok(page)
}

/// Returns the usage line of the help. The one of clap_mangen does not say which arguments can be repeated.
fn synopsis(usage: &str) -> Roff {
    let usage = usage.strip_prefix("Usage: ").unwrap_or(usage).trim();
    let (name, arguments) = usage.split_at(usage.find(['[', '<']).unwrap_or(usage.len()));
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(name), roman(arguments)]);
    roff
}

/// Returns a section of paragraphs, in which indented lines are not filled. Without text it is empty.
fn section(title: &str, text: &str) -> Roff {
    let mut roff = Roff::new();
    if text.trim().is_empty() {
        return roff;
    }
    roff.control("SH", [title]);
    let mut is_indented = false;
    for line in text.trim_end().lines() {
        if line.starts_with(' ') != is_indented {
            is_indented = !is_indented;
            roff.control(if is_indented { "nf" } else { "fi" }, []);
        }
        if line.is_empty() {
            roff.control("PP", []);
        } else {
            roff.text([roman(line)]);
        }
    }
    if is_indented {
        roff.control("fi", []);
    }
    roff
}
