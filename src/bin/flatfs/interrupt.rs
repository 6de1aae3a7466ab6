//! What happens when the user wants the program to end, by Ctrl-C or by SIGTERM.
//!
//! A command that has nothing to clean up is simply ended by the operating system. The others wait for
//! [`asked`]: from the first call of it on, the first signal asks them to clean up, and a second one ends
//! the program at once. All of them leave a store that is whole even then.

use std::io;
use std::process;
use std::sync::LazyLock;
use std::thread;

use anyhow::anyhow;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::report;

/// The user wants the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Interrupted {
    #[error("interrupted")]
    Interrupted,
    #[error("terminated")]
    Terminated,
}

impl Interrupted {
    /// The exit status that shells give a program that the signal ended: 128 and the signal's number.
    pub(crate) fn status(self) -> u8 {
        match self {
            Interrupted::Interrupted => 130,
            Interrupted::Terminated => 143,
        }
    }
}

type Asked = watch::Receiver<Option<Interrupted>>;

static ASKED: LazyLock<io::Result<Asked>> = LazyLock::new(listen);

/// Waits until the user asks the program to end; at once if that was before.
///
/// # Errors
///
/// If the operating system doesn't tell the program of signals.
pub(crate) async fn asked() -> anyhow::Result<Interrupted> {
    let asked = ASKED.as_ref();
    let mut asked = asked
        .map_err(|error| anyhow!("cannot listen for signals: {error}"))?
        .clone();
    let asked = asked.wait_for(Option::is_some).await;
    asked
        .ok()
        .and_then(|asked| *asked)
        .ok_or_else(|| anyhow!("nobody listens for signals any more"))
}

/// Ends the work when the user asks for it, so that it can be cleaned up after.
///
/// # Errors
///
/// If the work fails, or [`Interrupted`].
pub(crate) async fn interruptible<T>(
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        biased;
        why = asked() => Err(why?.into()),
        done = work => done,
    }
}

/// On a thread of its own, which works also while the others wait for a reader of the output.
fn listen() -> io::Result<Asked> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let signals = {
        let _inside = runtime.enter();
        Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        }
    };
    let (sender, asked) = watch::channel(None);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(pass_on(signals, &sender)))?;
    Ok(asked)
}

async fn pass_on(mut signals: Signals, sender: &watch::Sender<Option<Interrupted>>) {
    let first = signals.next().await;
    report::notice(&format!("{first}, cleaning up; again to end at once"));
    sender.send_replace(Some(first));
    let second = signals.next().await;
    process::exit(second.status().into());
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    async fn next(&mut self) -> Interrupted {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Interrupted::Interrupted,
            Some(()) = self.terminate.recv() => Interrupted::Terminated,
            else => std::future::pending().await,
        }
    }
}
