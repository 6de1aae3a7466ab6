//! `flatfs import`

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::Args;
use ds_flatfs::Error;
use indicatif::HumanCount;
use serde::Serialize;

use crate::car::CarCid;
use crate::car_import::{BatchFiller, ImportStats, InputCar, nothing_imported};
use crate::exit::Outcome;
use crate::interrupt::interruptible;
use crate::kubo_args::KuboArgs;
use crate::location::StoreArgs;
use crate::open_store::{self, OpenStore};
use crate::progress::ProgressBar;
use crate::text::escape;
use crate::{blocks, car, input, report, text};

/// The maximum number of roots that the summary lists, and of absent roots that are reported one by one.
const MAX_LISTED_ROOTS: usize = 100;

/// Store the blocks of CARs (versions 1 and 2)
#[derive(Debug, Args)]
#[command(after_long_help = "\
Each CAR is imported as a whole or not at all. If one is refused, the CARs before it stay imported. An \
object store has no transactions: if sending fails or is interrupted, a part of the last CAR may be stored. Run the \
command again.

Every block is checked against the hash in its CID. An unknown hash function is an error; with \
--unverified, blocks with unknown hash functions are stored without a check, and all others are still \
checked. Blocks that are inline in their CIDs (identity hash) are checked and counted, but not stored.

A CAR that was cut off between two blocks looks complete, except that roots may be missing. So a root that is \
neither in the CAR nor in the store is reported and makes the exit status 1; the blocks are imported in any \
case. Use --allow-missing-roots for CARs that are meant to be partial. The header of a CAR may have at most 1 \
MiB.

With --json it prints an object for each CAR, with \"path\" (null for standard input), \"blocks\", \"new\", \
\"inline\", \"bytes\", \"roots\", \"missing_roots\" and \"seconds\".

The index of a CAR of version 2 is ignored. DIR is created, with next-to-last/2, if it is missing or empty.

Example:
  flatfs import blocks backup.car
  curl -s https://example.org/dag.car | flatfs import blocks -")]
pub(crate) struct Import {
    #[command(flatten)]
    store: StoreArgs,
    /// The CARs; '-' is standard input
    #[arg(required = true, value_name = "CAR")]
    cars: Vec<PathBuf>,
    /// Store blocks with unknown hash functions without a check
    #[arg(long)]
    unverified: bool,
    /// Accept roots that are neither in their CAR nor in the store
    #[arg(long)]
    allow_missing_roots: bool,
    /// Accept blocks over 8 MiB, up to 1 GiB, as `put --allow-big-block` makes them
    #[arg(long)]
    allow_big_block: bool,
    /// Print a JSON object for each CAR instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kubo: KuboArgs,
}

#[derive(Serialize)]
struct ImportJson<'a> {
    path: Option<String>,
    #[serde(flatten)]
    stats: &'a ImportStats,
    roots: Vec<String>,
    missing_roots: usize,
    seconds: f64,
}

impl Import {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        // The time of the first CAR includes the open, which may have to clean up.
        let started = Instant::now();
        input::check_stdin(&self.cars)?;
        let Some((first, others)) = self.cars.split_first() else {
            return Ok(Outcome::Success);
        };
        // The CAR is opened before the store, so that no store is created for a file that is not a CAR.
        let first = self.open(first).await?;
        let _lock = self.kubo.lock(self.store.dir.dir().as_slice()).await?;
        open_store::for_importing(&self.store, None, async |store| {
            let mut outcome = self.import(store, first, started).await?;
            for car in others {
                let started = Instant::now();
                let next = self.import(store, self.open(car).await?, started).await?;
                outcome = outcome.and(next);
            }
            Ok(outcome)
        })
        .await
    }

    async fn open(&self, path: &Path) -> anyhow::Result<InputCar> {
        let mut car = InputCar::open(path).await?;
        if self.allow_big_block {
            car.reader.allow_big_sections();
        }
        Ok(car)
    }
}

