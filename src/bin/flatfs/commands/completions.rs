//! `flatfs completions`

use clap::Args;
use clap_complete::{Shell, generate};

use crate::report::Answer;
use crate::sink::Sink;

/// Print what lets a shell complete the program's arguments
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flatfs completions bash > ~/.local/share/bash-completion/completions/flatfs
  flatfs completions zsh > ~/.zfunc/_flatfs
  flatfs completions fish > ~/.config/fish/completions/flatfs.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut program: clap::Command) -> anyhow::Result<Answer> {
        let mut script = Vec::new();
        generate(self.shell, &mut program, "flatfs", &mut script);
        let mut sink = Sink::stdout();
        sink.write(&script)?;
        sink.finish()?;
        Ok(Answer::Yes)
    }
}
