//! `flatfs rm`

use std::collections::HashSet;
use std::mem;
use std::str::FromStr;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use crate::batch_writer::{BatchWriter, MAX_LOOKUPS};
use crate::exit::{Outcome, WrongUsage};
use crate::key_arg::{KEY_HELP, KeyArg};
use crate::kubo_args::KuboArgs;
use crate::location::StoreArgs;
use crate::progress::ProgressBar;
use crate::text::quote;
use crate::{input, open_store, report};

/// The longest line that is read from standard input, in bytes. A key or a CID is much shorter.
const MAX_LINE: u64 = 64 << 10;

/// Remove blocks
#[derive(Debug, Args)]
#[command(after_long_help = format!("{KEY_HELP} With '-', keys are read from standard input, one on each line; \
'/-' is the key.

A block that does not exist is reported and makes the exit status 1, unless --force is given. The other blocks \
are removed in any case. They are removed in batches of several thousand. A line that is not a KEY ends the \
command; the blocks before it are removed.

Example:
  flatfs rm blocks bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku
  flatfs rm blocks - < keys"))]
pub(crate) struct Rm {
    #[command(flatten)]
    store: StoreArgs,
    /// CIDs or keys of the store; '-' reads them from standard input
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<KeySource>,
    /// Ignore blocks that don't exist
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    kubo: KuboArgs,
}

/// A key, or many of them.
#[derive(Clone, Debug)]
enum KeySource {
    Key(KeyArg),
    Stdin,
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "-" => Ok(KeySource::Stdin),
            key => key.parse().map(KeySource::Key),
        }
    }
}

impl Rm {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let is_stdin = |source: &&KeySource| matches!(source, KeySource::Stdin);
        if self.keys.iter().filter(is_stdin).count() > 1 {
            let message = "standard input can be read only once".to_owned();
            return Err(WrongUsage(message).into());
        }
        let _lock = self.kubo.lock(self.store.dir.dir().as_slice()).await?;
        open_store::for_writing(&self.store, async |store| {
            let mut removal = Removal {
                rm: &self,
                writer: BatchWriter::new(store),
                bar: ProgressBar::count("removing"),
                waiting: Vec::new(),
                removed: 0,
                outcome: Outcome::Success,
            };
            let taken = removal.take_all().await;
            // Also after an error: the keys before it were valid.
            let removed = removal.remove_waiting().await;
            let committed = removal.writer.commit().await;
            let mut errors = [taken, removed, committed]
                .into_iter()
                .filter_map(Result::err);
            let Some(last) = errors.next_back() else {
                return Ok(removal.outcome);
            };
            errors.for_each(|error| report::error(&error));
            Err(last)
        })
        .await
    }
}

/// A run of the command on an open store.
struct Removal<'a> {
    rm: &'a Rm,
    writer: BatchWriter<'a>,
    bar: ProgressBar,
    /// Keys that are looked up together.
    waiting: Vec<KeyArg>,
    removed: u64,
    outcome: Outcome,
}

impl Removal<'_> {
    async fn take_all(&mut self) -> anyhow::Result<()> {
        for source in &self.rm.keys {
            match source {
                KeySource::Key(key) => self.take(key.clone()).await?,
                KeySource::Stdin => {
                    let mut reader = input::open("-".as_ref()).await?.reader;
                    while let Some(key) = next_key(&mut reader).await? {
                        self.take(key).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn take(&mut self, key: KeyArg) -> anyhow::Result<()> {
        self.waiting.push(key);
        if self.waiting.len() >= MAX_LOOKUPS {
            self.remove_waiting().await?;
        }
        Ok(())
    }

    /// Removes the waiting blocks, each under each of its keys.
    async fn remove_waiting(&mut self) -> anyhow::Result<()> {
        let waiting = mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let forced = self.rm.force;
        let mut existing = HashSet::new();
        if !forced {
            let keys = waiting.iter().flat_map(KeyArg::keys);
            existing = self.writer.existing(keys).await?;
        }
        for key_arg in waiting {
            let mut existed = false;
            for key in key_arg.keys() {
                // A key that is given twice exists only once.
                if forced || existing.remove(&key) {
                    self.writer.delete(&key).await?;
                    existed = true;
                }
            }
            if existed {
                self.removed += 1;
                self.bar.set_count(self.removed);
            } else if !forced {
                let dir = &self.rm.store.dir;
                report::error(&anyhow!("{key_arg} is not in the store {dir}"));
                self.outcome = Outcome::Found;
            }
        }
        if self.writer.is_full() {
            self.writer.commit().await?;
        }
        Ok(())
    }
}

/// Returns the key on the next line that is not empty, or `None` at the end.
async fn next_key(reader: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<Option<KeyArg>> {
    loop {
        let mut line = Vec::new();
        let read = reader.take(MAX_LINE).read_until(b'\n', &mut line).await;
        if read.context("cannot read standard input")? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if text.is_empty() && line.ends_with(b"\n") {
            continue;
        }
        match text.parse() {
            Ok(key) => return Ok(Some(key)),
            Err(reason) => bail!("invalid key '{}' in standard input: {reason}", quote(text)),
        }
    }
}
