//! `flatfs verify`

use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use ds_flatfs::maintenance::{self, Finding, Findings, Problem, Progress, Remedy, Repair, Summary};
use futures::StreamExt as _;
use futures::stream;
use indicatif::HumanCount;
use serde::Serialize;

use crate::backup_car::BackupCar;
use crate::exit::{ClosedPipe, Outcome, WrongUsage};
use crate::interrupt::interruptible;
use crate::kubo_args::KuboArgs;
use crate::location::{Location, StoreArgs};
use crate::output::Output;
use crate::progress::ProgressBar;
use crate::quantity::parse_rate;
use crate::scrub::{Scrub, Subset};
use crate::text::escape;
use crate::{input, open_store, report, terminal, text};

/// Check every block against its hash, and repair the store
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints a line for each finding, and a summary. These are wrong: blocks that don't have the hash in their key, \
can't be read, or are in the wrong place; a link where a block should be; a SHARDING that is not valid; and a \
commit that was not applied. Files that are foreign or left over are reported, but they are not wrong. Without \
--repair nothing is changed and no lock is taken, so it works while another program writes.

A block whose key is not a hash, or has a hash function that is not known, can't be checked. The summary \
counts these blocks by hash function, and the exit status is 1 unless --allow-unchecked is given.

A large store can be checked in subsets: --subset 1/30, 2/30 and so on. A subset has the same blocks each time, \
and all subsets together have all blocks. P% is the first of equal subsets of at most P percent: 2.5% is 1/40, and \
1.5%, which does not divide the whole, is 1/67; the summary names the subset. With --state the subset is the one \
after the last that was checked, so that the same command, run every night, checks the whole store in a month; the \
file also records the path of the store, and when all subsets were last checked. Once FILE exists, N is ignored, \
unless T differs from that in FILE. If a part of the subset can't be read, the subsets before it do not count, and a \
new round begins after it. Runs with the same FILE must not overlap: the second one \
ends with an error. FILE.lock, which says that a run is in progress, stays. --limit-rate keeps the disk usable for other \
programs.

With --repair, damaged blocks are moved to DIR/.quarantine, blocks in the wrong place to the right one, \
and interrupted commits are completed. Nothing is overwritten or deleted. Then the blocks that were \
damaged or are lost are restored from the CARs that --from names, each checked against its hash. Other \
blocks of a CAR are not taken: the store may have removed them on purpose since the backup was made. With \
--all every block that is in a CAR and not in the store is restored: use it if files of the store are gone, \
for example after the file system was repaired. The restored blocks are counted on one line.

A URL has no files to repair: there every block, or every one of the subset, is read and checked, and \"path\" is \
its key. Blocks that are listed \
but gone by the time they are read are counted as vanished, and the exit status is 1: another program has deleted \
them, or the listing is wrong. The next run shows which.

If SHARDING is missing or not valid, write the line that the store had into it. The names of the directories \
show which one that is: if they are the two characters before the last one of the keys in them, as in \
UO/CIQ…CUOX.data, it is next-to-last/2, kubo's default:
  echo /repo/flatfs/shard/v1/next-to-last/2 > DIR/SHARDING
With the right line, 'flatfs verify --quick DIR' finds no block misplaced.

A block that is in quarantine and not in the store is lost, which is wrong until it is stored again. If \
it is not needed, remove its file from DIR/.quarantine.

With --json, each line is a finding or a restored block, and has \"finding\" (the first word of the line without \
--json), \"wrong\", \"path\", \"key\", \"cid\" (version 1, raw, as 'flatfs ls --cids' prints it), \"detail\", and what a repair did: \
\"done\" and \"to\". Missing values are null. The last line has \"summary\" and \"seconds\".

Exit status: 0 if nothing is wrong or everything was repaired; 1 if something is wrong, lost or unchecked; 2 \
for invalid usage; 3 if it could not check or repair the store; 130 if interrupted. So a script that repairs \
on exit status 1 does not start a repair because a check has failed. It can be interrupted at any time; run it \
again to complete the work.

Example:
  flatfs verify blocks
  flatfs verify blocks; [ $? -ne 1 ] || flatfs verify --repair --from backup.car blocks
  flatfs verify --subset 1/30 --state scrub.json --limit-rate 50MiB blocks
  flatfs verify --json blocks | jq -r 'select(.wrong).cid'
  flatfs verify --repair --from backup.car --all blocks")]
