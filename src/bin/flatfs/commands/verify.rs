//! `flatfs verify`

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use cid::Cid;
use clap::Args;
use ds_flatfs::Error;
use ds_flatfs::maintenance::Progress;
use ds_flatfs::maintenance::verify::{self, Finding, Findings, Repair, Summary};
use futures::StreamExt as _;
use futures::stream::{self, Stream};
use indicatif::HumanCount;
use serde::Serialize;
use tokio::io::AsyncBufRead;

use crate::car::CarReader;
use crate::interrupt::interruptible;
use crate::progress::Bar;
use crate::report::Answer;
use crate::report::{self, ClosedPipe, escape};
use crate::sink::Sink;
use crate::{source, terminal};

/// Check every block against its hash, and repair what can be
#[derive(Debug, Args)]
#[command(after_help = "\
Prints a line for each finding, and a summary. Blocks that don't have the hash in their key, can't be \
read or stand in the wrong place are wrong; so are a link where a block belongs, a SHARDING that makes no \
sense, and a commit that was not carried out. What is foreign or left over is told too, and what can't be \
checked because its key is no known hash, but it is not wrong.
Without --repair nothing is changed and no lock is taken, so it works beside a writer.

With --repair damaged blocks are moved to DIR/.quarantine, blocks in the wrong place to where they \
belong, and interrupted commits are completed. Nothing is overwritten or deleted. Blocks that the store \
doesn't have then are put back from the CARs that --from names, each checked against its hash.

Where SHARDING is lost or makes no sense, write the line that the store had into it. The directories have \
it in their names: if they are the two characters before the last one of the keys in them, as UO has \
CIQ…CUOX.data, it is next-to-last/2, kubo's default:
  echo /repo/flatfs/shard/v1/next-to-last/2 > DIR/SHARDING
and 'flatfs verify --quick DIR' finds no block misplaced then.

A block that is in quarantine and not in the store is lost, which is wrong, until it is put again or \
taken from a CAR. If nobody needs it remove its file from DIR/.quarantine.

With --json a line has \"finding\" (the word that begins the line for people), \"wrong\", \"path\", \
\"key\", \"cid\" (version 1, raw; as 'flatfs ls --cids' prints it), \"detail\", and what was done: \
\"done\" and \"to\". What there isn't is null. The last line has \"summary\" and \"seconds\".

Exit status: 0 if nothing is wrong, or all of it was put right; 1 if something is wrong or lost, or it \
failed; 2 for wrong usage; 130 if interrupted. Interrupt it at any time: the same command does the rest.

Example:
  flatfs verify blocks
  flatfs verify --json blocks | jq -r 'select(.wrong).cid'
  flatfs verify --repair --from backup.car blocks")]
pub(crate) struct Verify {
    /// The store
    dir: PathBuf,
    /// Look at names and sizes only, don't read the blocks
    #[arg(long)]
    quick: bool,
    /// A JSON object for each finding, and one with "summary" at the end
    #[arg(long)]
    json: bool,
    /// Put right what can be put right
    #[arg(long)]
    repair: bool,
    /// A CAR with good copies of blocks; '-' is standard input
    #[arg(long, value_name = "CAR", requires = "repair")]
    from: Vec<PathBuf>,
}

