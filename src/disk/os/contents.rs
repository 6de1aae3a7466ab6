//! The contents of regular files: read, copied and compared. Copies and comparisons take the same
//! memory for files of any size.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use rustix::buffer::spare_capacity;

use crate::disk::at::At;
use crate::disk::platform;

pub(super) fn copy_new(from: At<'_>, to: At<'_>) -> io::Result<u64> {
    let (mut source, metadata) = regular(from.open_file()?)?;
    let mode = metadata.permissions().mode() & 0o777;
    let mut target = to.create_file(0o600)?;
    let len = io::copy(&mut source, &mut target)?;
    // The umask applies to the creation only, so the permissions are set afterwards.
    target.set_permissions(Permissions::from_mode(mode))?;
    platform::close(target)?;
    Ok(len)
}

pub(super) fn is_same(one: At<'_>, other: At<'_>) -> io::Result<bool> {
    const CHUNK_LEN: u64 = 1 << 16;
    let (mut one, one_metadata) = regular(one.open_file()?)?;
    let (mut other, other_metadata) = regular(other.open_file()?)?;
    if one_metadata.len() != other_metadata.len() {
        return Ok(false);
    }
    let (mut one_chunk, mut other_chunk) = (Vec::new(), Vec::new());
    loop {
        for (file, chunk) in [(&mut one, &mut one_chunk), (&mut other, &mut other_chunk)] {
            chunk.clear();
            file.take(CHUNK_LEN).read_to_end(chunk)?;
        }
        if one_chunk != other_chunk {
            return Ok(false);
        }
        if one_chunk.is_empty() {
            return Ok(true);
        }
    }
}

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

/// Returns the contents of a regular file.
pub(super) fn read(file: File) -> io::Result<Bytes> {
    let (mut file, metadata) = regular(file)?;
    let expected = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    let mut contents = Vec::new();
    contents
        .try_reserve_exact(expected)
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    // One call reads a block whole, since no writer appends to it. A file that needs more calls was truncated
    // in the meantime, is longer than one call can read, or does not report its size.
    let is_whole =
        expected > 0 && rustix::io::read(&file, spare_capacity(&mut contents)) == Ok(expected);
    if !is_whole {
        file.read_to_end(&mut contents)?;
    }
    Ok(contents.into())
}

/// Returns the contents of a regular file of at most `max_len` bytes.
pub(super) fn read_at_most(file: File, max_len: u64) -> io::Result<Bytes> {
    let (file, metadata) = regular(file)?;
    let mut contents = Vec::new();
    // A sparse file can be as long as its file system allows, so its length is checked first. One that
    // grows meanwhile is cut off one byte behind the limit.
    if metadata.len() <= max_len {
        file.take(max_len.saturating_add(1))
            .read_to_end(&mut contents)?;
        if contents.len() as u64 <= max_len {
            return Ok(contents.into());
        }
    }
    Err(io::ErrorKind::FileTooLarge.into())
}
