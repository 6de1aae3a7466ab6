//! Runs the program in a terminal.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// What the program wrote to the terminal, and its exit status.
#[derive(Debug)]
pub(super) struct TerminalRun {
    pub(super) code: i32,
    pub(super) text: String,
}

/// Runs the program with all of its streams on a terminal of this width.
pub(super) fn run_in_terminal(mut command: Command, columns: u16) -> TerminalRun {
    let (mut user, terminal) = open(columns);
    let stream = || terminal.try_clone().expect("another handle");
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    let mut child = command
        .stdin(stream())
        .stdout(stream())
        .stderr(stream())
        .spawn()
        .expect("the program runs");
    // Reading ends only when every handle of the terminal is closed.
    drop((command, terminal));
    let mut seen = Vec::new();
    // Some systems report the end as an error.
    let _ = user.read_to_end(&mut seen);
    let status = child.wait().expect("the program ends");
    TerminalRun {
        code: status.code().expect("no signal"),
        text: String::from_utf8(seen).expect("UTF-8"),
    }
}

/// Opens a new terminal, and returns the user's side and the program's side.
fn open(columns: u16) -> (File, File) {
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&user).expect("a terminal of ours");
    unlockpt(&user).expect("an unlocked terminal");
    let name = ptsname(&user, Vec::new()).expect("a name");
    let no_control = i32::try_from(OFlags::NOCTTY.bits()).expect("a flag");
    let terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(no_control)
        .open(name.to_str().expect("ASCII"))
        .expect("the other side");
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).expect("a size");
    (user.into(), terminal)
}
