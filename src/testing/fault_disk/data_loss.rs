//! [`DataLoss`]: what a crash destroys, and the [`LossModel`] that decides it for each change and file.

use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// What a crash destroys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataLoss {
    /// Nothing: the process was killed. What wasn't durable still isn't durable.
    None,
    /// Everything that wasn't durable: a power cut.
    AllUnflushed,
    /// A part of what wasn't durable, chosen by this seed: a power cut while the system was writing it
    /// back.
    SomeUnflushed(u64),
}

/// Decides, for one change or file after the other, what a power cut leaves of it.
pub(super) enum LossModel {
    LoseAll,
    Random(Box<TestRng>),
}

/// What a power cut leaves of file contents that weren't durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SurvivingContents {
    /// The live contents, complete.
    Live,
    /// The contents that were durable before.
    Durable,
    /// This number of bytes of the live contents.
    Truncated(usize),
    /// This number of bytes of the live contents, then zeros up to their full length.
    ZeroFilled(usize),
}

impl LossModel {
    pub(super) fn seeded(seed: u64) -> Self {
        let seed = [seed.to_le_bytes(); 4];
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, seed.as_flattened());
        LossModel::Random(Box::new(rng))
    }

    /// Returns whether the next change of an entry survives.
    pub(super) fn change_survives(&mut self) -> bool {
        match self {
            LossModel::LoseAll => false,
            LossModel::Random(rng) => rng.random_bool(0.5),
        }
    }

    /// Returns what survives of the next file's contents, which are `len` bytes long.
    pub(super) fn surviving_contents(&mut self, len: usize) -> SurvivingContents {
        let LossModel::Random(rng) = self else {
            return SurvivingContents::Durable;
        };
        match rng.random_range(0..4) {
            0 => SurvivingContents::Live,
            1 => SurvivingContents::Durable,
            2 => SurvivingContents::Truncated(rng.random_range(0..=len)),
            _ => SurvivingContents::ZeroFilled(rng.random_range(0..=len)),
        }
    }
}