pub(crate) struct Verify {
    #[command(flatten)]
    store: StoreArgs,
    /// Check only names and sizes, without reading the blocks
    #[arg(long)]
    quick: bool,
    /// Check only subset N of T of the blocks, or the first subset of at most P percent
    #[arg(long, value_name = "N/T|P%", conflicts_with = "repair")]
    subset: Option<Subset>,
    /// Read at most this number of bytes a second, such as 50MiB
    #[arg(long, value_name = "BYTES", value_parser = parse_rate, conflicts_with = "repair")]
    limit_rate: Option<NonZeroU64>,
    /// Check the subset that is next according to FILE, and note in FILE that it was checked
    #[arg(
        long,
        value_name = "FILE",
        requires = "subset",
        conflicts_with = "quick"
    )]
    state: Option<PathBuf>,
    /// Print a JSON object for each finding, and one for the summary
    #[arg(long)]
    json: bool,
    /// Repair what can be repaired
    #[arg(long)]
    repair: bool,
    /// A CAR with good copies of damaged or lost blocks; '-' is standard input
    #[arg(long, value_name = "CAR", requires = "repair")]
    from: Vec<PathBuf>,
    /// Restore all blocks of the CARs that the store does not have
    #[arg(long, requires = "from")]
    all: bool,
    /// Exit with 0 even if blocks could not be checked
    #[arg(long)]
    allow_unchecked: bool,
    #[command(flatten)]
    kubo: KuboArgs,
}

impl Verify {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        input::check_stdin(&self.from)?;
        let needs_files = self.repair || self.quick || self.limit_rate.is_some();
        if self.store.dir.is_url() && needs_files {
            let why = "--repair, --quick and --limit-rate work on the files of a directory, and this is a \
                       URL: to repair it, 'flatfs rm' removes damaged blocks and 'flatfs copy' brings good ones";
            return Err(WrongUsage(why.to_owned()).into());
        }
        let dir = self.store.dir.dir().filter(|_| self.repair);
        let _lock = self.kubo.lock(dir.as_slice()).await?;
        // The library is not asked to stop: a repair may be waiting for standard input.
        interruptible(self.verify()).await
    }

    async fn verify(&self) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        let scrub = match (&self.state, self.subset) {
            (Some(path), Some(subset)) => Some(Scrub::begin(path, &self.store.dir, subset).await?),
            _ => None,
        };
        let subset = scrub.as_ref().map(Scrub::subset).or(self.subset);
        let mut findings = self.start(subset).await?;
        let mut printer = LinePrinter {
            output: Some(Output::stdout()),
            needs_reader: !self.repair,
        };
        let (mut failure, mut restored, mut is_whole) = (None, 0, true);
        // After an error a repair still closes the store, so the stream is read to its end.
        while let Some(finding) = findings.next().await {
            match finding {
                Ok(finding) => {
                    let is_restored = matches!(finding.remedy, Some(Remedy::Restored));
                    restored += u64::from(is_restored);
                    is_whole &= !matches!(finding.problem, Problem::Unreadable(_));
                    // A CAR may restore a whole store.
                    if self.json || !is_restored {
                        printer.print(&self.line(&finding)?)?;
                    }
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let summary = findings.summary();
        // Printed before the error: the blocks that were restored before it stay restored.
        if restored > 0 && !self.json && !terminal::is_quiet() {
            printer.print(&format!("restored: {}\n", text::blocks(restored)))?;
        }
        if let Some(error) = failure {
            return Err(error.into());
        }
        if self.json || !terminal::is_quiet() {
            printer.print(&self.last_line(&summary, subset, started.elapsed())?)?;
        }
        if let Some(scrub) = scrub {
            scrub.finish(is_whole)?;
            if !is_whole {
                report::error(&anyhow!(
                    "a new round begins with the next subset, because a part of this one could not be read"
                ));
            }
        }
        let is_checked = summary.unchecked == 0 || self.allow_unchecked;
        let is_good = summary.wrong == 0 && summary.vanished == 0;
        Ok(Outcome::success_if(is_good && is_checked))
    }

    async fn start(&self, subset: Option<Subset>) -> anyhow::Result<Findings> {
        let Location::Dir(dir) = &self.store.dir else {
            return self.start_on_url(subset).await;
        };
        let bar = ProgressBar::shards("verifying", &[dir]);
        let callback = move |progress: Progress| {
            bar.set(progress);
            ControlFlow::Continue(())
        };
        if !self.repair {
            let mut verify = maintenance::Verify::new(dir).quick(self.quick);
            if let Some(Subset { number, of }) = subset {
                verify = verify.subset(number, of);
            }
            if let Some(rate) = self.limit_rate {
                verify = verify.limit_rate(rate);
            }
            return Ok(verify.on_progress(callback).start().await?);
        }
        let mut cars = Vec::new();
        for path in &self.from {
            cars.push(BackupCar::open(path).await?);
        }
        let copies = stream::iter(cars).flat_map(BackupCar::blocks);
        let repair = Repair::new(dir).quick(self.quick);
        let repair = repair.copies(copies).lost_only(!self.all);
        Ok(repair.on_progress(callback).start().await?)
    }

    async fn start_on_url(&self, subset: Option<Subset>) -> anyhow::Result<Findings> {
        let bar = ProgressBar::count("verifying");
        let store = open_store::open_reader(&self.store, None).await?;
        let mut verify = maintenance::VerifyBlocks::new(store.into_datastore());
        if let Some(Subset { number, of }) = subset {
            verify = verify.subset(number, of);
        }
        let verify = verify.on_progress(move |progress| {
            bar.set_count(progress.blocks);
            ControlFlow::Continue(())
        });
        Ok(verify.start().await?)
    }

    fn line(&self, finding: &Finding) -> anyhow::Result<String> {
        if self.json {
            return report::json_line(finding);
        }
        Ok(format!("{}\n", escape(finding)))
    }

    fn last_line(
        &self,
        summary: &Summary,
        subset: Option<Subset>,
        time: Duration,
    ) -> anyhow::Result<String> {
        let subset = subset.map(|subset| format!("{}/{}", subset.number, subset.of));
        if self.json {
            return report::json_line(&SummaryJson {
                summary,
                subset,
                seconds: time.as_secs_f64(),
            });
        }
        let subset = subset.map_or_else(String::new, |subset| format!("subset {subset}: "));
        Ok(subset + &last_line(summary, time))
    }
}

/// Prints lines to standard output as they come.
struct LinePrinter {
    /// `None` once the reader has gone.
    output: Option<Output>,
    /// Whether the command is useless without a reader.
    needs_reader: bool,
}

impl LinePrinter {
    fn print(&mut self, line: &str) -> anyhow::Result<()> {
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        let write = || output.write(line.as_bytes()).and_then(|()| output.flush());
        match terminal::above_bars(write) {
            Err(error) if error.is::<ClosedPipe>() && !self.needs_reader => {
                self.output = None;
                Ok(())
            }
            printed => printed,
        }
    }
}

#[derive(Serialize)]
struct SummaryJson<'a> {
    summary: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    subset: Option<String>,
    seconds: f64,
}

