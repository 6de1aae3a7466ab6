//! Standard error, which bars and messages share, and how much the user wants to see there.

use std::io::{self, Write as _};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

/// Nothing is drawn where standard error is no terminal.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

static QUIET: AtomicBool = AtomicBool::new(false);

/// Lets nothing be seen but errors and what was asked for.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
    BARS.set_draw_target(ProgressDrawTarget::hidden());
}

pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Shows a bar, below the messages.
pub(crate) fn show(bar: ProgressBar) -> ProgressBar {
    BARS.add(bar)
}

/// Writes something above the bars, which are drawn again below it.
pub(crate) fn above_bars<T>(write: impl FnOnce() -> T) -> T {
    BARS.suspend(write)
}

/// Writes a line to standard error, above the bars.
pub(crate) fn write_line(line: &str) {
    // There is nobody left to tell if this fails.
    let _ = above_bars(|| writeln!(io::stderr(), "{line}"));
}
