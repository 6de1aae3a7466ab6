//! `flatfs import`

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use cid::Cid;
use clap::Args;
use ds_flatfs::hash::HashError;
use ds_flatfs::{Error, FlatBatch, FlatFs, Key};
use indicatif::HumanCount;
use tokio::io::AsyncBufRead;

use crate::car::{Block, CarReader};
use crate::hash;
use crate::interrupt::interruptible;
use crate::progress::Bar;
use crate::report::Answer;
use crate::report::escape;
use crate::{blocks, report, source, store};

/// Store the blocks of CARs (versions 1 and 2)
#[derive(Debug, Args)]
#[command(after_help = "\
Each CAR is taken as a whole or not at all. The CARs before one that is refused stay imported.

Every block is checked against the hash in its CID. A hash function that is not known is an error, \
unless --unverified takes such blocks as they are; all others are checked even then. Blocks that \
their CIDs carry themselves (identity hash) are checked and counted, but not stored.

A CAR that ends between two blocks can't be told from a whole one, but for its roots. So a root that is \
neither in the CAR nor in the store is reported and makes the exit status 1; the blocks are imported all \
the same. --allow-missing-roots is for CARs that are only a part on purpose.

The index of a version 2 is not needed and not read. DIR is made, with next-to-last/2, if it is missing or \
empty.

Example:
  flatfs import blocks backup.car
  curl -s https://example.org/dag.car | flatfs import blocks -")]
pub(crate) struct Import {
    /// The store
    dir: PathBuf,
    /// The CARs; '-' is standard input
    #[arg(required = true, value_name = "CAR")]
    cars: Vec<PathBuf>,
    /// Take blocks whose hash function is not known without a check
    #[arg(long)]
    unverified: bool,
    /// Don't mind roots that are neither in their CAR nor in the store
    #[arg(long)]
    allow_missing_roots: bool,
    /// Take blocks over 8 MiB, up to 1 GiB, as `put --allow-big-block` makes them
    #[arg(long)]
    allow_big_block: bool,
}

impl Import {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        source::check_stdin(&self.cars)?;
        let Some((first, others)) = self.cars.split_first() else {
            return Ok(Answer::Yes);
        };
        // Before the store, so that none is made for something that is no CAR.
        let first = self.open(first).await?;
        store::making(&self.dir, async |store| {
            let mut answer = self.import(store, first).await?;
            for car in others {
                let next = self.import(store, self.open(car).await?).await?;
                answer = answer.and(next);
            }
            Ok(answer)
        })
        .await
    }

    async fn open(&self, path: &Path) -> anyhow::Result<Car> {
        let mut car = Car::open(path).await?;
        if self.allow_big_block {
            car.reader.allow_big_sections();
        }
        Ok(car)
    }
}

/// A CAR whose header has been read.
struct Car {
    name: String,
    reader: CarReader<Box<dyn AsyncBufRead + Send + Unpin>>,
    len: Option<u64>,
}

impl Car {
    async fn open(path: &Path) -> anyhow::Result<Self> {
        let name = source::name(path);
        let file = source::open(path).await?;
        let reader = CarReader::open(file.reader).await;
        Ok(Car {
            reader: reader.with_context(|| refused(&name))?,
            name,
            len: file.len,
        })
    }
}

fn refused(name: &str) -> String {
    format!("nothing of {name} was imported")
}

/// What an import came to.
#[derive(Debug, Default)]
struct Tally {
    blocks: u64,
    new: u64,
    inline: u64,
    bytes: u64,
}

impl Import {
    async fn import(&self, store: &FlatFs, mut car: Car) -> anyhow::Result<Answer> {
        let started = Instant::now();
        let roots = car.reader.roots().to_vec();
        let mut absent: HashSet<Cid> = roots.iter().copied().collect();
        let batch = store.batch().await?;
        // The commit is not interrupted: it is short, and then it is known how it went.
        let filling = interruptible(fill(&batch, &mut car, &mut absent, self.unverified));
        let tally = match filling.await {
            Ok(tally) => {
                let committed = batch.commit().await;
                committed.map_err(|error| not_committed(error, &car.name))?;
                tally
            }
            Err(error) => {
                // Why the CAR is refused matters more than what couldn't be cleaned up.
                let _ = batch.discard().await;
                return Err(error.context(refused(&car.name)));
            }
        };
        let mut answer = Answer::Yes;
        for root in roots.iter().filter(|root| absent.contains(root)) {
            if !self.allow_missing_roots && !blocks::has(store, root).await? {
                let name = &car.name;
                report::error(&anyhow!(
                    "the root {root} of {name} is neither in it nor in the store: it may be cut short \
                     (--allow-missing-roots takes it as it is)"
                ));
                answer = Answer::No;
            }
        }
        print(&car.name, &roots, &tally, started.elapsed())?;
        Ok(answer)
    }
}

