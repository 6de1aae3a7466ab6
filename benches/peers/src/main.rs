//! The table of goals with other stores, on the same workloads in the same run.
//!
//! ```sh
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --peers --dir DIR --quick
//! ```
//!
//! Each store is used as its documentation shows, with its fastest settings: nothing is made durable. redb
//! and fjall are called on the runtime's workers, which saves a thread hop and blocks the worker meanwhile.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark is its own program"
)]

#[allow(dead_code, reason = "each benchmark uses a part")]
#[path = "../../common/mod.rs"]
mod common;
#[path = "../../compare/harness/mod.rs"]
mod harness;

mod content_cache;
mod lsm_tree;
mod object_files;
mod paged_tree;

use std::process::ExitCode;

use self::harness::contender::PeerKind;

const PEERS: &[PeerKind] = &[
    object_files::KIND,
    content_cache::KIND,
    paged_tree::KIND,
    lsm_tree::KIND,
];

fn main() -> ExitCode {
    harness::main(PEERS)
}
