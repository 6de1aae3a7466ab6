//! Small file systems that are mounted for the duration of a test.
//!
//! Mounting needs root. If a file system cannot be mounted, the reason is printed and the test is skipped.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests access the disk without the store"
)]

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system, unmounted when this is dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    at: PathBuf,
    is_mounted: bool,
    _dir: TempDir,
}

impl Mount {
    /// Mounts a tmpfs with these options. Returns `None` if that is not possible.
    pub(crate) fn tmpfs(options: &str) -> Option<Self> {
        Mount::new(|_| Ok(owned(["-t", "tmpfs", "-o", options, "tmpfs"])))
    }

    /// Returns a directory on another file system than that of temporary files: below the directory that this
    /// variable names, and otherwise a tmpfs. `None` if that is not possible.
    pub(crate) fn other_file_system() -> Option<Self> {
        let Some(above) = env::var_os("OTHER_FILE_SYSTEM") else {
            if cfg!(windows) {
                panic!("the variable OTHER_FILE_SYSTEM is not set: see .ci/wine");
            }
            return Mount::tmpfs("size=32m");
        };
        let dir = tempfile::tempdir_in(above).expect("a directory");
        Some(Mount {
            at: dir.path().to_owned(),
            is_mounted: false,
            _dir: dir,
        })
    }

    /// Mounts an ext4 of `size` bytes in a file. Returns `None` if that is not possible.
    pub(crate) fn ext4(size: u64) -> Option<Self> {
        Mount::new(|dir| {
            let image = dir.join("image");
            let made = File::create(&image).and_then(|image| image.set_len(size));
            made.map_err(|error| format!("no image: {error}"))?;
            make_ext4(&image, &[])?;
            Ok(ext4_of("loop", &image))
        })
    }

    /// Mounts an xfs and a btrfs, whose directories grow with each entry, as far as they can be mounted.
    pub(crate) fn with_growing_dirs() -> impl Iterator<Item = Self> {
        let mounts = ["xfs", "btrfs"].map(|kind| {
            Mount::new(|dir| {
                let image = dir.join("image");
                let made = File::create(&image).and_then(|image| image.set_len(512 << 20));
                made.map_err(|error| format!("no image: {error}"))?;
                let image = image.display().to_string();
                run(&format!("mkfs.{kind}"), &["-q", "-f", &image])?;
                Ok(owned(["-t", kind, "-o", "loop", &image]))
            })
        });
        mounts.into_iter().flatten()
    }

    /// Mounts a small file system of each kind that can be mounted.
    pub(crate) fn small_ones() -> impl Iterator<Item = Self> {
        let mounts = [Mount::tmpfs("size=1m"), Mount::ext4(4 << 20)];
        mounts.into_iter().flatten()
    }

    fn new(prepare: impl FnOnce(&Path) -> Result<Vec<String>, String>) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("mounted");
        fs::create_dir(&at).expect("a directory to mount at");
        let mounted = prepare(dir.path()).and_then(|mut arguments| {
            arguments.push(at.display().to_string());
            run("mount", &arguments)
        });
        match mounted {
            Ok(()) => Some(Mount {
                at,
                is_mounted: true,
                _dir: dir,
            }),
            Err(reason) => {
                eprintln!("skipped: {reason}");
                None
            }
        }
    }

    /// Returns the mount point.
    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    pub(crate) fn make_read_only(&self) {
        self.remount("ro");
    }

    /// Changes the size of a tmpfs.
    pub(crate) fn grow(&self, size: &str) {
        self.remount(size);
    }

    fn remount(&self, options: &str) {
        let at = self.at.display().to_string();
        let options = format!("remount,{options}");
        run("mount", &["-o", &options, &at]).expect("a mounted file system can be remounted");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !self.is_mounted {
            return;
        }
        let at = self.at.display().to_string();
        // A test that panicked may have open files.
        if run("umount", &[&at]).is_err()
            && let Err(reason) = run("umount", &["--lazy", &at])
        {
            eprintln!("{at} is still mounted: {reason}");
        }
    }
}

/// A disk with less space than its file system assumes. Writes are accepted, and fail when they are written back.
#[derive(Debug)]
pub(crate) struct FailingDisk {
    // Fields are dropped in this order: the disk must be unmounted before the file system that has its image.
    disk: Mount,
    image_fs: Mount,
}

impl FailingDisk {
    pub(crate) fn new() -> Option<Self> {
        let image_fs = Mount::tmpfs("size=32m")?;
        let image = image_fs.path().join("image");
        fs::write(&image, vec![0; 16 << 20]).expect("an image with all its blocks allocated");
        let options = "nodiscard,lazy_itable_init=1,lazy_journal_init=1";
        let disk = Mount::new(|_| {
            make_ext4(&image, &["-b", "4096", "-J", "size=4", "-E", options])?;
            // Otherwise the kernel zeroes the inode tables in the background after a while, which frees a
            // megabyte of the image.
            Ok(ext4_of("loop,noinit_itable", &image))
        })?;
        // The blocks of the file system's metadata stay allocated in the image, the free ones for files do not.
        let at = disk.path().display().to_string();
        if let Err(reason) = run("fstrim", &[&at]) {
            eprintln!("skipped: {reason}");
            return None;
        }
        image_fs.remount("size=8m");
        Some(FailingDisk { disk, image_fs })
    }

    /// Returns the mount point.
    pub(crate) fn path(&self) -> &Path {
        self.disk.path()
    }

    /// Returns the same disk with all its space, and with what was written to it.
    pub(crate) fn repaired(self) -> (Mount, Mount) {
        let FailingDisk { disk, image_fs } = self;
        drop(disk);
        image_fs.remount("size=32m");
        let image = image_fs.path().join("image");
        let disk = Mount::new(|_| Ok(ext4_of("loop", &image)));
        (disk.expect("it was mounted before"), image_fs)
    }
}

/// Flushes the file system in another process, and returns whether that reports an error.
pub(crate) fn fails_to_flush(dir: &Path) -> bool {
    run("sync", &["-f", &dir.display().to_string()]).is_err()
}

fn make_ext4(image: &Path, options: &[&str]) -> Result<(), String> {
    let image = image.display().to_string();
    run("mkfs.ext4", &[options, &["-q", "-F", &image]].concat())
}

fn ext4_of(options: &str, image: &Path) -> Vec<String> {
    let image = image.display().to_string();
    owned(["-t", "ext4", "-o", options, &image])
}

fn owned(arguments: [&str; 5]) -> Vec<String> {
    arguments.map(str::to_owned).into()
}

fn run(program: &str, arguments: &[impl AsRef<OsStr>]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", said.trim()))
}