impl Import {
    async fn import(
        &self,
        store: &OpenStore,
        mut car: InputCar,
        started: Instant,
    ) -> anyhow::Result<Outcome> {
        let roots = car.reader.roots().to_vec();
        let mut absent: HashSet<CarCid> = roots.iter().copied().collect();
        let filler = BatchFiller {
            batch: store.batch().await?,
            skips_present: store.keeps_existing_blocks(),
            unverified: self.unverified,
        };
        let filled = interruptible(filler.fill(&mut car, &mut absent)).await;
        let stats = match filled {
            Ok(stats) => {
                let phase = ProgressBar::phase("committing");
                let committed = async { Ok(filler.batch.commit().await) };
                let committed = match store.is_url() {
                    true => interruptible(committed).await,
                    // It is short, and its result is known after it.
                    false => committed.await,
                };
                drop(phase);
                committed
                    // The commit was interrupted.
                    .with_context(|| {
                        let name = &car.name;
                        format!("some or all of {name} may be imported, run the command again")
                    })?
                    .map_err(|error| explain_commit_error(error, &car.name))?;
                stats
            }
            Err(error) => {
                // The user needs to know why the CAR is refused. The next open cleans up what this can't.
                let _phase = ProgressBar::phase("discarding");
                let _ = filler.batch.discard().await;
                return Err(error.context(nothing_imported(&car.name)));
            }
        };
        let missing = match self.allow_missing_roots {
            true => 0,
            false => report_missing(store, &car.name, &roots, &absent).await?,
        };
        if self.json {
            report::json(&ImportJson {
                path: car.path,
                stats: &stats,
                roots: roots.iter().map(ToString::to_string).collect(),
                missing_roots: missing,
                seconds: started.elapsed().as_secs_f64(),
            })?;
        } else {
            print(&car.name, &roots, &stats, started.elapsed())?;
        }
        Ok(Outcome::success_if(missing == 0))
    }
}

/// Reports the roots that are neither in the CAR nor in the store, and returns how many these are.
async fn report_missing(
    store: &OpenStore,
    name: &str,
    roots: &[CarCid],
    absent: &HashSet<CarCid>,
) -> anyhow::Result<usize> {
    let mut missing = 0;
    for root in roots.iter().filter(|root| absent.contains(root)) {
        if has_root(store, root).await? {
            continue;
        }
        missing += 1;
        if missing <= MAX_LISTED_ROOTS {
            report::error(&anyhow!(
                "the root {root} of {name} is neither in it nor in the store: the CAR may be cut short \
                 (--allow-missing-roots accepts that)"
            ));
        }
    }
    if missing > MAX_LISTED_ROOTS {
        let more = HumanCount((missing - MAX_LISTED_ROOTS) as u64);
        report::error(&anyhow!("{more} more roots of {name} are missing"));
    }
    Ok(missing)
}

async fn has_root(store: &OpenStore, root: &CarCid) -> anyhow::Result<bool> {
    match car::short_cid(root) {
        Some(cid) => blocks::has(&**store, &cid).await,
        // Only a CID that contains its block is that long.
        None => Ok(true),
    }
}

fn partly_imported(name: &str) -> String {
    format!("not all of {name} is imported, run the command again")
}

/// Adds what a failed commit means for the user.
fn explain_commit_error(error: Error, name: &str) -> anyhow::Error {
    let meaning = match error {
        Error::CommitIncomplete { .. } => format!(
            "all of {name} is imported, but not all of it can be read before the next command that writes \
             to the store"
        ),
        Error::PartlyStored { .. } => partly_imported(name),
        _ => nothing_imported(name),
    };
    anyhow::Error::from(error).context(meaning)
}

fn print(name: &str, roots: &[CarCid], stats: &ImportStats, time: Duration) -> anyhow::Result<()> {
    let mut lines = summary(name, stats, time);
    for root in roots.iter().take(MAX_LISTED_ROOTS) {
        lines.push_str(&format!("  root {root}\n"));
    }
    if let Some(more) = roots.len().checked_sub(MAX_LISTED_ROOTS + 1) {
        let more = HumanCount(more as u64 + 1);
        lines.push_str(&format!("  and {more} more roots\n"));
    }
    report::summary(&lines)
}

fn summary(name: &str, stats: &ImportStats, time: Duration) -> String {
    let ImportStats {
        blocks,
        new,
        inline,
        bytes,
    } = stats;
    let (name, seconds) = (escape(name), time.as_secs_f64());
    let (blocks, bytes) = (text::blocks(*blocks), HumanCount(*bytes));
    let inline = match inline {
        0 => String::new(),
        inline => format!(" ({} inline in their CIDs)", HumanCount(*inline)),
    };
    let new = HumanCount(*new);
    format!("{name}: {blocks}{inline}, {new} new, {bytes} bytes, {seconds:.2} s\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_commit_imports_nothing_unless_its_record_is_written() {
        let full = || Error::Full {
            action: "write",
            path: "/s/x".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        let incomplete = Error::CommitIncomplete {
            record: "/s/.temp/b/COMMIT".into(),
            source: full().into(),
        };
        let printed = |error| explain_commit_error(error, "a.car").to_string();
        assert_eq!(printed(full()), "none of a.car was imported");
        assert!(printed(incomplete).starts_with("all of a.car is imported, but not all"));
    }

    #[test]
    fn the_summary_is_one_line() {
        let stats = ImportStats {
            blocks: 60_003,
            new: 60_000,
            inline: 1,
            bytes: 1_000,
        };
        let line = summary("a\n.car", &stats, Duration::from_millis(1234));
        assert_eq!(
            line,
            "a\\n.car: 60,003 blocks (1 inline in their CIDs), 60,000 new, 1,000 bytes, 1.23 s\n"
        );
    }
}
