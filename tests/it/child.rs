//! Processes to limit and to kill: the test binary starts itself again.
//!
//! What a process does stands in a test that is ignored, and that does nothing unless a [`Child`]
//! runs it. The two sides talk in lines.

use std::env;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};

const ARGUMENTS: &str = "DS_FLATFS_TEST_CHILD";
const BETWEEN_ARGUMENTS: char = '\n';
/// Tells a line of the child from those of the test harness, with which it shares standard output.
const MARK: &str = "child> ";

/// A process that runs one test of this binary. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    to: Option<ChildStdin>,
    from: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn start(test: &str, arguments: &[&str]) -> Self {
        Child::spawn(&mut command(test, arguments)).expect("the test binary starts")
    }

    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = process.stdin.take();
        let from = process.stdout.take().expect("it was piped");
        let from = BufReader::new(from).lines();
        Ok(Child { process, to, from })
    }

    /// The next line that the child says; `None` once it has ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        self.from.by_ref().find_map(|line| {
            let line = line.expect("the child speaks UTF-8");
            line.split_once(MARK).map(|(_, line)| line.to_owned())
        })
    }

    /// Says a line to the child, and waits for its answer.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        let to = self.to.as_mut().expect("it was piped");
        writeln!(to, "{line}").expect("the child listens");
        self.hear().expect("the child answers")
    }

    /// Sends SIGKILL, and answers what the child had still said.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.kill().expect("the child is alive");
        self.process.wait().expect("the child ends");
        std::iter::from_fn(|| self.hear()).collect()
    }

    /// Says no more, and waits for the end of a child whose test must pass.
    pub(crate) fn passes(mut self) {
        drop(self.to.take());
        while self.hear().is_some() {}
        let status = self.process.wait().expect("the child ends");
        assert!(status.success(), "the child failed: {status}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended, and then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This binary, told to run one ignored test. That finds the arguments with [`arguments`].
pub(crate) fn command(test: &str, arguments: &[&str]) -> Command {
    let binary = env::current_exe().expect("the test binary has a path");
    let mut command = Command::new(binary);
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(
            ARGUMENTS,
            arguments.join(BETWEEN_ARGUMENTS.to_string().as_str()),
        );
    command
}

/// In a child, what it was started with; elsewhere `None`.
pub(crate) fn arguments() -> Option<Vec<String>> {
    let arguments = env::var(ARGUMENTS).ok()?;
    Some(
        arguments
            .split(BETWEEN_ARGUMENTS)
            .map(str::to_owned)
            .collect(),
    )
}

/// In a child, says a line, whole in one write.
pub(crate) fn say(line: &str) {
    let line = format!("{MARK}{line}\n");
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .expect("the parent listens");
}

/// In a child, the next line that the parent says; `None` once it says no more.
pub(crate) fn listen() -> Option<String> {
    io::stdin()
        .lines()
        .next()
        .map(|line| line.expect("the parent speaks UTF-8"))
}
