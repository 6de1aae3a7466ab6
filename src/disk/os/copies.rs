//! Copies and comparisons of regular files. They take the same memory for files of any size.

use std::io::{self, Read};

use crate::disk::contents::regular;
use crate::disk::platform::{self, At};

pub(super) fn copy_new(from: At<'_>, to: At<'_>) -> io::Result<u64> {
    let (mut source, metadata) = regular(from.open_file()?)?;
    let mut target = to.create_file(0o600)?;
    let len = io::copy(&mut source, &mut target)?;
    platform::copy_permissions(&metadata, &target)?;
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
