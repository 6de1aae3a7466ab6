//! `flatfs`: works with the block stores of kubo and go-ds-flatfs from the command line.
//!
//! [`cli`] declares the arguments, and each file in [`commands`] implements one command. The program
//! uses only the public API of the library.

mod backup_car;
mod batch_writer;
mod blocking;
mod blocks;
mod car;
mod car_import;
mod cli;
mod commands;
mod error_text;
mod exit;
mod file_reader;
mod garbage_list;
mod hash;
mod input;
mod interrupt;
mod key_arg;
mod kubo_args;
mod location;
mod logging;
mod open_store;
mod output;
mod progress;
mod quantity;
mod report;
mod roots;
mod scrub;
mod shard_arg;
mod skipped;
mod stats;
mod terminal;
mod text;
#[cfg(unix)]
mod unix;
mod verbosity;
#[cfg(windows)]
mod windows;

use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit::Failure;
#[cfg(unix)]
use crate::unix as platform;
#[cfg(windows)]
use crate::windows as platform;

fn main() -> ExitCode {
    run().unwrap_or_else(|failure| report::failure(&failure))
}

fn run() -> Result<ExitCode, Failure> {
    let cli = match Cli::parse_args()? {
        ControlFlow::Continue(cli) => cli,
        ControlFlow::Break(status) => return Ok(status),
    };
    cli.verbosity.apply();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(cli.command.run(Cli::command()));
    // Stores are closed by now. A read from a terminal may still wait for input, and work on the
    // blocking pool may still run, but nothing uses their results any more.
    runtime.shutdown_background();
    Ok(result?.into())
}
