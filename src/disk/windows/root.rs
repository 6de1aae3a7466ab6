//! [`Root`]: the directory of a store. It is not kept open, since there are no paths relative to it.

use std::io;
use std::path::Path;

use super::at::At;

/// The root directory of a store. While its lock file is open, Windows does not let anyone move it.
#[derive(Debug)]
pub(in crate::disk) struct Root;

#[expect(clippy::unused_self, reason = "other platforms need it")]
impl Root {
    pub(in crate::disk) fn open(path: &Path) -> io::Result<Self> {
        At::cwd(path).require_dir().map(|()| Root)
    }

    /// There are no paths relative to it.
    pub(in crate::disk) fn at<'a>(&'a self, _path: &'a Path) -> Option<At<'a>> {
        None
    }

    /// Only an administrator may flush a whole volume.
    pub(in crate::disk) fn syncs_all_at_once(&self) -> bool {
        false
    }

    pub(in crate::disk) fn sync_file_system(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