/// What it means for the user that a commit failed.
fn not_committed(error: Error, name: &str) -> anyhow::Error {
    let told = match error {
        Error::CommitIncomplete { .. } => format!(
            "all of {name} is imported, but not yet in its place, which the next command that writes sees to"
        ),
        _ => refused(name),
    };
    anyhow::Error::from(error).context(told)
}

/// Puts all blocks of the CAR into the batch; takes those roots out of `absent` that it meets.
async fn fill(
    batch: &FlatBatch,
    car: &mut Car,
    absent: &mut HashSet<Cid>,
    unverified: bool,
) -> anyhow::Result<Tally> {
    let bar = Bar::bytes(&car.name, car.len);
    let mut tally = Tally::default();
    while let Some(block) = car.reader.next_block().await? {
        check(&block, unverified).with_context(|| format!("at byte {}", block.offset))?;
        absent.remove(&block.cid);
        tally.blocks += 1;
        tally.bytes += block.data.len() as u64;
        if hash::is_identity(&block.cid) {
            tally.inline += 1;
        } else if put(batch, block).await? {
            tally.new += 1;
        }
        bar.set_bytes(car.reader.offset());
    }
    Ok(tally)
}

fn check(block: &Block, unverified: bool) -> anyhow::Result<()> {
    match hash::verify(&block.cid, &block.data) {
        Ok(()) => Ok(()),
        Err(error) => match error.why {
            HashError::Unknown(_) if unverified => Ok(()),
            HashError::Unknown(_) => Err(anyhow::Error::from(error)
                .context("--unverified takes blocks without a check that can't be checked")),
            _ => Err(error.into()),
        },
    }
}

/// Whether the block is new. One that is there with another size is damaged, and put again.
async fn put(batch: &FlatBatch, block: Block) -> anyhow::Result<bool> {
    let key = Key::from_cid(&block.cid);
    let found = batch.get_size(&key).await?;
    if found != Some(block.data.len() as u64) {
        batch.put(&key, block.data).await?;
    }
    Ok(found.is_none())
}

fn print(name: &str, roots: &[Cid], tally: &Tally, time: Duration) -> anyhow::Result<()> {
    let mut lines = summary(name, tally, time);
    for root in roots {
        lines.push_str(&format!("  root {root}\n"));
    }
    report::summary(&lines)
}

fn summary(name: &str, tally: &Tally, time: Duration) -> String {
    let Tally {
        blocks,
        new,
        inline,
        bytes,
    } = tally;
    let (name, seconds) = (escape(name), time.as_secs_f64());
    let (blocks, bytes) = (report::blocks(*blocks), HumanCount(*bytes));
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
    fn a_failed_commit_imports_nothing_unless_only_the_places_are_missing() {
        let full = || Error::Full {
            action: "write",
            path: "/s/x".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        let incomplete = Error::CommitIncomplete {
            record: "/s/.temp/b/COMMIT".into(),
            source: full().into(),
        };
        let told = |error| not_committed(error, "a.car").to_string();
        assert_eq!(told(full()), "nothing of a.car was imported");
        assert!(told(incomplete).starts_with("all of a.car is imported, but not yet"));
    }

    #[test]
    fn the_summary_is_one_line() {
        let tally = Tally {
            blocks: 60_003,
            new: 60_000,
            inline: 1,
            bytes: 1_000,
        };
        let line = summary("a\n.car", &tally, Duration::from_millis(1234));
        assert_eq!(
            line,
            "a\\n.car: 60,003 blocks (1 inline in their CIDs), 60,000 new, 1,000 bytes, 1.23 s\n"
        );
    }
}
