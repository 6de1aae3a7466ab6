//! The log: events of the library as lines on standard error, and a count of its warnings.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use console::Style;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::terminal;
use crate::text::escape;

/// The number of warnings since the program started, logged or not.
static WARNINGS: AtomicU64 = AtomicU64::new(0);

/// Starts to log the events that the filter lets pass, and to count warnings.
pub(crate) fn init(filter: EnvFilter) {
    let lines = tracing_subscriber::fmt::layer()
        .event_format(LineFormat)
        .with_writer(|| StderrLines)
        .with_filter(filter);
    let counter = WarningCounter.with_filter(LevelFilter::WARN);
    // This fails only in tests, where another test may have set a subscriber.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(counter)
        .try_init();
}

/// Returns the number of warnings since the program started, logged or not.
pub(crate) fn warnings() -> u64 {
    WARNINGS.load(Ordering::Relaxed)
}

struct WarningCounter;

impl<S: Subscriber> Layer<S> for WarningCounter {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            WARNINGS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Formats an event as one line that is safe for a terminal.
struct LineFormat;

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        let level = *event.metadata().level();
        let label = level.as_str().to_lowercase();
        let label = level_style(level).for_stderr().apply_to(label);
        write!(writer, "flatfs: {label}: {}", escape(fields))
    }
}

fn level_style(level: Level) -> Style {
    match level {
        Level::ERROR => Style::new().red(),
        Level::WARN => Style::new().yellow(),
        Level::INFO => Style::new().green(),
        _ => Style::new().dim(),
    }
}

/// Writes each event above the progress bars.
struct StderrLines;

impl Write for StderrLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        terminal::write_line(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
