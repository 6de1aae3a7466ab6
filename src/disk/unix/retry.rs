//! Waiting for a free file descriptor.

use std::io;
use std::thread;
use std::time::Duration;

use super::errno::is_out_of_files;
use crate::observe::{self, target};

/// Opens something. While no file descriptor is free it waits and tries again, after 2, 4, 8… ms, about
/// two seconds in all.
pub(in crate::disk) fn retry_while_out_of_descriptors<T>(
    mut open: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    const MAX_RETRIES: u32 = 10;
    for attempt in 1..=MAX_RETRIES {
        match open() {
            Err(error) if is_out_of_files(&error) => {
                observe::file_retry();
                if attempt == 1 {
                    tracing::warn!(target: target::DISK, "out of file descriptors, waiting until one is free");
                }
                thread::sleep(Duration::from_millis(1 << attempt));
            }
            opened => return opened,
        }
    }
    open()
}
