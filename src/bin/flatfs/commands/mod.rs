//! The commands of `flatfs`, one file each.

mod completions;
mod copy;
mod create;
mod dag;
mod diff;
mod downgrade;
mod du;
mod export;
mod gc;
mod get;
mod has;
mod import;
mod ls;
mod man;
mod move_blocks;
mod put;
mod reshard;
mod rm;
mod stat;
mod upgrade;
mod verify;

use clap::Subcommand;

use crate::exit::Outcome;

/// A command, in the order of the help: blocks, contents of a store, whole stores, the program itself.
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
    Copy(copy::Copy),
    Diff(diff::Diff),
    Dag(dag::Dag),
    Gc(gc::Gc),
    Move(move_blocks::Move),
    Reshard(reshard::Reshard),
    Upgrade(upgrade::Upgrade),
    Downgrade(downgrade::Downgrade),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// Runs the command. `program` describes the whole program.
    ///
    /// # Errors
    ///
    /// Fails if the command fails. The error says what failed, where, and what to do.
    pub(crate) async fn run(self, program: clap::Command) -> anyhow::Result<Outcome> {
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
            Command::Copy(command) => command.run().await,
            Command::Diff(command) => command.run().await,
            Command::Dag(command) => command.run().await,
            Command::Gc(command) => command.run().await,
            Command::Move(command) => command.run().await,
            Command::Reshard(command) => command.run().await,
            Command::Upgrade(command) => command.run().await,
            Command::Downgrade(command) => command.run().await,
            Command::Completions(command) => command.run(program),
            Command::Man(command) => command.run(program),
        }
    }
}
