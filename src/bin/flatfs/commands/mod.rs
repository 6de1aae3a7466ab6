//! What `flatfs` can do, one file a command.

mod completions;
mod create;
mod downgrade;
mod du;
mod export;
mod get;
mod has;
mod import;
mod ls;
mod man;
mod moving;
mod put;
mod reshard;
mod rm;
mod stat;
mod upgrade;
mod verify;

use clap::Subcommand;

use crate::report::{self, Answer};

/// In the order of the help: blocks, what is in a store, whole stores, the program itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(create::Create),
    Import(import::Import),
    Export(export::Export),
    Put(put::Put),
    Get(get::Get),
    Has(has::Has),
    Rm(rm::Rm),
    Ls(ls::Ls),
    Stat(stat::Stat),
    Du(du::Du),
    Verify(verify::Verify),
    Move(moving::Move),
    Reshard(reshard::Reshard),
    Upgrade(upgrade::Upgrade),
    Downgrade(downgrade::Downgrade),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// The exit status if it fails.
    pub(crate) fn failure_status(&self) -> u8 {
        match self {
            // 1 is an answer.
            Command::Has(_) => report::CANNOT_TELL,
            _ => 1,
        }
    }

    /// Does it. `program` describes the whole program.
    ///
    /// # Errors
    ///
    /// If it fails; the error says what, where, and what to do.
    pub(crate) async fn run(self, program: clap::Command) -> anyhow::Result<Answer> {
        match self {
            Command::Create(command) => command.run().await,
            Command::Import(command) => command.run().await,
            Command::Export(command) => command.run().await,
            Command::Put(command) => command.run().await,
            Command::Get(command) => command.run().await,
            Command::Has(command) => command.run().await,
            Command::Rm(command) => command.run().await,
            Command::Ls(command) => command.run().await,
            Command::Stat(command) => command.run().await,
            Command::Du(command) => command.run().await,
            Command::Verify(command) => command.run().await,
            Command::Move(command) => command.run().await,
            Command::Reshard(command) => command.run().await,
            Command::Upgrade(command) => command.run().await,
            Command::Downgrade(command) => command.run().await,
            Command::Completions(command) => command.run(program),
            Command::Man(command) => command.run(program),
        }
    }
}
