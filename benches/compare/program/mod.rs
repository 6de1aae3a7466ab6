//! The program: what it is asked for, the works one after another, and the table.

mod args;
mod bench;
mod journal;
mod memory;
mod race;
mod row;
mod stores;
pub(crate) mod subject;
mod svg;
mod table;
mod works;

use std::fs;
use std::process::ExitCode;

use self::args::{Args, Asked};
use self::bench::Bench;
use self::row::Row;
use self::subject::PeerKind;
use self::table::Table;
use self::works::{WORKS, Work};

/// Measures what the command line asks for, with these other stores beside ours if it asks for them.
pub(crate) fn main(peers: &'static [PeerKind]) -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(Asked::Measure(args)) => args,
        Ok(Asked::Help) => {
            println!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Asked::Child(child)) => {
            memory::run_child(&child);
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
    let works: Vec<&Work> = WORKS.iter().filter(|work| args.wants(work.title)).collect();
    let bench = Bench::new(args, peers);
    let table = Table::new(args.format, works.iter().map(|work| work.title), peers);
    table.begin(&bench);
    let mut rows: Vec<Row> = Vec::new();
    for work in works {
        for row in (work.run)(&bench, work.title) {
            table.row(&row);
            rows.push(row);
        }
    }
    table.end(&rows);
    if let Some(path) = &args.svg {
        fs::write(path, svg::draw(&rows, peers)).expect("a picture");
    }
}
