//! Tests of the fault disk itself: each of its rules has a test.

mod breakpoints;
mod crash_properties;
mod faults;
mod operations;
mod os_disk_equivalence;
mod power_cut;

use std::path::Path;

use super::{DataLoss, FaultDisk};
use crate::disk::Disk;

/// Returns a disk with the empty directories `/a` and `/b`, all durable.
fn two_dirs() -> FaultDisk {
    let disk = FaultDisk::new();
    disk.create_dir(Path::new("/a")).unwrap();
    disk.create_dir(Path::new("/b")).unwrap();
    disk.sync_all(Path::new("/")).unwrap();
    disk
}

/// Returns the same disk with durable files. The contents of each are its name.
fn two_dirs_with(files: &[&str]) -> FaultDisk {
    let disk = two_dirs();
    for file in files {
        write(&disk, file);
    }
    disk.sync_all(Path::new("/")).unwrap();
    disk
}

/// Writes a file whose contents are its name, and flushes neither.
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

/// Returns all files with their contents.
fn files(disk: &FaultDisk) -> Vec<(String, String)> {
    let files = disk.tree().into_iter().filter(|path| !path.ends_with('/'));
    let files = files.map(|file| {
        let contents = disk.read_live(&file).unwrap();
        (file, String::from_utf8_lossy(&contents).into_owned())
    });
    files.collect()
}

/// Returns what each of many power cuts leaves.
fn power_cuts(disk: &FaultDisk) -> impl Iterator<Item = FaultDisk> {
    let losses = (0..200)
        .map(DataLoss::SomeUnflushed)
        .chain([DataLoss::AllUnflushed]);
    losses.map(|loss| disk.reboot(loss))
}
