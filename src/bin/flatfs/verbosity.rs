//! [`Talk`]: how much the program says, and the library's own events.

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{ArgAction, Args};
use console::Style;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::report::escape;
use crate::terminal;

/// What the library has warned of since the program began.
static WARNINGS: AtomicU64 = AtomicU64::new(0);

/// How much the program says, in every command.
#[derive(Debug, Args)]
pub(crate) struct Talk {
    /// No progress, no summaries, no warnings: errors only, and what was asked for
    #[arg(
        short,
        long,
        global = true,
        display_order = 900,
        conflicts_with = "verbose"
    )]
    quiet: bool,
    /// What the store warns of and tells, on standard error; twice for every detail
    #[arg(short, long, global = true, display_order = 901, action = ArgAction::Count)]
    verbose: u8,
}

impl Talk {
    /// Makes it so, for as long as the program runs.
    pub(crate) fn begin(&self) {
        if self.quiet {
            terminal::be_quiet();
        }
        if env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            // Else CLICOLOR_FORCE would win here, and not in what clap prints.
            console::set_colors_enabled(false);
            console::set_colors_enabled_stderr(false);
        }
        let events = tracing_subscriber::fmt::layer()
            .event_format(Line)
            .with_writer(|| Lines)
            .with_filter(self.filter());
        let counts = CountWarnings.with_filter(LevelFilter::WARN);
        // There is one already in tests only.
        let _ = tracing_subscriber::registry()
            .with(events)
            .with(counts)
            .try_init();
    }

    /// What of the library's events is shown: what RUST_LOG says, else what was asked for by -v.
    fn filter(&self) -> EnvFilter {
        if self.quiet {
            return EnvFilter::new("off");
        }
        EnvFilter::try_from_default_env().unwrap_or_else(|_| {
            EnvFilter::new(match self.verbose {
                0 => "off",
                1 => "ds_flatfs=info",
                2 => "ds_flatfs=debug",
                _ => "ds_flatfs=trace",
            })
        })
    }
}

/// How many things the library has warned of, whether that was shown or not.
pub(crate) fn warnings() -> u64 {
    WARNINGS.load(Ordering::Relaxed)
}

struct CountWarnings;

impl<S: Subscriber> Layer<S> for CountWarnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            WARNINGS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An event as one line, safe for a terminal.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
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
        let name = level.as_str().to_lowercase();
        let name = level_style(level).for_stderr().apply_to(name);
        write!(writer, "flatfs: {name}: {}", escape(fields))
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

/// Writes each event above the bars.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        terminal::write_line(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
