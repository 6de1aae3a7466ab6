//! [`ProgressBar`]: the progress of a long operation, drawn on standard error while it runs.
//!
//! Nothing is drawn where standard error is not a terminal, and a bar is erased when it is dropped.

use std::future::Future;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use console::{Term, truncate_str};
use ds_flatfs::Error;
use ds_flatfs::maintenance::{Phase, Progress};
use indicatif::{BinaryBytes, HumanCount, HumanDuration, ProgressStyle};

use crate::exit::Interrupted;
use crate::interrupt::interrupted;
use crate::location::Location;
use crate::terminal;
use crate::text::escape;

/// The callback by which a tool of the library reports its progress and learns whether to go on.
pub(crate) type ProgressCallback = Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>;

/// How often the spinner of a bar moves while nothing is reported.
const TICK: Duration = Duration::from_millis(100);

/// A progress bar that is visible until it is dropped.
#[derive(Debug)]
pub(crate) struct ProgressBar(indicatif::ProgressBar);

impl ProgressBar {
    /// Shows a bar for `len` bytes. If the length is not known, it shows a count of bytes instead.
    pub(crate) fn bytes(name: &str, len: Option<u64>) -> Self {
        match len {
            Some(len) => ProgressBar::new(
                indicatif::ProgressBar::new(len),
                name,
                "{prefix} [{wide_bar:.cyan}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
                "{percent}% {binary_bytes_per_sec}, {eta} left",
            ),
            None => ProgressBar::new(
                indicatif::ProgressBar::new_spinner(),
                name,
                "{spinner} {prefix} {binary_bytes}, {binary_bytes_per_sec}",
                "{spinner} {binary_bytes}",
            ),
        }
    }

    /// Shows a bar for the shards of a tool's stores, which are opened first. `activity` is a word for what is
    /// done with them.
    pub(crate) fn shards(activity: &str, stores: &[&Path]) -> Self {
        let wide = "{spinner} {prefix} [{wide_bar:.cyan}] {msg}";
        let narrow = "{spinner} {percent}% {wide_msg}";
        let bar = ProgressBar::new(indicatif::ProgressBar::new(0), activity, wide, narrow);
        bar.0.set_message(opening(stores));
        bar.0.enable_steady_tick(TICK);
        bar
    }

    /// Shows that a store is being opened.
    pub(crate) fn opening(store: &Location) -> Self {
        ProgressBar::phase(opening(store.dir().as_slice()))
    }

    /// Shows a count of blocks whose number is not known. `activity` is a word for what is done with them.
    pub(crate) fn count(activity: &str) -> Self {
        let wide = "{spinner} {prefix} {human_pos} blocks, {per_sec}";
        let narrow = "{spinner} {human_pos} blocks";
        ProgressBar::new(
            indicatif::ProgressBar::new_spinner(),
            activity,
            wide,
            narrow,
        )
    }

    /// A bar that is not shown.
    pub(crate) fn hidden() -> Self {
        ProgressBar(indicatif::ProgressBar::hidden())
    }

    /// Shows what is being done in a phase whose progress is not known.
    pub(crate) fn phase(activity: &str) -> Self {
        let template = "{spinner} {msg}, {elapsed}";
        let bar = indicatif::ProgressBar::new_spinner();
        let phase = ProgressBar::new(bar, "", template, template);
        phase.0.set_message(activity.to_owned());
        phase.0.enable_steady_tick(TICK);
        phase
    }

    /// `wide` and `narrow` are the templates for wide and narrow terminals.
    fn new(bar: indicatif::ProgressBar, name: &str, wide: &str, narrow: &str) -> Self {
        const NARROW: usize = 72;
        let (_, columns) = Term::stderr().size();
        let columns = usize::from(columns);
        let template = if columns < NARROW { narrow } else { wide };
        let style = ProgressStyle::with_template(template);
        // Before the style is set: only a bar that is shown knows whether standard error has colors.
        let bar = terminal::show(bar);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let name = escape(name);
        ProgressBar(bar.with_prefix(truncate_str(&name, columns / 3, "…").into_owned()))
    }

