//! The integration tests, one binary made of modules.

#[cfg(feature = "cli")]
mod cli;
