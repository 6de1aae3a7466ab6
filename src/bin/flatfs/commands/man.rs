//! `flatfs man`

use anyhow::Context as _;
use clap::Args;

use crate::report::Answer;
use crate::report::WrongUsage;
use crate::sink::Sink;

/// Print the manual page of the program, or of a command
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flatfs man | man -l -
  flatfs man import > ~/.local/share/man/man1/flatfs-import.1")]
pub(crate) struct Man {
    /// A command, if it is that one's page
    command: Option<String>,
}

impl Man {
    pub(crate) fn run(self, program: clap::Command) -> anyhow::Result<Answer> {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(self.described(program)?).render(&mut page);
        rendered.context("cannot write the manual page")?;
        let mut sink = Sink::stdout();
        sink.write(&page)?;
        sink.finish()?;
        Ok(Answer::Yes)
    }

    fn described(&self, mut program: clap::Command) -> anyhow::Result<clap::Command> {
        let Some(name) = &self.command else {
            return Ok(program);
        };
        // Hands the program's name and version on to its commands.
        program.build();
        let command = program.find_subcommand(name);
        let command = command.ok_or_else(|| WrongUsage(format!("there is no command '{name}'")))?;
        Ok(command.clone())
    }
}
