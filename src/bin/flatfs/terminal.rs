//! Standard error, which progress bars and messages share, and whether the user wants it quiet.

use std::io::{self, Write as _};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

/// The bars on the screen. Nothing is drawn where standard error is not a terminal.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

static QUIET: AtomicBool = AtomicBool::new(false);

/// Hides everything but errors and the output that the user asked for.
pub(crate) fn set_quiet() {
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

/// Calls `write`, whose output appears above the bars: they are erased before and drawn again after it.
pub(crate) fn above_bars<T>(write: impl FnOnce() -> T) -> T {
    BARS.suspend(write)
}

/// Writes a line to standard error, above the bars.
pub(crate) fn write_line(line: &str) {
    // If standard error fails, there is no place left to report that.
    let _ = above_bars(|| writeln!(io::stderr(), "{line}"));
}
