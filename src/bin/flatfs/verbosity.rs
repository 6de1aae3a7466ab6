//! [`Verbosity`]: the options `-q` and `-v`, which all commands have.

use std::env;

use clap::{ArgAction, Args};
use tracing_subscriber::filter::EnvFilter;

use crate::{logging, terminal};

/// How much the program prints.
#[derive(Debug, Args)]
pub(crate) struct Verbosity {
    /// Print only errors and requested output: no progress, summaries or warnings
    #[arg(
        short,
        long,
        global = true,
        display_order = 900,
        conflicts_with = "verbose"
    )]
    quiet: bool,
    /// Log warnings and info to stderr (-vv: debug)
    #[arg(short, long, global = true, display_order = 901, action = ArgAction::Count)]
    verbose: u8,
}

impl Verbosity {
    /// Applies the options for as long as the program runs.
    pub(crate) fn apply(&self) {
        if self.quiet {
            terminal::set_quiet();
        }
        if env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            // Without this, CLICOLOR_FORCE would take precedence over NO_COLOR here, unlike in what clap prints.
            console::set_colors_enabled(false);
            console::set_colors_enabled_stderr(false);
        }
        logging::init(self.filter());
    }

    /// Returns which events of the library are logged: those that RUST_LOG names, or else those that `-v`
    /// asks for.
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
