//! The table of goals: the cost of this store compared with its floor, measured in the same run.
//!
//! ```sh
//! cargo bench --bench compare -- --dir DIR --quick
//! ```
//!
//! `--help` lists the options. `benches/peers` is the same program with other stores in the table.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark is its own program"
)]

#[allow(dead_code, reason = "each benchmark uses a part")]
#[path = "../common/mod.rs"]
mod common;
mod harness;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::main(&[])
}
