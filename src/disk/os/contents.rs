//! Whole files, in memory that doesn't grow with them.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::{platform, with_patience};

pub(super) fn copy_new(from: &Path, to: &Path) -> io::Result<u64> {
    let (mut source, metadata) = open_regular(from)?;
    let mode = metadata.permissions().mode() & 0o777;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut target = with_patience(|| options.open(to))?;
    let len = io::copy(&mut source, &mut target)?;
    // The umask has no say: it is no new file.
    target.set_permissions(Permissions::from_mode(mode))?;
    platform::close(target)?;
    Ok(len)
}

pub(super) fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    const PIECE: usize = 1 << 16;
    let (mut one, metadata) = open_regular(one)?;
    let (mut other, beside) = open_regular(other)?;
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

/// Opens a file to read it; anything but a regular one is an error.
pub(super) fn open_regular(file: &Path) -> io::Result<(File, Metadata)> {
    let mut options = OpenOptions::new();
    options.read(true);
    platform::only_regular(&mut options);
    let file = with_patience(|| options.open(file))?;
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