fn last_line(summary: &Summary, time: Duration) -> String {
    let found = summary.findings.iter();
    let found: Vec<String> = found
        .map(|(name, count)| format!("{} {name}", HumanCount(*count)))
        .collect();
    let found = match found.is_empty() {
        true => "nothing found".to_owned(),
        false => found.join(", "),
    };
    let (blocks, bytes) = (text::blocks(summary.blocks), HumanCount(summary.bytes));
    let seconds = time.as_secs_f64();
    let verdict = verdict(summary);
    format!("{blocks}, {bytes} bytes, {seconds:.2} s: {found}; {verdict}\n")
}

/// Returns what is wrong, and what could not be checked.
fn verdict(summary: &Summary) -> String {
    let wrong = match summary.wrong {
        0 => None,
        wrong => Some(format!("{} wrong", HumanCount(wrong))),
    };
    let unchecked = match summary.unchecked {
        0 => None,
        unchecked => {
            let functions = summary.unchecked_functions.iter();
            let functions: Vec<String> = functions
                .map(|(function, count)| format!("{function}: {}", HumanCount(*count)))
                .collect();
            let blocks = text::blocks(unchecked);
            let functions = functions.join(", ");
            Some(format!(
                "{blocks} could not be checked (by hash function: {functions})"
            ))
        }
    };
    let vanished = match summary.vanished {
        0 => None,
        vanished => Some(format!("{} vanished", HumanCount(vanished))),
    };
    let parts = wrong.into_iter().chain(unchecked).chain(vanished);
    let parts: Vec<String> = parts.collect();
    match parts.is_empty() {
        true => "nothing is wrong".to_owned(),
        false => parts.join(", "),
    }
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

    #[test]
    fn a_summary_with_unchecked_blocks_lists_their_hash_functions() {
        let mut summary = Summary::default();
        summary.unchecked = 3;
        summary.unchecked_functions = [("0x22".to_owned(), 2), ("no-hash".to_owned(), 1)].into();
        let unchecked = "3 blocks could not be checked (by hash function: 0x22: 2, no-hash: 1)";
        assert_eq!(verdict(&summary), unchecked);
        summary.wrong = 1;
        assert_eq!(verdict(&summary), format!("1 wrong, {unchecked}"));
        summary.vanished = 2;
        assert_eq!(
            verdict(&summary),
            format!("1 wrong, {unchecked}, 2 vanished")
        );
    }
}
