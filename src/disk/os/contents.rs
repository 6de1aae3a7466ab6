//! Whole files, in memory that doesn't grow with them.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use rustix::buffer::spare_capacity;

use super::{At, platform};

pub(super) fn copy_new(from: At<'_>, to: At<'_>) -> io::Result<u64> {
    let (mut source, metadata) = regular(from.open_file()?)?;
    let mode = metadata.permissions().mode() & 0o777;
    let mut target = to.create_file(0o600)?;
    let len = io::copy(&mut source, &mut target)?;
    // The umask has no say: it is no new file.
    target.set_permissions(Permissions::from_mode(mode))?;
    platform::close(target)?;
    Ok(len)
}

pub(super) fn is_same(one: At<'_>, other: At<'_>) -> io::Result<bool> {
    const PIECE: usize = 1 << 16;
    let (mut one, metadata) = regular(one.open_file()?)?;
    let (mut other, beside) = regular(other.open_file()?)?;
    if metadata.len() != beside.len() {
        return Ok(false);
    }
    let (mut piece, mut beside) = (Vec::new(), Vec::new());
    loop {
        for (file, piece) in [(&mut one, &mut piece), (&mut other, &mut beside)] {
            piece.clear();
            file.take(PIECE as u64).read_to_end(piece)?;
        }
        if piece != beside {
            return Ok(false);
        }
        if piece.is_empty() {
            return Ok(true);
        }
    }
}

/// The file, if it is a regular one; any other kind of file is an error.
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

/// The contents of a regular file; any other kind of file is an error.
pub(super) fn read(file: File) -> io::Result<Bytes> {
    let (mut file, metadata) = regular(file)?;
    let expected = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    let mut contents = Vec::new();
    contents
        .try_reserve_exact(expected)
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    // Mostly this reads all of it, and nobody appends to a block: what has to be read on is shorter now,
    // larger than one read can be, or a file that doesn't know its size.
    let is_whole =
        expected > 0 && rustix::io::read(&file, spare_capacity(&mut contents)) == Ok(expected);
    if !is_whole {
        file.read_to_end(&mut contents)?;
    }
    Ok(contents.into())
}
