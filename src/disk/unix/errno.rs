//! What the errors of system calls mean for the next step.

use std::io;

use rustix::io::Errno;

/// Returns whether the process or the system has no free file descriptor.
pub(in crate::disk) fn is_out_of_files(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

/// Returns whether a step that creates a name failed for a reason that would make any other step fail, too: the name
/// exists, a directory is missing, or the file system can't be written.
pub(in crate::disk) fn is_final(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::EXIST | Errno::NOENT | Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::ROFS)
    )
}
