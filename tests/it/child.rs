//! Child processes for tests that limit or kill them: the test binary starts itself again.
//!
//! The code of a child is an ignored test, which does nothing unless a [`Child`] runs it. The two processes
//! exchange lines of text.

use std::env;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};

use tokio::runtime::Builder;

const ARGUMENTS: &str = "DS_FLATFS_TEST_CHILD";
const BETWEEN_ARGUMENTS: char = '\n';
/// Distinguishes the lines of the child from those of the test harness on the same standard output.
const MARK: &str = "child> ";

/// A process that runs one test of this binary. Dropping this kills the process.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    to: Option<ChildStdin>,
    from: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn start(test: &str, arguments: &[&str]) -> Self {
        Child::spawn(&mut command(test, arguments)).expect("the test binary must start")
    }

    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = process.stdin.take();
        let from = process.stdout.take().expect("the stream is piped");
        let from = BufReader::new(from).lines();
        Ok(Child { process, to, from })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the next line of the child; `None` once it has ended.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        self.from.by_ref().find_map(|line| {
            let line = line.expect("the child must write UTF-8");
            line.split_once(MARK).map(|(_, line)| line.to_owned())
        })
    }

    /// Sends a line to the child, and waits for its response.
    pub(crate) fn request(&mut self, line: &str) -> String {
        let to = self.to.as_mut().expect("the stream is piped");
        writeln!(to, "{line}").expect("the child must be running");
        self.next_line().expect("the child must respond")
    }

    /// Kills the child with SIGKILL, and returns the lines that were not read yet.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.kill().expect("the child must be running");
        self.process.wait().expect("the child must end");
        std::iter::from_fn(|| self.next_line()).collect()
    }

    /// Closes the child's standard input, waits for its end, and checks that its test passed.
    pub(crate) fn wait_for_success(mut self) {
        drop(self.to.take());
        while self.next_line().is_some() {}
        let status = self.process.wait().expect("the child must end");
        assert!(status.success(), "the child failed: {status}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The child may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the command that runs one ignored test of this binary, which gets its arguments from
/// [`arguments`].
pub(crate) fn command(test: &str, arguments: &[&str]) -> Command {
    let binary = env::current_exe().expect("the test binary must have a path");
    let mut command = Command::new(binary);
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(
            ARGUMENTS,
            arguments.join(BETWEEN_ARGUMENTS.to_string().as_str()),
        );
    command
}

/// Returns the arguments of a child; `None` in other processes.
pub(crate) fn arguments() -> Option<Vec<String>> {
    let arguments = env::var(ARGUMENTS).ok()?;
    Some(
        arguments
            .split(BETWEEN_ARGUMENTS)
            .map(str::to_owned)
            .collect(),
    )
}

/// Runs the code of a child on a runtime with two workers. Does nothing in other processes.
pub(crate) fn run(work: impl AsyncFnOnce(Vec<String>)) {
    let Some(arguments) = arguments() else {
        return;
    };
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).build().expect("a runtime");
    runtime.block_on(work(arguments));
}

/// Sends a line from a child, in a single write.
pub(crate) fn send(line: &str) {
    let line = format!("{MARK}{line}\n");
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .expect("the parent must be running");
}

/// Returns the next line that the parent sends to a child; `None` at the end.
pub(crate) fn receive() -> Option<String> {
    io::stdin()
        .lines()
        .next()
        .map(|line| line.expect("the parent must write UTF-8"))
}
