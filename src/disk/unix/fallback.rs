//! Replacements for features that only Linux has.

use std::fs::File;
use std::io;
use std::path::Path;

use super::at::At;
use super::sync_method::SyncMethod;
use crate::disk::CachedReads;
use crate::disk::portable::NotUnnamed;

pub(in crate::disk) fn rename_new(_: At<'_>, _: At<'_>) -> Option<io::Result<()>> {
    None
}

pub(in crate::disk) fn create_unnamed(_: At<'_>, _: &[u8], _: u32) -> Result<(), NotUnnamed> {
    Err(NotUnnamed::Unsupported)
}

pub(in crate::disk) fn lock_owner(_: &Path) -> Option<u32> {
    None
}

pub(in crate::disk) fn cached_reads(_: At<'_>) -> io::Result<Option<Box<dyn CachedReads>>> {
    Ok(None)
}

pub(super) fn sync_method(_: &File) -> io::Result<SyncMethod> {
    Ok(SyncMethod::EachFile)
}

pub(super) fn sync_file_system(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
