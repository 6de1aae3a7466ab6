//! [`Tool`]: how a tool for whole stores is run: its progress is drawn, the user can interrupt it, and
//! what it kept is told.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use ds_flatfs::Error;
use ds_flatfs::maintenance::{Kept, Progress};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::Answer;
use crate::report;

/// A tool that is about to run.
pub(crate) struct Tool {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
}

impl Tool {
    /// With a bar on standard error; nothing is drawn where that is no terminal.
    ///
    /// # Errors
    ///
    /// If there can't be one.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let template = "{msg} [{wide_bar:.cyan}] {pos}/{len} directories, {eta} left";
        let style = ProgressStyle::with_template(template);
        let style = style.context("cannot draw the progress bar")?;
        Ok(Tool {
            bar: ProgressBar::new(0).with_style(style),
            stop: Arc::default(),
        })
    }

    /// What the library is to call with its progress.
    pub(crate) fn watch(&self) -> impl FnMut(Progress) -> ControlFlow<()> + Send + 'static {
        let (bar, stop, begun) = (self.bar.clone(), Arc::clone(&self.stop), Instant::now());
        move |progress| {
            bar.set_length(progress.total_shards);
            bar.set_position(progress.shards);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                reason = "it is only shown"
            )]
            let rate = (progress.blocks as f64 / begun.elapsed().as_secs_f64()) as u64;
            bar.set_message(format!(
                "{} blocks, {}/s",
                HumanCount(progress.blocks),
                HumanCount(rate)
            ));
            if stop.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    }

    /// Waits for the work. When the user interrupts it, it is let come to its next step; a second time
    /// it is not waited for.
    ///
    /// # Errors
    ///
    /// If it fails or is interrupted.
    pub(crate) async fn run<T>(
        self,
        work: impl Future<Output = ds_flatfs::Result<T>>,
    ) -> anyhow::Result<T> {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let mut work = Box::pin(work);
        for is_first in [true, false] {
            tokio::select! {
                done = &mut work => {
                    self.bar.finish_and_clear();
                    return done.map_err(|error| match error {
                        Error::Stopped => interrupted(),
                        error => error.into(),
                    });
                }
                Some(()) = interrupts.recv() => {}
                Some(()) = terminations.recv() => {}
            }
            if is_first {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
        self.bar.finish_and_clear();
        Err(interrupted())
    }
}

fn interrupted() -> anyhow::Error {
    anyhow!("interrupted: nothing is lost, run the same command again to complete it")
}

/// Something that a tool kept, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct KeptJson {
    path: String,
    why: &'static str,
}

impl KeptJson {
    pub(crate) fn all(kept: &[Kept]) -> Vec<Self> {
        let one = |kept: &Kept| KeptJson {
            path: kept.path.display().to_string(),
            why: kept.why.as_str(),
        };
        kept.iter().map(one).collect()
    }
}

/// Tells what was kept and why, on standard error.
pub(crate) fn tell_kept(kept: &[Kept], count: u64) {
    for Kept { path, why, .. } in kept {
        report::error(&anyhow!("kept {}: {why}", path.display()));
    }
    let untold = count.saturating_sub(kept.len() as u64);
    if untold > 0 {
        report::error(&anyhow!("kept {} more", HumanCount(untold)));
    }
}

/// Whether there was nothing to keep.
pub(crate) fn answer(kept_count: u64) -> Answer {
    if kept_count == 0 {
        Answer::Yes
    } else {
        Answer::No
    }
}

/// "1 block", "1,234 blocks".
pub(crate) fn blocks(count: u64) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} block{s}", HumanCount(count))
}
