//! The chart: the time of each store as a multiple of the floor, for workloads whose floor is a time.

use std::fmt::Write as _;

use super::contender::PeerKind;
use super::row::{FLOOR, OURS, Row, Unit};
use super::table::show;

// Lengths are in pixels.
const TITLES: f64 = 300.0;
const BARS: f64 = 480.0;
const FIGURES: f64 = 170.0;
const BAR: f64 = 14.0;
const GAP: f64 = 12.0;
const HEAD: f64 = 56.0;
/// Longer bars are cut off at this multiple of the floor, and marked.
const MAX_RATIO: f64 = 4.0;

const STYLE: &str = "\
text { font: 13px sans-serif; fill: #1f2328 }
.figure, .legend { font-size: 11px }
.one { stroke: #1f2328; stroke-dasharray: 3 3 }
.c0 { fill: #9aa3ad } .c1 { fill: #c2410c } .c2 { fill: #2f81c7 } .c3 { fill: #8a5cd1 }
.c4 { fill: #2b9a66 } .c5 { fill: #b8931a }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .one { stroke: #e6edf3 } }";

pub(super) fn draw(rows: &[Row], peers: &'static [PeerKind]) -> String {
    let names: Vec<&str> = [FLOOR, OURS]
        .into_iter()
        .chain(peers.iter().map(|kind| kind.name))
        .collect();
    let mut body = legend(&names);
    let mut y = HEAD;
    for row in rows.iter().filter(|row| is_drawn(row)) {
        y += draw_row(&mut body, row, &names, y) + GAP;
    }
    let one = TITLES + BARS / MAX_RATIO;
    let _ = writeln!(
        body,
        "<line class=\"one\" x1=\"{one}\" x2=\"{one}\" y1=\"{HEAD}\" y2=\"{y}\"/>"
    );
    let width = TITLES + BARS + FIGURES;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {y}\" role=\"img\">\n\
         <title>Time compared with a plain std::fs loop; shorter is better</title>\n\
         <style>\n{STYLE}\n</style>\n{body}</svg>\n"
    )
}

fn is_drawn(row: &Row) -> bool {
    row.unit == Unit::Time && row.ratio().is_some() && !row.floor_is_ours
}

fn legend(names: &[&str]) -> String {
    let mut text = format!(
        "<text x=\"{TITLES}\" y=\"16\">times the floor, a plain std::fs loop: shorter is better</text>\n"
    );
    for (index, name) in names.iter().enumerate() {
        let x = TITLES + 100.0 * index as f64;
        let _ = writeln!(
            text,
            "<rect class=\"c{index}\" x=\"{x}\" y=\"30\" width=\"10\" height=\"10\"/>\
             <text class=\"legend\" x=\"{}\" y=\"39\">{name}</text>",
            x + 15.0
        );
    }
    text
}

/// Draws a row, and returns its height.
fn draw_row(body: &mut String, row: &Row, names: &[&str], top: f64) -> f64 {
    let floor = row.floor.unwrap_or(f64::NAN);
    let title = escape(&row.title);
    let _ = writeln!(
        body,
        "<text x=\"0\" y=\"{}\">{title}</text>",
        top + BAR - 3.0
    );
    let mut y = top;
    for (index, name) in names.iter().enumerate() {
        let figure = match *name {
            FLOOR => row.floor,
            OURS => row.ours,
            peer => row
                .peers
                .iter()
                .find(|(one, _)| *one == peer)
                .map(|(_, it)| *it),
        };
        let Some(figure) = figure else { continue };
        let ratio = figure / floor;
        let length = BARS / MAX_RATIO * ratio.min(MAX_RATIO);
        let cut = if ratio > MAX_RATIO { "… " } else { "" };
        let _ = writeln!(
            body,
            "<rect class=\"c{index}\" x=\"{TITLES}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\"/>\
             <text class=\"figure\" x=\"{:.1}\" y=\"{}\">{cut}{ratio:.2} × ({})</text>",
            BAR - 2.0,
            TITLES + length + 5.0,
            y + BAR - 4.0,
            show(figure, row.unit),
        );
        y += BAR;
    }
    y - top
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
