//! How a run of the program ends, and the exit status of each outcome and error.

use std::process::ExitCode;

/// The exit status of a command that failed.
pub(crate) const FAILED: u8 = 1;

/// The exit status for wrong usage.
pub(crate) const WRONG_USAGE: u8 = 2;

/// The exit status of `has` if an error prevents it from finding out: 1 already means "no".
pub(crate) const CANNOT_TELL: u8 = 2;

/// The result of a command that ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well, or the answer is yes.
    Success,
    /// Something is wrong and was reported, or the answer is no.
    Failure,
}

impl Outcome {
    /// Returns `Success` if the condition holds.
    pub(crate) fn success_if(condition: bool) -> Outcome {
        if condition {
            Outcome::Success
        } else {
            Outcome::Failure
        }
    }

    /// Returns `Success` if both are.
    pub(crate) fn and(self, other: Outcome) -> Outcome {
        match self {
            Outcome::Success => other,
            Outcome::Failure => Outcome::Failure,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => ExitCode::SUCCESS,
            Outcome::Failure => ExitCode::from(FAILED),
        }
    }
}

/// An error that ends the program, and its exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: anyhow::Error,
    pub(crate) status: u8,
}

impl Failure {
    /// Creates a failure with this status, unless the error has a status of its own.
    pub(crate) fn with_status(error: anyhow::Error, status: u8) -> Self {
        let status = match error.downcast_ref::<Interrupted>() {
            Some(interrupted) => interrupted.status(),
            None if error.is::<WrongUsage>() => WRONG_USAGE,
            None => status,
        };
        Failure { error, status }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::with_status(error, FAILED)
    }
}

/// Arguments that can be parsed, but make no sense together or here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUsage(pub(crate) String);

/// The reader of standard output has gone, which ends the program without a message.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct ClosedPipe;

/// The signal by which the user asked the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Interrupted {
    #[error("interrupted")]
    Interrupt,
    #[error("terminated")]
    Terminate,
}

impl Interrupted {
    /// Returns the exit status that shells report for a program that the signal killed: 128 plus the
    /// number of the signal.
    pub(crate) fn status(self) -> u8 {
        match self {
            Interrupted::Interrupt => 130,
            Interrupted::Terminate => 143,
        }
    }
}
