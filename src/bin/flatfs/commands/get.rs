//! `flatfs get`

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::report::Answer;
use crate::sink::Sink;
use crate::store;
use crate::target::{KEY_HELP, Target};

/// Write the bytes of a block
#[derive(Debug, Args)]
#[command(after_help = format!("{KEY_HELP}

A block that is no text is not written to a terminal, unless -o - asks for it.

Example:
  flatfs get blocks bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku > block"))]
pub(crate) struct Get {
    /// The store
    dir: PathBuf,
    /// A CID, or a key of the store
    key: Target,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Get {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        let found = store::reading(&self.dir, async |store| self.key.load(store).await).await?;
        let Some(block) = found else {
            bail!("{} is not in the store {}", self.key, self.dir.display());
        };
        let mut sink = Sink::open(self.output.as_deref())?;
        if self.output.is_none() && !is_text(&block) {
            sink.refuse_terminal(
                "the block is no text, which could upset the terminal: redirect the output, \
                 or name a file with -o ('-o -' writes it here all the same)",
            )?;
        }
        sink.write(&block)?;
        sink.finish()?;
        Ok(Answer::Yes)
    }
}

/// Whether a terminal shows the bytes as they are.
fn is_text(block: &[u8]) -> bool {
    let is_shown = |c: char| !c.is_control() || c.is_ascii_whitespace();
    str::from_utf8(block).is_ok_and(|text| text.chars().all(is_shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_shows_is_text() {
        for text in ["", "hello\n", "a\tb\r\n", "blöcke 块"] {
            assert!(is_text(text.as_bytes()), "{text:?}");
        }
        for other in [&b"\x1b[31m"[..], b"\0", b"\xff", b"a\x07"] {
            assert!(!is_text(other), "{other:?}");
        }
    }
}
