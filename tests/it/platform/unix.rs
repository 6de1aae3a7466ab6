//! What tests do to files and processes on Unix.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt, OpenOptionsExt as _, PermissionsExt as _,
};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

pub(crate) use std::os::unix::fs::symlink;

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Resource, getrlimit, setrlimit};

/// The user and group `nobody`, or at least one that owns nothing here.
const NOBODY: u32 = 65534;

/// A function that creates something, and its name in errors.
type Obstacle = (fn(&Path), &'static str);

/// What is neither a file nor a link.
pub(crate) const OBSTACLES: &[Obstacle] = &[
    (|path| fs::create_dir(path).unwrap(), "directory"),
    (
        |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        "special file",
    ),
];

/// The name of a file that is shown in another form where the system allows such names, and that form.
#[cfg(feature = "cli")]
pub(crate) const ODD_NAME: (&str, &str) = ("note\n.txt", "note\\n.txt");

/// The device that takes everything and has nothing.
#[cfg(feature = "cli")]
pub(crate) const NULL_DEVICE: &str = "/dev/null";

/// The text of the error that a directory does not exist.
#[cfg(feature = "cli")]
pub(crate) const NOT_FOUND: &str = "No such file or directory";

/// Tests that start the program for each of many similar inputs take every n-th of them.
#[cfg(feature = "cli")]
pub(crate) const EVERY: usize = 1;

/// Returns how often a test does something that takes long under Wine.
pub(crate) const fn repetitions(count: u32) -> u32 {
    count
}

/// Returns the type and permissions of a file, and when it was modified.
pub(crate) fn mode_and_time(found: &Metadata) -> (u32, (i64, i64)) {
    (found.mode(), (found.mtime(), found.mtime_nsec()))
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn create_with_mode(file: &Path, mode: u32) {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(mode);
    drop(options.open(file).unwrap());
}

pub(crate) fn create_dir_with_mode(dir: &Path, mode: u32) {
    DirBuilder::new().mode(mode).create(dir).unwrap();
}

/// Returns a number that differs if the file was replaced.
pub(crate) fn file_id(file: &Path) -> u64 {
    fs::metadata(file).unwrap().ino()
}

/// Opens a file in a way that keeps others from it, where the system has that.
pub(crate) fn open_exclusively(file: &Path) -> std::io::Result<File> {
    File::open(file)
}

/// Takes the lock of a repo as kubo does, and returns whether it was free.
pub(crate) fn lock_as_kubo_does(lock: &Path) -> Option<File> {
    let mut options = File::options();
    let options = options.create(true).truncate(true).read(true).write(true);
    let file = options.open(lock).unwrap();
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
        .is_ok()
        .then_some(file)
}

/// Lowers the limit of open files of this process.
pub(crate) fn limit_files(files: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(files);
    setrlimit(Resource::Nofile, limit).expect("the limit must be lowered");
}

/// Makes a command run as a user who owns nothing here.
pub(crate) fn as_other_user(command: &mut Command) -> &mut Command {
    command.uid(NOBODY).gid(NOBODY)
}

/// Makes this thread, and those that it starts, run as a user who owns nothing here, if it is root.
pub(crate) fn become_other_user() {
    #[cfg(target_os = "linux")]
    if rustix::process::geteuid().is_root() {
        let nobody = rustix::process::Uid::from_raw(NOBODY);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
    }
}

/// On Unix a signal reaches one process.
#[cfg(feature = "cli")]
pub(crate) fn with_own_console(command: &mut Command) -> &mut Command {
    command
}

/// Does what Ctrl-C does.
#[cfg(feature = "cli")]
pub(crate) fn interrupt(child: &std::process::Child) {
    use rustix::process::{Pid, Signal, kill_process};

    kill_process(Pid::from_child(child), Signal::INT).expect("a signal");
}
