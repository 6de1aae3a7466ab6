//! [`Subset`] and [`Scrub`]: a check of a large store in subsets, one in each run.

use std::fs::{File, TryLockError};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::location::Location;
use crate::output::Output;
use crate::text::escape;
use crate::{input, platform};

/// The longest state file that is read, in bytes.
const MAX_STATE: u64 = 64 << 10;

/// One of several subsets of the blocks, counted from 1. All of them together have all blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subset {
    pub(crate) number: u32,
    pub(crate) of: NonZeroU32,
}

impl FromStr for Subset {
    type Err = String;

    /// Parses `N/T`, or `P%`. The latter is the first of equal subsets of at most `P%` each, as few as possible.
    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || "a subset is N/T with N from 1 to T, such as 1/30, or P%, such as 2.5%";
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.parse().map_err(|_| invalid())?;
            let subsets = (100.0 / percent).ceil();
            if !(percent > 0.0 && percent <= 100.0 && subsets <= f64::from(u32::MAX)) {
                return Err(invalid().to_owned());
            }
            let of = NonZeroU32::new(subsets as u32).ok_or_else(invalid)?;
            return Ok(Subset { number: 1, of });
        }
        let (number, of) = text.split_once('/').ok_or_else(invalid)?;
        let number: u32 = number.parse().map_err(|_| invalid())?;
        let of: NonZeroU32 = of.parse().map_err(|_| invalid())?;
        if number == 0 || number > of.get() {
            return Err(invalid().to_owned());
        }
        Ok(Subset { number, of })
    }
}

/// A run that checks one subset. No other run can have the same state file meanwhile: it would check the same subset, and
/// the one that ends last would undo what the other has noted.
#[derive(Debug)]
pub(crate) struct Scrub {
    state: ScrubState,
    path: PathBuf,
    /// A file of its own, because the state file is replaced. It stays: removing it would race with a run that is
    /// about to lock it.
    _lock: File,
}

/// Which subset is next, and when all of them were last checked. It is saved as JSON.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ScrubState {
    /// The path of the store, or its URL.
    store: String,
    subsets: NonZeroU32,
    next: u32,
    /// The number of subsets that were checked in this round.
    checked: u32,
    /// When this round began, in seconds since 1970.
    began: u64,
    /// When the last whole round began and ended.
    whole: Option<Round>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Round {
    began: u64,
    ended: u64,
}