impl Verify {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        source::check_stdin(&self.from)?;
        // Not asked to stop, since a repair may be waiting for a CAR that somebody types.
        interruptible(self.verify()).await
    }

    async fn verify(&self) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        let mut findings = self.start().await?;
        let mut printer = Printer {
            sink: Some(Sink::stdout()),
            needs_reader: !self.repair,
        };
        let mut failure = None;
        // A repair ends on its own after an error, and closes the store then.
        while let Some(found) = findings.next().await {
            match found {
                Ok(finding) => {
                    let line = self.line(&finding)?;
                    printer.print(&line)?;
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let summary = findings.summary();
        if let Some(error) = failure {
            return Err(error.into());
        }
        if self.json || !terminal::is_quiet() {
            printer.print(&self.last_line(&summary, begun.elapsed())?)?;
        }
        Ok(if summary.wrong == 0 {
            Answer::Yes
        } else {
            Answer::No
        })
    }

    async fn start(&self) -> anyhow::Result<Findings> {
        let bar = Bar::shards("verifying");
        let watch = move |progress: Progress| {
            bar.set(progress);
            ControlFlow::Continue(())
        };
        if !self.repair {
            let verify = verify::Verify::new(&self.dir).quick(self.quick);
            return Ok(verify.on_progress(watch).start().await?);
        }
        let mut cars = Vec::new();
        for path in &self.from {
            cars.push(Car::open(path).await?);
        }
        let copies = stream::iter(cars).flat_map(Car::blocks);
        let repair = Repair::new(&self.dir).quick(self.quick).copies(copies);
        Ok(repair.on_progress(watch).start().await?)
    }

    fn line(&self, finding: &Finding) -> anyhow::Result<String> {
        if self.json {
            return json(finding);
        }
        Ok(format!("{}\n", escape(finding)))
    }

    fn last_line(&self, summary: &Summary, time: Duration) -> anyhow::Result<String> {
        if self.json {
            let seconds = time.as_secs_f64();
            return json(&LastLine { summary, seconds });
        }
        Ok(last_line(summary, time))
    }
}

/// Lines on standard output.
struct Printer {
    /// Absent once nobody reads it any more.
    sink: Option<Sink>,
    /// Whether there is nothing to do when nobody reads it any more.
    needs_reader: bool,
}

impl Printer {
    fn print(&mut self, line: &str) -> anyhow::Result<()> {
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        let write = || sink.write(line.as_bytes()).and_then(|()| sink.flush());
        let printed = terminal::above_bars(write);
        match printed {
            Err(error) if error.is::<ClosedPipe>() && !self.needs_reader => {
                self.sink = None;
                Ok(())
            }
            printed => printed,
        }
    }
}

/// A CAR whose header has been read.
struct Car {
    name: String,
    reader: CarReader<Box<dyn AsyncBufRead + Send + Unpin>>,
}

impl Car {
    async fn open(path: &Path) -> anyhow::Result<Self> {
        let name = source::name(path);
        let file = source::open(path).await?;
        let opened = CarReader::open(file.reader).await;
        let mut reader = opened.with_context(|| format!("cannot take blocks from {name}"))?;
        // What was damaged may have been big.
        reader.allow_big_sections();
        Ok(Car { name, reader })
    }

    fn blocks(self) -> impl Stream<Item = Result<(Cid, Bytes), Error>> + Send {
        stream::unfold(Some(self), |car| async move {
            let mut car = car?;
            match car.reader.next_block().await {
                Ok(Some(block)) => Some((Ok((block.cid, block.data)), Some(car))),
                Ok(None) => None,
                Err(error) => {
                    let failed = Error::Backend {
                        message: format!("cannot take more blocks from {}", car.name),
                        source: Some(error.into()),
                    };
                    Some((Err(failed), None))
                }
            }
        })
    }
}

#[derive(Serialize)]
struct LastLine<'a> {
    summary: &'a Summary,
    seconds: f64,
}

fn json(line: &impl Serialize) -> anyhow::Result<String> {
    let line = serde_json::to_string(line).context("cannot print the result")?;
    Ok(format!("{line}\n"))
}

fn last_line(summary: &Summary, time: Duration) -> String {
    let Summary { blocks, bytes, .. } = summary;
    let found = summary.findings.iter();
    let found: Vec<String> = found
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let found = match found.is_empty() {
        true => "nothing found".to_owned(),
        false => found.join(", "),
    };
    let wrong = match summary.wrong {
        0 => "nothing is wrong".to_owned(),
        wrong => format!("{wrong} wrong"),
    };
    let (blocks, bytes) = (report::blocks(*blocks), HumanCount(*bytes));
    let seconds = time.as_secs_f64();
    format!("{blocks}, {bytes} bytes, {seconds:.2} s: {found}; {wrong}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_a_healthy_store_is_one_line() {
        let line = last_line(&Summary::default(), Duration::from_millis(1234));
        assert_eq!(
            line,
            "0 blocks, 0 bytes, 1.23 s: nothing found; nothing is wrong\n"
        );
    }
}
