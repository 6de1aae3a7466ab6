//! A recorder that records nothing, for a crate without the feature `metrics`.

#[derive(Clone, Copy)]
pub(super) struct Timer;

impl Timer {
    pub(super) fn start() -> Self {
        Timer
    }
}

pub(super) fn operation(_: &'static str, _: &'static str) {}

pub(super) fn took(_: &'static str, _: Timer) {}

pub(super) fn read(_: &'static str, _: usize) {}

pub(super) fn batch(_: usize, _: usize, _: u64) {}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
pub(super) fn request(_: &str, _: &'static str, _: Timer) {}

pub(super) fn flush(_: Timer, _: bool) {}

pub(crate) fn bytes_written(_: usize) {}

pub(crate) fn file_retry() {}

pub(crate) fn open_files(_: impl FnOnce() -> usize) {}

pub(crate) fn presence_filter_grew(_: usize) {}

pub(crate) fn presence_filter_shrank(_: usize) {}
