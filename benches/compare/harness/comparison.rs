//! [`Comparison`]: contenders run alternately, so that other load on the machine affects all of them
//! alike.

use std::time::Duration;

/// The contenders for one workload. Each prepares, runs the workload once, and returns how long it took.
#[derive(Default)]
pub(super) struct Comparison<'a> {
    contenders: Vec<ComparedRun<'a>>,
}

struct ComparedRun<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> Duration + 'a>,
    rounds: Vec<f64>,
}

impl<'a> Comparison<'a> {
    pub(super) fn add(&mut self, name: &'static str, run: impl FnMut() -> Duration + 'a) {
        self.contenders.push(ComparedRun {
            name,
            run: Box::new(run),
            rounds: Vec::new(),
        });
    }

    /// Runs all contenders alternately: one round to warm up, then this number of rounds, each of which
    /// begins with a different contender. `units` is the amount of work in one run.
    pub(super) fn run(mut self, rounds: usize, units: usize) -> Times {
        let contenders = self.contenders.len();
        for round in 0..=rounds {
            for offset in 0..contenders {
                let contender = &mut self.contenders[(round + offset) % contenders];
                let time = (contender.run)().as_secs_f64() / units as f64;
                if round > 0 {
                    contender.rounds.push(time);
                }
            }
        }
        let times = self.contenders.into_iter();
        Times(times.map(|one| (one.name, one.rounds)).collect())
    }
}

/// The seconds that a unit of work took each contender, in each round.
pub(super) struct Times(Vec<(&'static str, Vec<f64>)>);

impl Times {
    pub(super) fn median(&self, name: &str) -> Option<f64> {
        let (_, rounds) = self.0.iter().find(|(one, _)| *one == name)?;
        Some(median(rounds))
    }

    /// Returns the lowest and the highest ratio of a round.
    pub(super) fn spread(&self, name: &str, beside: &str) -> Option<(f64, f64)> {
        let rounds = |name| self.0.iter().find(|(one, _)| *one == name);
        let ((_, times), (_, others)) = (rounds(name)?, rounds(beside)?);
        let ratios = times.iter().zip(others).map(|(time, other)| time / other);
        let none = (f64::INFINITY, 0.0_f64);
        Some(ratios.fold(none, |(low, high), ratio| (low.min(ratio), high.max(ratio))))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.is_empty() {
        0.0
    } else if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}
