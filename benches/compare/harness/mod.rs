//! The benchmark program: parses the command line, runs the workloads in sequence, and prints the table.

mod args;
mod bare_queue;
mod busy;
mod cached_calls;
mod comparison;
pub(crate) mod contender;
mod context;
mod environment;
mod fs_journal;
mod peak_memory;
mod plain_files;
mod row;
mod stores;
mod svg;
mod table;
mod workloads;

use std::fs;
use std::process::ExitCode;

use self::args::{Args, Command};
use self::busy::BusyProcessors;
use self::contender::PeerKind;
use self::context::Context;
use self::environment::Environment;
use self::row::Row;
use self::table::Table;
use self::workloads::{WORKLOADS, Workload};

/// Runs the workloads that the command line selects, with `--peers` also on these other stores.
pub(crate) fn main(peers: &'static [PeerKind]) -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(Command::Measure(args)) => args,
        Ok(Command::Help) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Child(child)) => {
            peak_memory::run_child(&child);
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    if args.peers && peers.is_empty() {
        eprintln!(
            "--peers: run `cargo run --release --manifest-path benches/peers/Cargo.toml -- …`"
        );
        return ExitCode::from(2);
    }
    measure(&args, if args.peers { peers } else { &[] });
    ExitCode::SUCCESS
}

fn measure(args: &Args, peers: &'static [PeerKind]) {
    let wanted = |workload: &&Workload| args.wants(workload.title);
    let workloads: Vec<&Workload> = WORKLOADS.iter().filter(wanted).collect();
    let titles = workloads.iter().map(|workload| workload.title);
    let table = Table::new(args.format, titles, peers);
    let _busy = args.busy.then(BusyProcessors::start);
    let context = Context::new(Environment::new(args, peers));
    table.begin(&context.env);
    let mut rows: Vec<Row> = Vec::new();
    for workload in workloads {
        for row in (workload.run)(&context, workload.title) {
            table.row(&row);
            rows.push(row);
        }
    }
    table.end(&rows);
    if let Some(path) = &args.svg {
        fs::write(path, svg::draw(&rows, peers)).expect("a picture");
    }
}