    /// Sets the number of bytes that are done.
    pub(crate) fn set_bytes(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    /// Sets the number of blocks that are done.
    pub(crate) fn set_count(&self, blocks: u64) {
        self.0.set_position(blocks);
    }

    /// Counts one more block.
    pub(crate) fn one_more(&self) {
        self.0.inc(1);
    }

    /// Sets the progress of a tool of the library.
    pub(crate) fn set(&self, progress: Progress) {
        let (done, total) = match progress.total_blocks {
            Some(total) => (progress.blocks, total),
            // A bar that counts blocks.
            None if progress.total_shards == 0 => (progress.blocks, 0),
            None => (progress.shards, progress.total_shards),
        };
        // The bar stays empty until the total is known.
        self.0.set_length(if total == 0 { u64::MAX } else { total });
        self.0.set_position(done);
        self.0.set_message(match progress.phase {
            Phase::Marking => format!(
                "following links, {} blocks found",
                HumanCount(progress.blocks)
            ),
            Phase::Listing => "looking for missing blocks".to_owned(),
            Phase::Ages => "looking for the oldest garbage".to_owned(),
            Phase::Misplaced => "looking for misplaced blocks".to_owned(),
            Phase::Copies => "restoring blocks from the CARs".to_owned(),
            Phase::Closing => "flushing to disk and closing the store".to_owned(),
            _ if total == 0 => describe(progress, self.0.elapsed()),
            _ => format!(
                "{}, {} left",
                describe(progress, self.0.elapsed()),
                HumanDuration(self.0.eta())
            ),
        });
    }
}

/// Returns what the open of these stores does, which takes time if a session was not closed.
fn opening(stores: &[&Path]) -> &'static str {
    let is_unclean = stores.iter().any(|store| store.join(".unclean").exists());
    match is_unclean {
        true => "cleaning up after an interrupted command",
        false => "opening the store",
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Returns the number of blocks that are done, of their bytes if it is known, and the blocks per second.
fn describe(progress: Progress, elapsed: Duration) -> String {
    let mut parts = vec![format!("{} blocks", HumanCount(progress.blocks))];
    if progress.bytes > 0 {
        parts.push(BinaryBytes(progress.bytes).to_string());
    }
    if let Some(rate) = u128::from(progress.blocks)
        .saturating_mul(1000)
        .checked_div(elapsed.as_millis())
    {
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        parts.push(format!("{}/s", HumanCount(rate)));
    }
    parts.join(", ")
}

/// Runs a tool of the library with a progress bar. When the user asks the program to end, it asks the
/// tool to stop and waits for that. Each of these tools completes its work when it is run again.
///
/// # Errors
///
/// Fails if the tool fails, with [`Interrupted`] if the tool was stopped.
pub(crate) async fn with_progress<T, F>(
    activity: &str,
    stores: &[&Path],
    tool: impl FnOnce(ProgressCallback) -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = ds_flatfs::Result<T>>,
{
    with_bar(ProgressBar::shards(activity, stores), tool).await
}

/// As [`with_progress`], with this bar.
pub(crate) async fn with_bar<T, F>(
    bar: ProgressBar,
    tool: impl FnOnce(ProgressCallback) -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = ds_flatfs::Result<T>>,
{
    run_until(interrupted(), bar, tool).await
}

async fn run_until<T, F>(
    interrupted: impl Future<Output = anyhow::Result<Interrupted>>,
    bar: ProgressBar,
    tool: impl FnOnce(ProgressCallback) -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = ds_flatfs::Result<T>>,
{
    let stop = Arc::new(AtomicBool::new(false));
    let callback = callback(bar, Arc::clone(&stop));
    let mut running = pin!(tool(callback));
    let signal = tokio::select! {
        result = &mut running => return Ok(result?),
        signal = interrupted => signal?,
    };
    stop.store(true, Ordering::Relaxed);
    match running.await {
        Err(Error::Stopped) => {
            let advice = "nothing is lost, run the same command again to complete it";
            Err(anyhow::Error::msg(advice).context(signal))
        }
        result => Ok(result?),
    }
}

fn callback(bar: ProgressBar, stop: Arc<AtomicBool>) -> ProgressCallback {
    Box::new(move |progress| {
        bar.set(progress);
        if stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn an_interrupted_tool_is_asked_to_stop_and_ends_by_itself() {
        let signal = ready(Ok(Interrupted::Interrupt));
        let stopped = run_until(
            signal,
            ProgressBar::count("testing"),
            async |mut callback| {
                while callback(Progress::default()).is_continue() {
                    tokio::task::yield_now().await;
                }
                Err::<(), _>(Error::Stopped)
            },
        );
        let error = stopped.await.unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
        assert!(error.is::<Interrupted>());
    }

    #[tokio::test]
    async fn a_tool_that_is_not_interrupted_returns_its_result() {
        let done = run_until(pending(), ProgressBar::count("testing"), async |_| Ok(7));
        assert_eq!(done.await.unwrap(), 7);
    }

    #[test]
    fn the_rate_is_in_blocks_and_bytes_are_shown_if_known() {
        let mut progress = Progress::default();
        assert_eq!(describe(progress, Duration::ZERO), "0 blocks");
        progress.blocks = 5000;
        assert_eq!(
            describe(progress, Duration::from_secs(2)),
            "5,000 blocks, 2,500/s"
        );
        progress.bytes = 3 << 20;
        let long = Duration::from_secs(10);
        assert_eq!(describe(progress, long), "5,000 blocks, 3.00 MiB, 500/s");
    }
}
