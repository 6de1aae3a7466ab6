//! Small file systems of the tests' own, for as long as a test runs.
//!
//! Mounting takes root. Where it can't be done the reason is printed, and the test is over.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests look at the disk behind the store's back"
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
            let image = image.to_str().ok_or("the path of the image is no text")?;
            run("mkfs.ext4", &["-q", "-F", image])?;
            Ok(owned(["-t", "ext4", "-o", "loop", image]))
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
        let at = self.at.display().to_string();
        run("mount", &["-o", "remount,ro", &at])
            .expect("what was mounted can be mounted read-only");
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
