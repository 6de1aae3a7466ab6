//! The command line of the benchmark program.

use std::path::PathBuf;

pub(super) const HELP: &str = "\
Measures ds-flatfs and its floor, the same work as a plain std::fs loop, in the same run.

cargo bench --bench compare -- [OPTIONS]

  --dir DIR         work below DIR (or BENCH_DIR); a file system in memory shows the cost of the
                    program itself. Everything that was created there is removed at the end
  --quick           use smaller stores and fewer rounds; takes about two minutes
  --only TEXT       run only workloads with TEXT in their name; may be repeated
  --blocks N        for the rows of DAGs: the number of blocks, 1,000,000 by default in the last rows
  --rounds N        run each contender N times, alternately; the table shows medians
  --busy            keep all processors busy during the measurements
  --peers           measure other stores too; only in the program of benches/peers
  --svg FILE        also draw a chart
  --markdown        print a Markdown table
  --json            print a JSON array, in seconds and bytes";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Markdown,
    Json,
}

pub(super) struct Args {
    pub(super) dir: PathBuf,
    pub(super) quick: bool,
    pub(super) blocks: Option<usize>,
    pub(super) rounds: Option<usize>,
    pub(super) busy: bool,
    pub(super) peers: bool,
    pub(super) svg: Option<PathBuf>,
    pub(super) format: Format,
    only: Vec<String>,
}

impl Args {
    pub(super) fn wants(&self, title: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| title.contains(only.as_str()))
    }
}

pub(super) enum Command {
    Measure(Args),
    Help,
    /// The task of a child process whose memory is measured.
    Child(Vec<String>),
}

/// The first argument of a child process.
pub(super) const CHILD: &str = "--child";

pub(super) fn parse(args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut args = args.peekable();
    match args.peek().map(String::as_str) {
        // `cargo test --benches` runs the program without arguments, and does not need a table.
        None => return Ok(Command::Help),
        Some(CHILD) => return Ok(Command::Child(args.skip(1).collect())),
        Some(_) => {}
    }
    let mut parsed = Args {
        dir: std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from),
        quick: false,
        blocks: None,
        rounds: None,
        busy: false,
        peers: false,
        svg: None,
        format: Format::Text,
        only: Vec::new(),
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            // cargo adds this.
            "--bench" => {}
            "--dir" => parsed.dir = value()?.into(),
            "--quick" => parsed.quick = true,
            "--only" => parsed.only.push(value()?),
            "--blocks" => parsed.blocks = Some(positive(&arg, &value()?)?),
            "--rounds" => parsed.rounds = Some(positive(&arg, &value()?)?),
            "--busy" => parsed.busy = true,
            "--peers" => parsed.peers = true,
            "--svg" => parsed.svg = Some(value()?.into()),
            "--markdown" => parsed.format = Format::Markdown,
            "--json" => parsed.format = Format::Json,
            "--help" | "-h" => return Ok(Command::Help),
            _ => return Err(format!("unknown argument {arg}")),
        }
    }
    Ok(Command::Measure(parsed))
}

fn positive(option: &str, text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| format!("{option} takes a number above 0"))
}
