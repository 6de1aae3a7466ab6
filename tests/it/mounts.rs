//! Small file systems of the tests' own, for as long as a test runs.
//!
//! Mounting takes root. Where it can't be done the reason is printed, and the test is over.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests access the disk directly"
)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system, unmounted when this is dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    at: PathBuf,
    _dir: TempDir,
}

impl Mount {
    /// A tmpfs with these options; `None` where that can't be mounted.
    pub(crate) fn tmpfs(options: &str) -> Option<Self> {
        Mount::new(|_| Ok(owned(["-t", "tmpfs", "-o", options, "tmpfs"])))
    }

    /// An ext4 of so many bytes in a file; `None` where that can't be mounted.
    pub(crate) fn ext4(size: u64) -> Option<Self> {
        Mount::new(|dir| {
            let image = dir.join("image");
            let made = File::create(&image).and_then(|image| image.set_len(size));
            made.map_err(|error| format!("no image: {error}"))?;
            make_ext4(&image, &[])?;
            Ok(ext4_of("loop", &image))
        })
    }

    /// A small one of each kind that can be mounted.
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
            Ok(()) => Some(Mount { at, _dir: dir }),
            Err(reason) => {
                eprintln!("skipped: {reason}");
                None
            }
        }
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    pub(crate) fn make_read_only(&self) {
        self.remount("ro");
    }

    /// Gives a tmpfs another size.
    pub(crate) fn grow(&self, size: &str) {
        self.remount(size);
    }

    fn remount(&self, options: &str) {
        let at = self.at.display().to_string();
        let options = format!("remount,{options}");
        run("mount", &["-o", &options, &at]).expect("what is mounted can be mounted anew");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let at = self.at.display().to_string();
        // A test that panicked may have files open.
        if run("umount", &[&at]).is_err()
            && let Err(reason) = run("umount", &["--lazy", &at])
        {
            eprintln!("{at} is still mounted: {reason}");
        }
    }
}

/// A disk that has less room than its file system thinks. Writes are taken, and fail when they are to
/// be written back.
#[derive(Debug)]
pub(crate) struct FailingDisk {
    // The order in which they are unmounted.
    disk: Mount,
    below: Mount,
}

impl FailingDisk {
    pub(crate) fn new() -> Option<Self> {
        let below = Mount::tmpfs("size=32m")?;
        let image = below.path().join("image");
        fs::write(&image, vec![0; 16 << 20]).expect("an image with all its room");
        let options = "nodiscard,lazy_itable_init=1,lazy_journal_init=1";
        let disk = Mount::new(|_| {
            make_ext4(&image, &["-b", "4096", "-J", "size=4", "-E", options])?;
            // Else the kernel zeroes the tables of inodes after a while, in the background, and so
            // gives back a megabyte of room.
            Ok(ext4_of("loop,noinit_itable", &image))
        })?;
        // What the file system needs for itself keeps its room, what it has for files loses it.
        let at = disk.path().display().to_string();
        if let Err(reason) = run("fstrim", &[&at]) {
            eprintln!("skipped: {reason}");
            return None;
        }
        below.remount("size=8m");
        Some(FailingDisk { disk, below })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.disk.path()
    }

    /// What was written to the disk, on a disk that doesn't fail.
    pub(crate) fn repaired(self) -> (Mount, Mount) {
        let FailingDisk { disk, below } = self;
        drop(disk);
        below.remount("size=32m");
        let image = below.path().join("image");
        let disk = Mount::new(|_| Ok(ext4_of("loop", &image)));
        (disk.expect("it was mounted before"), below)
    }
}

/// Lets another process flush the file system, and hear of what could not be written.
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
