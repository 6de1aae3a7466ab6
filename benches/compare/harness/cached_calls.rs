//! [`CachedCalls`]: the system calls of a read that never waits for a disk.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::path::Path;

use ds_flatfs::Shard;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::ReadWriteFlags;

/// Reads files as the store does if all is in the kernel's caches: by calls that fail instead of waiting for a disk. In
/// a plain loop they are the least that a read costs which may be done on a worker of the runtime.
pub(super) struct CachedCalls {
    root: File,
    shard: Shard,
}

impl CachedCalls {
    pub(super) fn over(root: &Path) -> Self {
        CachedCalls {
            root: File::open(root).expect("a directory"),
            shard: Shard::default(),
        }
    }

    pub(super) fn get(&self, name: &str) -> usize {
        let file = self.open(name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOATIME);
        // Safe Rust can't read into memory that is not initialized.
        let mut value = vec![0; size(&file)];
        let mut buffers = [IoSliceMut::new(&mut value)];
        rustix::io::preadv2(&file, &mut buffers, 0, ReadWriteFlags::NOWAIT).expect("a cached read")
    }

    pub(super) fn size(&self, name: &str) -> usize {
        size(&self.open(name, OFlags::PATH))
    }

    fn open(&self, name: &str, flags: OFlags) -> OwnedFd {
        let path = format!("{}/{name}.data", self.shard.dir(name));
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::CACHED | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve).expect("a cached name")
    }
}

fn size(file: &OwnedFd) -> usize {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let found = rustix::fs::statx(file, c"", flags, StatxFlags::TYPE | StatxFlags::SIZE);
    usize::try_from(found.expect("a size").stx_size).expect("a small file")
}
