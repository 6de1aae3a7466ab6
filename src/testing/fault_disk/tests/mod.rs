//! The rules of the fault disk, each by a test.

mod beside_os_disk;
mod breakpoints;
mod faults;
mod operations;
mod power_cut;
mod property;

use std::path::Path;

use super::{FaultDisk, Loss};
use crate::disk::Disk;

/// A disk with the empty directories `/a` and `/b`, all durable.
fn two_dirs() -> FaultDisk {
    let disk = FaultDisk::new();
    disk.create_dir(Path::new("/a")).unwrap();
    disk.create_dir(Path::new("/b")).unwrap();
    disk.sync_all(Path::new("/")).unwrap();
    disk
}

/// The same with files of which all is durable. Their contents are their names.
fn two_dirs_with(files: &[&str]) -> FaultDisk {
    let disk = two_dirs();
    for file in files {
        write(&disk, file);
    }
    disk.sync_all(Path::new("/")).unwrap();
    disk
}

/// Writes a file and flushes neither it nor its name. Its contents are its name.
fn write(disk: &FaultDisk, file: &str) {
    let written = disk.write_new(Path::new(file), file.as_bytes(), 0o600, false);
    written.unwrap();
}

fn rename(disk: &FaultDisk, from: &str, to: &str) {
    disk.rename(Path::new(from), Path::new(to)).unwrap();
}

fn sync_dir(disk: &FaultDisk, dir: &str) {
    disk.sync_dir(Path::new(dir)).unwrap();
}

/// The files that are there, with their contents.
fn files(disk: &FaultDisk) -> Vec<(String, String)> {
    let files = disk.tree().into_iter().filter(|path| !path.ends_with('/'));
    let files = files.map(|file| {
        let contents = disk.read_live(&file).unwrap();
        (file, String::from_utf8_lossy(&contents).into_owned())
    });
    files.collect()
}

/// What each of many power cuts leaves.
fn power_cuts(disk: &FaultDisk) -> impl Iterator<Item = FaultDisk> {
    let losses = (0..200).map(Loss::Some).chain([Loss::All]);
    losses.map(|loss| disk.reboot(loss))
}