impl Scrub {
    /// Begins a run with the state in a file.
    ///
    /// # Errors
    ///
    /// Fails if another run has this state, or if the file can't be read or written, is not a state, or is that of
    /// another store.
    pub(crate) async fn begin(
        path: &Path,
        store: &Location,
        subset: Subset,
    ) -> anyhow::Result<Self> {
        // Before the read, so that no other run replaces the state after it.
        let lock = lock(path)?;
        Ok(Scrub {
            state: ScrubState::read(path, store, subset).await?,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Returns the subset that is next.
    pub(crate) fn subset(&self) -> Subset {
        self.state.subset()
    }

    /// Notes that the subset was checked, and writes the state to the file. Unless all of it could be read, the round
    /// does not count as a check of the whole store.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub(crate) fn finish(mut self, is_complete: bool) -> anyhow::Result<()> {
        match is_complete {
            true => self.state.advance(now()),
            false => self.state.begin_round(now()),
        }
        let text = serde_json::to_string(&self.state).context("cannot write the state as JSON")?;
        let mut output = Output::open(Some(&self.path))?;
        output.write(text.as_bytes())?;
        output.write(b"\n")?;
        output.finish()
    }
}

impl ScrubState {
    /// Reads the state of a store from a file. If there is none, or if it is about another number of
    /// subsets, a round begins with the given subset.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be read or written, is not a state, or is that of another store.
    async fn read(path: &Path, store: &Location, subset: Subset) -> anyhow::Result<Self> {
        let store = match store {
            // The next run may name the directory in another way.
            Location::Dir(dir) => platform::canonical(dir)
                .with_context(|| format!("cannot look up {}", dir.display()))?
                .display()
                .to_string(),
            Location::Url(_) => store.to_string(),
        };
        let new = ScrubState {
            store,
            subsets: subset.of,
            next: subset.number,
            checked: 0,
            began: now(),
            whole: None,
        };
        // An error shows now, and not after a check of many hours. Without `finish` the file stays as it is.
        drop(Output::open(Some(path))?);
        let exists = path.try_exists();
        let exists = exists.with_context(|| format!("cannot look up {}", path.display()))?;
        if !exists {
            return Ok(new);
        }
        let text = input::read_text(path, MAX_STATE).await?;
        let found: ScrubState = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is not a state of 'flatfs verify': remove it to begin again",
                path.display()
            )
        })?;
        let subsets = found.subsets.get();
        if found.next == 0 || found.next > subsets || found.checked >= subsets {
            bail!(
                "{} names or counts subsets that do not exist: remove it to begin again",
                path.display()
            );
        }
        if found.store != new.store {
            bail!(
                "{} is the state of {}, and not of {}: name another file, or remove it to begin again",
                path.display(),
                escape(&found.store),
                escape(&new.store)
            );
        }
        match found.subsets == subset.of {
            true => Ok(found),
            false => Ok(ScrubState {
                whole: found.whole,
                ..new
            }),
        }
    }

    fn subset(&self) -> Subset {
        Subset {
            number: self.next,
            of: self.subsets,
        }
    }

    /// Notes that the next subset was checked.
    fn advance(&mut self, now: u64) {
        if self.checked + 1 >= self.subsets.get() {
            self.whole = Some(Round {
                began: self.began,
                ended: now,
            });
            self.begin_round(now);
        } else {
            self.checked += 1;
            self.next = self.after_next();
        }
    }

    /// Begins a round after the next subset.
    fn begin_round(&mut self, now: u64) {
        self.next = self.after_next();
        self.checked = 0;
        self.began = now;
    }

    fn after_next(&self) -> u32 {
        self.next % self.subsets.get() + 1
    }
}

/// Locks the file beside a state file until the returned file is dropped.
fn lock(path: &Path) -> anyhow::Result<File> {
    // All names of one state have the same lock.
    let mut name = platform::canonical(path)
        .unwrap_or_else(|_| path.to_owned())
        .into_os_string();
    name.push(".lock");
    let name = PathBuf::from(name);
    // Windows locks no file that is open only to append.
    let mut options = File::options();
    let open = options.read(true).append(true).create(true).open(&name);
    let file = open.with_context(|| format!("cannot open {}", name.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another run has the state {}: wait until it ends",
            path.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", name.display()))
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subset(number: u32, of: u32) -> Subset {
        let of = NonZeroU32::new(of).unwrap();
        Subset { number, of }
    }

    #[test]
    fn a_subset_is_a_number_of_several_or_a_percentage() {
        assert_eq!("3/30".parse(), Ok(subset(3, 30)));
        assert_eq!("2.5%".parse(), Ok(subset(1, 40)));
        assert_eq!("100%".parse(), Ok(subset(1, 1)));
        for (percent, subsets) in [("30%", 4), ("1.5%", 67), ("0.1%", 1_000)] {
            assert_eq!(
                percent.parse(),
                Ok(subset(1, subsets)),
                "no subset is larger"
            );
        }
        for text in [
            "0/3", "4/3", "1/0", "3", "%", "0%", "101%", "-1%", "NaN%", "1/x",
        ] {
            assert!(text.parse::<Subset>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_round_is_whole_when_every_share_was_checked() {
        let mut state = ScrubState {
            store: "/blocks".to_owned(),
            subsets: NonZeroU32::new(3).unwrap(),
            next: 2,
            checked: 0,
            began: 10,
            whole: None,
        };
        let mut checked = Vec::new();
        for now in [20, 30, 40] {
            assert_eq!(state.whole, None);
            checked.push(state.subset().number);
            state.advance(now);
        }
        assert_eq!(checked, [2, 3, 1]);
        assert_eq!(
            state.whole,
            Some(Round {
                began: 10,
                ended: 40
            })
        );
        assert_eq!((state.next, state.checked, state.began), (2, 0, 40));
    }
}
