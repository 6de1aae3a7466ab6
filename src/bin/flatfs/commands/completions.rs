//! `flatfs completions`

use clap::Args;
use clap_complete::{Shell, generate};

use crate::exit::Outcome;
use crate::output::Output;

/// Print a script that completes the program's arguments in a shell
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  flatfs completions bash > ~/.local/share/bash-completion/completions/flatfs
  flatfs completions zsh > ~/.zfunc/_flatfs
  flatfs completions fish > ~/.config/fish/completions/flatfs.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut program: clap::Command) -> anyhow::Result<Outcome> {
        let mut script = Vec::new();
        generate(self.shell, &mut program, "flatfs", &mut script);
        let mut output = Output::stdout();
        output.write(&script)?;
        output.finish()?;
        Ok(Outcome::Success)
    }
}
