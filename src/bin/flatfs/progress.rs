//! [`Bar`]: how far a long work is, on standard error while it runs.
//!
//! Nothing is drawn where standard error is no terminal, and nothing stays behind.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use console::{Term, truncate_str};
use ds_flatfs::Error;
use ds_flatfs::maintenance::Progress;
use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::interrupt::{self, Interrupted};
use crate::report::escape;
use crate::terminal;

/// What a tool of the library calls with its progress.
pub(crate) type Watch = Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>;

/// A bar that is there until it is dropped.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar for so many bytes of something; without a length, what is done is told without a bar.
    pub(crate) fn bytes(name: &str, len: Option<u64>) -> Self {
        match len {
            Some(len) => Bar::new(
                ProgressBar::new(len),
                name,
                "{prefix} [{wide_bar:.cyan}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
                "{percent}% {binary_bytes_per_sec}, {eta} left",
            ),
            None => Bar::new(
                ProgressBar::new_spinner(),
                name,
                "{spinner} {prefix} {binary_bytes}, {binary_bytes_per_sec}",
                "{spinner} {binary_bytes}",
            ),
        }
    }

    /// A bar for the shards of a store. `doing` says in a word or two what is done with them.
    pub(crate) fn shards(doing: &str) -> Self {
        let wide = "{prefix} [{wide_bar:.cyan}] {msg}, {eta} left";
        Bar::new(ProgressBar::new(0), doing, wide, "{percent}% {wide_msg}")
    }

    /// `wide` and `narrow` say how it is drawn, as far as there is room.
    fn new(bar: ProgressBar, name: &str, wide: &str, narrow: &str) -> Self {
        const NARROW: usize = 72;
        let (_, columns) = Term::stderr().size();
        let columns = usize::from(columns);
        let template = if columns < NARROW { narrow } else { wide };
        let style = ProgressStyle::with_template(template);
        // Shown first: then the style knows whether standard error has colours.
        let bar = terminal::show(bar);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let name = escape(name);
        Bar(bar.with_prefix(truncate_str(&name, columns / 3, "…").into_owned()))
    }

    /// So many bytes are done.
    pub(crate) fn set_bytes(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    /// A tool of the library is so far.
    pub(crate) fn set(&self, progress: Progress) {
        self.0.set_length(progress.total_shards);
        self.0.set_message(told(progress, self.0.elapsed()));
        self.0.set_position(progress.shards);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The blocks that are done, their bytes if they are known, and how many come in a second.
fn told(progress: Progress, time: Duration) -> String {
    let mut parts = vec![format!("{} blocks", HumanCount(progress.blocks))];
    if progress.bytes > 0 {
        parts.push(BinaryBytes(progress.bytes).to_string());
    }
    if let Some(rate) = u128::from(progress.blocks)
        .saturating_mul(1000)
        .checked_div(time.as_millis())
    {
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        parts.push(format!("{}/s", HumanCount(rate)));
    }
    parts.join(", ")
}

/// Runs a tool of the library with a bar. When the user wants the program to end the tool is asked to
/// stop, and waited for. All of these tools can be run again to do the rest.
///
/// # Errors
///
/// If the tool fails, or [`Interrupted`].
pub(crate) async fn watching<T, F>(doing: &str, tool: impl FnOnce(Watch) -> F) -> anyhow::Result<T>
where
    F: Future<Output = ds_flatfs::Result<T>>,
{
    watching_until(interrupt::asked(), doing, tool).await
}

async fn watching_until<T, F>(
    asked: impl Future<Output = anyhow::Result<Interrupted>>,
    doing: &str,
    tool: impl FnOnce(Watch) -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = ds_flatfs::Result<T>>,
{
    let stop = Arc::new(AtomicBool::new(false));
    let mut running = pin!(tool(watch(Bar::shards(doing), Arc::clone(&stop))));
    let why = tokio::select! {
        done = &mut running => return Ok(done?),
        why = asked => why?,
    };
    stop.store(true, Ordering::Relaxed);
    match running.await {
        Err(Error::Stopped) => {
            let advice = "nothing is lost, run the same command again to complete it";
            Err(anyhow::Error::msg(advice).context(why))
        }
        done => Ok(done?),
    }
}

fn watch(bar: Bar, stop: Arc<AtomicBool>) -> Watch {
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
    async fn a_tool_is_told_to_stop_when_the_user_interrupts_and_ends_by_itself() {
        let asked = ready(Ok(Interrupted::Interrupted));
        let interrupted = watching_until(asked, "testing", async |mut watch| {
            while watch(Progress::default()).is_continue() {
                tokio::task::yield_now().await;
            }
            Err::<(), _>(Error::Stopped)
        });
        let error = interrupted.await.unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
        assert!(error.is::<Interrupted>());
    }

    #[tokio::test]
    async fn a_tool_that_is_not_interrupted_answers_what_it_found() {
        let done = watching_until(pending(), "testing", async |_| Ok(7));
        assert_eq!(done.await.unwrap(), 7);
    }

    #[test]
    fn the_rate_is_that_of_the_blocks_and_bytes_are_told_if_known() {
        let mut progress = Progress::default();
        assert_eq!(told(progress, Duration::ZERO), "0 blocks");
        progress.blocks = 5000;
        assert_eq!(
            told(progress, Duration::from_secs(2)),
            "5,000 blocks, 2,500/s"
        );
        progress.bytes = 3 << 20;
        let long = Duration::from_secs(10);
        assert_eq!(told(progress, long), "5,000 blocks, 3.00 MiB, 500/s");
    }
}
