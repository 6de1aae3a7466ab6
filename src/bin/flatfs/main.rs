//! `flatfs`: works with the block stores of kubo and go-ds-flatfs from the command line.
//!
//! [`cli`] says what can be asked, one file below [`commands`] does each of it; everything stands on
//! the public face of the library.

mod blocks;
mod car;
mod cli;
mod commands;
mod dag;
mod hash;
mod interrupt;
mod links;
mod progress;
mod report;
mod sink;
mod skipped;
mod source;
mod stats;
mod store;
mod target;
mod terminal;
mod verbosity;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::report::Answer;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    cli.talk.begin();
    let status = cli.command.failure_status();
    match run(cli) {
        Ok(answer) => answer.into(),
        Err(error) => report::failure(&error, status),
    }
}

fn run(cli: Cli) -> anyhow::Result<Answer> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let answer = runtime.block_on(cli.command.run(Cli::command()));
    // A read from a terminal may still be waiting for input, and nobody wants it any more. Stores
    // have been closed by now.
    runtime.shutdown_background();
    answer
}
