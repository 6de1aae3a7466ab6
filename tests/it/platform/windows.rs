//! What tests do to files and processes on Windows. Tests of what Windows does not have are ignored there.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::windows::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_TEMPORARY, FILE_FLAG_DELETE_ON_CLOSE, FILE_SHARE_DELETE, FILE_SHARE_READ,
};

/// The flag of `CreateProcess` for a console of its own, which is not shown.
#[cfg(feature = "cli")]
const CREATE_NO_WINDOW: u32 = 0x0800_0000;

/// A function that creates something, and its name in errors.
type Obstacle = (fn(&Path), &'static str);

/// What is neither a file nor a link.
pub(crate) const OBSTACLES: &[Obstacle] = &[(|path| fs::create_dir(path).unwrap(), "directory")];

/// The name of a file that is shown in another form where the system allows such names, and that form.
#[cfg(feature = "cli")]
pub(crate) const ODD_NAME: (&str, &str) = ("note .txt", "note .txt");

/// The device that takes everything and has nothing.
#[cfg(feature = "cli")]
pub(crate) const NULL_DEVICE: &str = "NUL";

/// The text of the error that a directory does not exist.
#[cfg(feature = "cli")]
pub(crate) const NOT_FOUND: &str = "(os error 3)";

/// Tests that start the program for each of many similar inputs take every n-th of them.
#[cfg(feature = "cli")]
pub(crate) const EVERY: usize = 7;

/// Returns how often a test does something that takes long under Wine, such as to start a program.
pub(crate) const fn repetitions(count: u32) -> u32 {
    if count > 50 { count / 10 } else { 5 }
}

pub(crate) fn symlink(_: impl AsRef<Path>, _: impl AsRef<Path>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns 0, and when the file was modified.
pub(crate) fn mode_and_time(found: &Metadata) -> (u32, (i64, i64)) {
    let time = i64::try_from(found.last_write_time()).unwrap();
    (0, (time, 0))
}

pub(crate) fn set_mode(_: &Path, _: u32) {
    panic!("files have no mode");
}

pub(crate) fn create_with_mode(file: &Path, _: u32) {
    File::create(file).unwrap();
}

pub(crate) fn create_dir_with_mode(dir: &Path, _: u32) {
    fs::create_dir(dir).unwrap();
}

/// Returns a number that differs if the file was replaced.
pub(crate) fn file_id(file: &Path) -> u64 {
    fs::metadata(file).unwrap().last_write_time()
}

/// Opens a file in a way that keeps others from it.
pub(crate) fn open_exclusively(file: &Path) -> io::Result<File> {
    File::options().read(true).share_mode(0).open(file)
}

/// Takes the lock of a repo as kubo does, and returns whether it was free.
pub(crate) fn lock_as_kubo_does(lock: &Path) -> Option<File> {
    let mut options = File::options();
    options
        .write(true)
        .create(true)
        .share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE)
        .attributes(FILE_ATTRIBUTE_TEMPORARY)
        .custom_flags(FILE_FLAG_DELETE_ON_CLOSE);
    options.open(lock).ok()
}

pub(crate) fn limit_files(_: u64) {
    panic!("the number of open files has no limit");
}

pub(crate) fn as_other_user(_: &mut Command) -> &mut Command {
    panic!("there is no call for it");
}

pub(crate) fn become_other_user() {
    panic!("there is no call for it");
}

/// Ctrl-C goes to all processes of a console.
#[cfg(feature = "cli")]
pub(crate) fn with_own_console(command: &mut Command) -> &mut Command {
    command.creation_flags(CREATE_NO_WINDOW)
}

/// Does what Ctrl-C does, by the program that this variable names: only unsafe functions do that.
#[cfg(feature = "cli")]
pub(crate) fn interrupt(child: &std::process::Child) {
    let sender = std::env::var_os("SEND_CTRL_C").expect("SEND_CTRL_C, see .ci/wine");
    let sent = Command::new(sender).arg(child.id().to_string()).status();
    assert!(sent.unwrap().success());
}
