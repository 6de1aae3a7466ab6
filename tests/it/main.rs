//! The crate's behaviour through its public face. One binary, made of a module for each topic.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails, also in the functions that tests share"
)]

#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "conformance")]
mod conformance;
#[cfg(feature = "conformance")]
mod faulty;
