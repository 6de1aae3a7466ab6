//! [`Loss`]: what a crash takes, and the [`Fate`] that decides it thing by thing.

use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// What is lost in a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing: the process was killed. What wasn't durable still isn't.
    None,
    /// All that wasn't durable: a power cut.
    All,
    /// Of what wasn't durable each thing by itself, as the seed has it: a power cut in the middle of
    /// writing it back.
    Some(u64),
}

/// Decides what a power cut leaves of one thing after the other.
pub(super) enum Fate {
    LosesAll,
    Rolls(Box<TestRng>),
}

/// What a power cut leaves of the contents of a file that weren't durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remains {
    Whole,
    Durable,
    /// The first bytes.
    Cut(usize),
    /// The first bytes, and zeros to the full length.
    Zeroed(usize),
}

impl Fate {
    pub(super) fn seeded(seed: u64) -> Self {
        let seed = [seed.to_le_bytes(); 4];
        let dice = TestRng::from_seed(RngAlgorithm::ChaCha, seed.as_flattened());
        Fate::Rolls(Box::new(dice))
    }

    /// Whether the next change of an entry is kept.
    pub(super) fn keeps(&mut self) -> bool {
        match self {
            Fate::LosesAll => false,
            Fate::Rolls(dice) => dice.random_bool(0.5),
        }
    }

    /// What is left of the next contents.
    pub(super) fn remains(&mut self, len: usize) -> Remains {
        let Fate::Rolls(dice) = self else {
            return Remains::Durable;
        };
        match dice.random_range(0..4) {
            0 => Remains::Whole,
            1 => Remains::Durable,
            2 => Remains::Cut(dice.random_range(0..=len)),
            _ => Remains::Zeroed(dice.random_range(0..=len)),
        }
    }
}
