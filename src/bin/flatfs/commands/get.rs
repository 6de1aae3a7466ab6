//! `flatfs get`

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use crate::exit::Outcome;
use crate::key_arg::{KEY_HELP, KeyArg};
use crate::location::StoreArgs;
use crate::output::Output;
use crate::{open_store, report};

/// Write the bytes of a block
#[derive(Debug, Args)]
#[command(after_long_help = format!("{KEY_HELP}

If the store does not have the block, the exit status is 1.

A block that is not text is not written to a terminal, unless '-o -' asks for it.

Example:
  flatfs get blocks bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku > block"))]
pub(crate) struct Get {
    #[command(flatten)]
    store: StoreArgs,
    /// A CID or a key of the store
    key: KeyArg,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Get {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let found =
            open_store::for_reading(&self.store, async |store| self.key.load(&**store).await);
        let Some(block) = found.await? else {
            let dir = &self.store.dir;
            report::error(&anyhow!("{} is not in the store {dir}", self.key));
            return Ok(Outcome::Found);
        };
        let mut output = Output::open(self.output.as_deref())?;
        if self.output.is_none() && !is_text(&block) {
            output.refuse_terminal(
                "the block is not text, which could garble the terminal: redirect the output, or name a \
                 file with -o ('-o -' writes it to the terminal)",
            )?;
        }
        output.write(&block)?;
        output.finish()?;
        Ok(Outcome::Success)
    }
}

/// Returns whether a terminal shows the bytes as they are.
fn is_text(block: &[u8]) -> bool {
    let is_shown = |c: char| !c.is_control() || c.is_ascii_whitespace();
    str::from_utf8(block).is_ok_and(|text| text.chars().all(is_shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_a_terminal_shows() {
        for text in ["", "hello\n", "a\tb\r\n", "blöcke 块"] {
            assert!(is_text(text.as_bytes()), "{text:?}");
        }
        for other in [&b"\x1b[31m"[..], b"\0", b"\xff", b"a\x07"] {
            assert!(!is_text(other), "{other:?}");
        }
    }
}
