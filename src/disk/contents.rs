//! The contents of regular files.

use std::fs::{File, Metadata};
use std::io::{self, Read};

use bytes::Bytes;

/// Returns the file if it is a regular one. Any other kind of file is an error.
pub(super) fn regular(file: File) -> io::Result<(File, Metadata)> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    Ok((file, metadata))
}

/// Returns the contents of a regular file. `read_once` appends what one call returns, into the space that the
/// vector has.
pub(super) fn read(
    file: File,
    read_once: impl FnOnce(&File, &mut Vec<u8>) -> io::Result<usize>,
) -> io::Result<Bytes> {
    let (mut file, metadata) = regular(file)?;
    let expected = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    let mut contents = Vec::new();
    contents
        .try_reserve_exact(expected)
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    // One call reads a block whole, since no writer appends to it. A file that needs more calls was truncated
    // in the meantime, is longer than one call can read, or does not report its size.
    let is_whole =
        expected > 0 && read_once(&file, &mut contents).is_ok_and(|read| read == expected);
    if !is_whole {
        file.read_to_end(&mut contents)?;
    }
    Ok(contents.into())
}

/// Returns the contents of a regular file of at most `max_len` bytes.
pub(super) fn read_at_most(file: File, max_len: u64) -> io::Result<Bytes> {
    let (file, metadata) = regular(file)?;
    let mut contents = Vec::new();
    // A sparse file can be as long as its file system allows, so its length is checked first. If it grows during the
    // read, the read stops one byte past the limit.
    if metadata.len() <= max_len {
        file.take(max_len.saturating_add(1))
            .read_to_end(&mut contents)?;
        if contents.len() as u64 <= max_len {
            return Ok(contents.into());
        }
    }
    Err(io::ErrorKind::FileTooLarge.into())
}
