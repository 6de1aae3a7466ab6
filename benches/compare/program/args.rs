//! The command line.

use std::path::PathBuf;

pub(super) const HELP: &str = "\
Measures ds-flatfs beside its floor, the same work as a plain std::fs loop, in the same run.

cargo bench --bench compare -- [OPTIONS]

  --dir DIR         work below DIR (or BENCH_DIR); a file system in memory shows the program's own
                    cost. Everything there is removed at the end
  --quick           smaller stores and fewer rounds: under a minute
  --only TEXT       only works with TEXT in their name; may be given several times
  --rounds N        how often floor and ours take turns; the median counts
  --peers           other stores beside ours, in the program of benches/peers
  --svg FILE        draw a picture of it, too
  --markdown        a Markdown table
  --json            a JSON array, seconds and bytes";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Markdown,
    Json,
}

pub(super) struct Args {
    pub(super) dir: PathBuf,
    pub(super) quick: bool,
    pub(super) rounds: Option<usize>,
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

pub(super) enum Asked {
    Measure(Args),
    Help,
    /// What a child of this program is to do whose memory is measured.
    Child(Vec<String>),
}

/// The word that makes this program a child of itself.
pub(super) const CHILD: &str = "--child";

pub(super) fn parse(args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut args = args.peekable();
    match args.peek().map(String::as_str) {
        // `cargo test --benches` runs it like this, and has no use for a table.
        None => return Ok(Asked::Help),
        Some(CHILD) => return Ok(Asked::Child(args.skip(1).collect())),
        Some(_) => {}
    }
    let mut parsed = Args {
        dir: std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from),
        quick: false,
        rounds: None,
        peers: false,
        svg: None,
        format: Format::Text,
        only: Vec::new(),
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            // cargo's own
            "--bench" => {}
            "--dir" => parsed.dir = value()?.into(),
            "--quick" => parsed.quick = true,
            "--only" => parsed.only.push(value()?),
            "--rounds" => {
                let rounds = value()?.parse().ok().filter(|&rounds| rounds > 0);
                parsed.rounds = Some(rounds.ok_or("--rounds takes a number above 0")?);
            }
            "--peers" => parsed.peers = true,
            "--svg" => parsed.svg = Some(value()?.into()),
            "--markdown" => parsed.format = Format::Markdown,
            "--json" => parsed.format = Format::Json,
            "--help" | "-h" => return Ok(Asked::Help),
            _ => return Err(format!("unknown argument {arg}")),
        }
    }
    Ok(Asked::Measure(parsed))
}
