//! The table of goals with other stores in it, on the same work in the same run.
//!
//! ```sh
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --peers --dir DIR --quick
//! ```
//!
//! Each is used as its documentation shows, at its fastest: nothing is made durable. redb and fjall are
//! called on the runtime's workers, which spares them a thread hop and blocks the worker meanwhile.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark is its own program"
)]

#[allow(dead_code, reason = "each benchmark uses its part")]
#[path = "../../common/mod.rs"]
mod common;
#[path = "../../compare/program/mod.rs"]
mod program;

mod content_cache;
mod lsm_tree;
mod object_files;
mod paged_tree;

use std::process::ExitCode;

use self::program::subject::PeerKind;

const PEERS: &[PeerKind] = &[
    object_files::KIND,
    content_cache::KIND,
    paged_tree::KIND,
    lsm_tree::KIND,
];

fn main() -> ExitCode {
    program::main(PEERS)
}
