//! [`GarbageList`]: the blocks that a garbage collection removes, printed as they are removed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ds_flatfs::Key;
use serde::Serialize;

use crate::exit::ClosedPipe;
use crate::output::Output;
use crate::{report, terminal};

/// Prints the blocks that are removed, if that is asked for.
pub(crate) struct GarbageList {
    json: bool,
    state: Mutex<State>,
}

enum State {
    Open(Output),
    /// Nothing is to be printed, or nothing more because the reader has gone. The collection goes on.
    Closed,
    Failed(anyhow::Error),
}

#[derive(Serialize)]
struct GarbageJson {
    key: String,
    cid: Option<String>,
    bytes: u64,
}

impl GarbageList {
    /// Prints to standard output if `wanted` is set.
    pub(crate) fn new(wanted: bool, json: bool) -> Self {
        let state = match wanted {
            true => State::Open(Output::stdout()),
            false => State::Closed,
        };
        GarbageList {
            json,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn print(&self, key: &Key, bytes: u64) {
        let mut state = self.lock();
        if let State::Open(output) = &mut *state
            && let Err(error) = self
                .line(key, bytes)
                .and_then(|line| output.write(line.as_bytes()))
        {
            *state = State::after(error);
        }
    }

    /// Returns whether blocks were removed that could not be printed.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(*self.lock(), State::Failed(_))
    }

    /// Writes out what was printed.
    ///
    /// # Errors
    ///
    /// Fails if a part of the list could not be written, except because its reader has gone.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        let state = std::mem::replace(&mut *self.lock(), State::Closed);
        let state = match state {
            State::Open(output) => match terminal::above_bars(|| output.finish()) {
                Ok(()) => State::Closed,
                Err(error) => State::after(error),
            },
            state => state,
        };
        match state {
            State::Failed(error) => Err(error),
            State::Open(_) | State::Closed => Ok(()),
        }
    }

    fn line(&self, key: &Key, bytes: u64) -> anyhow::Result<String> {
        match self.json {
            true => report::json_line(&GarbageJson {
                key: key.to_string(),
                cid: key.to_cid().map(|cid| cid.to_string()),
                bytes,
            }),
            false => Ok(format!("{key}\n")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn after(error: anyhow::Error) -> Self {
        match error.is::<ClosedPipe>() {
            true => State::Closed,
            false => State::Failed(error),
        }
    }
}
