//! The crate's behaviour through its public face. One binary, made of a module for each topic.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails, also in the functions that tests share"
)]

mod child;
#[cfg(feature = "conformance")]
mod conformance;
mod failing_disk;
#[cfg(feature = "conformance")]
mod faulty;
mod full_disk;
mod inspect;
mod kill;
mod limits;
mod links;
mod mounts;
mod processes;
mod read_only;
