//! [`Row`]: one line of the table.

use super::race::Times;

pub(super) const FLOOR: &str = "floor";
pub(super) const OURS: &str = "flatfs";

/// What was measured of one work, and what the goal is.
pub(super) struct Row {
    pub(super) title: String,
    pub(super) unit: Unit,
    /// Absent where the goal is not one beside a floor.
    pub(super) floor: Option<f64>,
    /// Whether what stands for the floor is our own figure in a smaller store.
    pub(super) floor_is_ours: bool,
    /// Absent if the work was left out.
    pub(super) ours: Option<f64>,
    /// The lowest and the highest ratio of a round.
    pub(super) spread: Option<(f64, f64)>,
    pub(super) goal: Goal,
    pub(super) peers: Vec<(&'static str, f64)>,
    /// What a reader has to know about this line.
    pub(super) note: Option<String>,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds.
    Time,
    Bytes,
    /// Something that has no unit.
    Number,
}

/// What our figure is to be at most.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// So many times the floor.
    Ratio(f64),
    /// So much, whatever the floor is.
    AtMost(f64),
}

impl Row {
    pub(super) fn new(title: &str, goal: Goal, unit: Unit) -> Self {
        Row {
            title: title.to_owned(),
            unit,
            floor: None,
            floor_is_ours: false,
            ours: None,
            spread: None,
            goal,
            peers: Vec::new(),
            note: None,
        }
    }

    /// The row of a race between the floor, ours, and whoever else ran.
    pub(super) fn of_race(title: &str, goal: Goal, times: &Times) -> Self {
        let peers = times.names().filter(|name| ![FLOOR, OURS].contains(name));
        let peers = peers.filter_map(|name| Some((name, times.median(name)?)));
        Row {
            floor: times.median(FLOOR),
            ours: times.median(OURS),
            spread: times.spread(OURS, FLOOR),
            peers: peers.collect(),
            ..Row::new(title, goal, Unit::Time)
        }
    }

    pub(super) fn skipped(title: &str, goal: Goal, why: impl Into<String>) -> Self {
        Row::new(title, goal, Unit::Number).note(format!("left out: {}", why.into()))
    }

    pub(super) fn figures(mut self, floor: Option<f64>, ours: f64) -> Self {
        self.floor = floor;
        self.ours = Some(ours);
        self
    }

    /// The figures of a small store of ours and of a large one.
    pub(super) fn grown(self, small: f64, large: f64) -> Self {
        Row {
            floor_is_ours: true,
            ..self.figures(Some(small), large)
        }
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Says more beside what the note says already.
    pub(super) fn add_note(&mut self, more: &str) {
        let said = self.note.take();
        self.note = Some(said.map_or_else(|| more.to_owned(), |said| format!("{said}; {more}")));
    }

    pub(super) fn ratio(&self) -> Option<f64> {
        let floor = self.floor.filter(|&floor| floor > 0.0)?;
        Some(self.ours? / floor)
    }

    pub(super) fn is_met(&self) -> Option<bool> {
        match self.goal {
            Goal::Ratio(goal) => self.ratio().map(|ratio| ratio <= goal),
            Goal::AtMost(goal) => self.ours.map(|ours| ours <= goal),
        }
    }
}
