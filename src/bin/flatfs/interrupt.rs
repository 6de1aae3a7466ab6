//! Ctrl-C and SIGTERM (on Windows also Ctrl-Break and the end of the console): the first one asks a command to clean
//! up, the second one ends the program.
//!
//! A command that has nothing to clean up never calls this module, and the operating system ends it at
//! once. A command that has calls [`interrupted`], which also installs the signal handlers. A store stays
//! consistent in each of these cases.

use std::io;
use std::process;
use std::sync::LazyLock;
use std::thread;

use anyhow::anyhow;
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::exit::Interrupted;
use crate::platform::Signals;
use crate::report;

type FirstSignal = watch::Receiver<Option<Interrupted>>;

static FIRST_SIGNAL: LazyLock<io::Result<FirstSignal>> = LazyLock::new(listen);

/// Waits until the user asks the program to end. Returns at once if that has already happened.
///
/// # Errors
///
/// Fails if the signal handlers can't be installed.
pub(crate) async fn interrupted() -> anyhow::Result<Interrupted> {
    let first = FIRST_SIGNAL.as_ref();
    let mut first = first
        .map_err(|error| anyhow!("cannot listen for signals: {error}"))?
        .clone();
    let signal = first.wait_for(Option::is_some).await;
    signal
        .ok()
        .and_then(|signal| *signal)
        .ok_or_else(|| anyhow!("the thread that listens for signals has ended"))
}

/// Runs `work`, and drops it when the user asks the program to end, so that the caller can clean up.
///
/// # Errors
///
/// Fails if the work fails, with [`Interrupted`] if it was dropped.
pub(crate) async fn interruptible<T>(
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        biased;
        signal = interrupted() => Err(signal?.into()),
        result = work => result,
    }
}

/// Installs the signal handlers and starts a thread that waits for the signals. It has a runtime of its
/// own, because the workers of the program's runtime may all be blocked in writes to a pipe.
fn listen() -> io::Result<FirstSignal> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let signals = {
        let _guard = runtime.enter();
        Signals::new()?
    };
    let (sender, receiver) = watch::channel(None);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(handle(signals, &sender)))?;
    Ok(receiver)
}

async fn handle(mut signals: Signals, sender: &watch::Sender<Option<Interrupted>>) {
    let first = signals.next().await;
    report::notice(&format!(
        "{first}, cleaning up; interrupt again to end at once"
    ));
    sender.send_replace(Some(first));
    let second = signals.next().await;
    process::exit(second.status().into());
}
