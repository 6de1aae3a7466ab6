//! [`Row`]: one line of the table.

use super::comparison::Times;

pub(super) const FLOOR: &str = "floor";
pub(super) const OURS: &str = "flatfs";
/// The same work by plain calls that keep some of the promises of our store, as far as a goal can be met at all.
pub(super) const LIMIT: &str = "limit";

/// The figures of one workload, and its goal.
pub(super) struct Row {
    pub(super) title: String,
    pub(super) unit: Unit,
    /// Absent if the workload has no floor.
    pub(super) floor: Option<f64>,
    /// Whether the floor is our own figure in a smaller store.
    pub(super) floor_is_ours: bool,
    /// Absent if the workload was skipped.
    pub(super) ours: Option<f64>,
    /// The lowest and the highest ratio of a round.
    pub(super) spread: Option<(f64, f64)>,
    pub(super) goal: Goal,
    pub(super) peers: Vec<(&'static str, f64)>,
    /// What a reader has to know about this row.
    pub(super) note: Option<String>,
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds.
    Time,
    Bytes,
    /// A number without a unit.
    Number,
}

/// The upper limit of our figure.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// A multiple of the floor. Infinity means that there is no goal.
    Ratio(f64),
    /// An absolute figure.
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

    /// Returns the row of a comparison of the floor, our store, and any other stores.
    pub(super) fn of_comparison(title: &str, goal: Goal, times: &Times) -> Self {
        let peers = times
            .names()
            .filter(|name| ![FLOOR, OURS, LIMIT].contains(name));
        let peers = peers.filter_map(|name| Some((name, times.median(name)?)));
        Row {
            floor: times.median(FLOOR),
            ours: times.median(OURS),
            spread: times.spread(OURS, FLOOR),
            peers: peers.collect(),
            ..Row::new(title, goal, Unit::Time)
        }
    }

    /// Notes what the [`LIMIT`] took, and what it does.
    pub(super) fn note_limit(&mut self, times: &Times, what: &str) {
        if let (Some(limit), Some(floor)) = (times.median(LIMIT), times.median(FLOOR)) {
            let ratio = limit / floor;
            self.add_note(&format!("{what}: {:.1} µs, {ratio:.2}", limit * 1e6));
        }
    }

    pub(super) fn skipped(title: &str, goal: Goal, reason: impl Into<String>) -> Self {
        Row::new(title, goal, Unit::Number).note(format!("skipped: {}", reason.into()))
    }

    pub(super) fn figures(mut self, floor: Option<f64>, ours: f64) -> Self {
        self.floor = floor;
        self.ours = Some(ours);
        self
    }

    /// Sets the figures of a small store and of a large one, both ours.
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

    /// Adds to the note.
    pub(super) fn add_note(&mut self, more: &str) {
        let note = self.note.take();
        self.note = Some(note.map_or_else(|| more.to_owned(), |note| format!("{note}; {more}")));
    }

    pub(super) fn ratio(&self) -> Option<f64> {
        let floor = self.floor.filter(|&floor| floor > 0.0)?;
        Some(self.ours? / floor)
    }

    pub(super) fn is_met(&self) -> Option<bool> {
        match self.goal {
            Goal::Ratio(goal) if goal.is_infinite() => None,
            Goal::Ratio(goal) => self.ratio().map(|ratio| ratio <= goal),
            Goal::AtMost(goal) => self.ours.map(|ours| ours <= goal),
        }
    }
}
