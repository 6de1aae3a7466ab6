//! How a run of the program ends, and the exit status of each outcome and error.

use std::process::ExitCode;

/// The exit status of a command that did its work and found a problem, or whose result is no.
const FOUND: u8 = 1;

/// The exit status for invalid usage.
pub(crate) const WRONG_USAGE: u8 = 2;

/// The exit status of a comparison that has failed.
const CANNOT_TELL: u8 = 2;

/// The exit status of a command that could not do its work, or not all of it. A script that repairs what a
/// command has found must not confuse the two.
const FAILED: u8 = 3;

/// The exit status that shells report for a program that SIGPIPE killed. Never 0: the reader may have gone before the
/// result of a comparison or a check was known.
const CLOSED_PIPE: u8 = 141;

/// The result of a command that ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// No problem was found, or the result is yes.
    Success,
    /// Something is wrong or absent, or was skipped, and was reported; or the result is no.
    Found,
    /// A part of the work could not be done, and was reported.
    Failed,
    /// A comparison has failed, which was reported. As for diff(1), this is not the status of other failures.
    CannotTell,
}

impl Outcome {
    /// Returns `Success` if the condition holds, and otherwise `Found`.
    pub(crate) fn success_if(condition: bool) -> Outcome {
        if condition {
            Outcome::Success
        } else {
            Outcome::Found
        }
    }

    /// Returns the worse of the two outcomes.
    pub(crate) fn and(self, other: Outcome) -> Outcome {
        match (self, other) {
            (Outcome::CannotTell, _) | (_, Outcome::CannotTell) => Outcome::CannotTell,
            (Outcome::Failed, _) | (_, Outcome::Failed) => Outcome::Failed,
            (Outcome::Found, _) | (_, Outcome::Found) => Outcome::Found,
            (Outcome::Success, Outcome::Success) => Outcome::Success,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => ExitCode::SUCCESS,
            Outcome::Found => ExitCode::from(FOUND),
            Outcome::Failed => ExitCode::from(FAILED),
            Outcome::CannotTell => ExitCode::from(CANNOT_TELL),
        }
    }
}

/// An error that ends the program, and its exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: anyhow::Error,
    pub(crate) status: u8,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let status = match error.downcast_ref::<Interrupted>() {
            Some(interrupted) => interrupted.status(),
            None if error.is::<WrongUsage>() => WRONG_USAGE,
            None if error.is::<ClosedPipe>() => CLOSED_PIPE,
            None => FAILED,
        };
        Failure { error, status }
    }
}

/// Arguments that can be parsed, but are not valid together or here.
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
