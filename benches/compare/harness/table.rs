//! [`Table`]: the rows, printed one by one as soon as they are measured, or as JSON at the end.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use super::args::Format;
use super::contender::PeerKind;
use super::environment::Environment;
use super::row::{Goal, Row, Unit};

const COLUMNS: [&str; 6] = ["floor", "ours", "ratio", "rounds", "goal", "met"];
/// The longest suffix of a title.
const MAX_SUFFIX_LEN: usize = ": journal commits per block".len();

pub(super) struct Table {
    format: Format,
    /// The width of the first column, in characters.
    width: usize,
    peers: &'static [PeerKind],
}

impl Table {
    pub(super) fn new<'a>(
        format: Format,
        titles: impl Iterator<Item = &'a str>,
        peers: &'static [PeerKind],
    ) -> Self {
        let longest = titles.map(|title| title.chars().count()).max();
        Table {
            format,
            width: longest.unwrap_or(0) + MAX_SUFFIX_LEN,
            peers,
        }
    }

    pub(super) fn begin(&self, env: &Environment) {
        if self.format == Format::Json {
            return;
        }
        let kind = env.pick("full", "quick");
        let rounds = env.rounds();
        if env.busy {
            println!("All processors are busy with something else.");
        }
        println!(
            "{kind} run, medians of {rounds} rounds, in {}\n",
            env.dir().display()
        );
        if !self.peers.is_empty() {
            println!(
                "Some of the other stores work in the background between their runs: judge the \
                 goals by a run without these stores.\n"
            );
        }
        let peers = self.peers.iter().map(|kind| kind.name);
        let heads: Vec<String> = COLUMNS
            .into_iter()
            .chain(peers)
            .map(str::to_owned)
            .collect();
        self.line("workload", &heads, "");
        if self.format == Format::Markdown {
            let rule = vec!["---:".to_owned(); heads.len()];
            self.line("---", &rule, "---");
        }
    }

    pub(super) fn row(&self, row: &Row) {
        if self.format == Format::Json {
            return;
        }
        let figure = |value: Option<f64>| value.map_or("–".to_owned(), |it| show(it, row.unit));
        let ratio = |value: Option<f64>| value.map_or("–".to_owned(), |it| format!("{it:.2} ×"));
        let spread = row.spread.map_or("–".to_owned(), |(low, high)| {
            format!("{low:.2}…{high:.2}")
        });
        let met = match row.is_met() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "–",
        };
        let mut cells = vec![
            figure(row.floor),
            figure(row.ours),
            ratio(row.ratio()),
            spread,
            goal(row),
            met.to_owned(),
        ];
        for kind in self.peers {
            let figures = row.peers.iter().find(|(name, _)| *name == kind.name);
            cells.push(figure(figures.map(|(_, figure)| *figure)));
        }
        self.line(&row.title, &cells, row.note.as_deref().unwrap_or(""));
    }

    fn line(&self, title: &str, cells: &[String], note: &str) {
        if self.format == Format::Markdown {
            println!("| {title} | {} | {note} |", cells.join(" | "));
        } else {
            print!("{title:width$}", width = self.width);
            cells.iter().for_each(|cell| print!(" {cell:>12}"));
            println!("  {note}");
        }
        let _ = io::stdout().flush();
    }

    pub(super) fn end(&self, rows: &[Row]) {
        if self.format == Format::Json {
            let rows: Vec<Value> = rows.iter().map(to_json).collect();
            println!("{:#}", Value::from(rows));
            return;
        }
        let judged: Vec<bool> = rows.iter().filter_map(Row::is_met).collect();
        let met = judged.iter().filter(|&&met| met).count();
        println!("\n{met} of {} goals met", judged.len());
    }
}

fn goal(row: &Row) -> String {
    match row.goal {
        Goal::Ratio(goal) if goal.is_infinite() => "–".to_owned(),
        Goal::Ratio(goal) => format!("≤ {goal:.2} ×"),
        Goal::AtMost(_) if row.ours.is_none() => "–".to_owned(),
        Goal::AtMost(goal) => format!("≤ {}", show(goal, row.unit)),
    }
}

pub(super) fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Time if value < 1e-3 => format!("{:.2} µs", value * 1e6),
        Unit::Time => format!("{:.2} ms", value * 1e3),
        Unit::Bytes => format!("{:.1} MiB", value / 1_048_576.0),
        Unit::Number => format!("{value:.4}"),
    }
}

fn to_json(row: &Row) -> Value {
    let (kind, goal) = match row.goal {
        Goal::Ratio(goal) => ("ratio", goal),
        Goal::AtMost(goal) => ("at_most", goal),
    };
    let peers = row.peers.iter();
    let peers = peers.map(|(name, figure)| ((*name).to_owned(), Value::from(*figure)));
    json!({
        "workload": row.title,
        "unit": match row.unit { Unit::Time => "s", Unit::Bytes => "B", Unit::Number => "" },
        "floor": row.floor,
        "ours": row.ours,
        "ratio": row.ratio(),
        "lowest_ratio": row.spread.map(|(low, _)| low),
        "highest_ratio": row.spread.map(|(_, high)| high),
        "goal": { kind: goal },
        "met": row.is_met(),
        "peers": Value::Object(peers.collect()),
        "note": row.note,
    })
}
