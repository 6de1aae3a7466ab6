//! [`RootArgs`]: the CIDs of roots, from the command line and from files.

use std::path::{Path, PathBuf};

use cid::Cid;
use clap::Args;
use ds_flatfs::Error;
use ds_flatfs::maintenance::Gc;
use futures::stream::{self, Stream, StreamExt as _};
use tokio::io::{self, AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use crate::input;
use crate::key_arg::parse_cid;
use crate::text::quote;

/// The longest line that is read, in bytes. A CID is much shorter.
const MAX_LINE: u64 = 64 << 10;

/// How a file begins that Windows PowerShell has written with `>`.
const UTF_16_MARK: &[u8] = &[0xff, 0xfe];

/// The roots of DAGs.
#[derive(Debug, Args)]
pub(crate) struct RootArgs {
    /// Files with the CIDs of roots, one on each line; '-' is standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    roots: Vec<PathBuf>,
    /// A root; can be repeated
    #[arg(long = "root", value_name = "CID", value_parser = parse_cid)]
    root: Vec<Cid>,
    /// Files with the CIDs of blocks that are kept without what they link to, one on each line
    #[arg(long, value_name = "FILE", num_args = 1..)]
    direct: Vec<PathBuf>,
}

/// A file of roots.
struct RootFile {
    name: String,
    line: u64,
    /// Whether it is no error if the file has no roots, or a root was found in it.
    may_end: bool,
    /// Whether the text is UTF-16 with the low byte first, as Windows PowerShell writes it.
    is_utf16: bool,
    reader: Box<dyn AsyncBufRead + Send + Unpin>,
}

impl RootArgs {
    /// Returns whether the command line names no root and no file of roots.
    pub(crate) fn is_empty(&self) -> bool {
        self.roots.is_empty() && self.root.is_empty() && self.direct.is_empty()
    }

    /// Opens the files, and adds all roots to a collection. The files are read as far as the roots are taken.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be opened.
    pub(crate) async fn add_to(&self, gc: Gc) -> anyhow::Result<Gc> {
        input::check_stdin(&[&self.roots[..], &self.direct].concat())?;
        let given = stream::iter(self.root.clone()).map(Ok);
        // A list of pins that could not be made is empty, and must not be taken for all pins. Few nodes have direct pins.
        let roots = given.chain(open_all(&self.roots, false).await?);
        Ok(gc
            .roots(roots)
            .direct_roots(open_all(&self.direct, true).await?))
    }
}

async fn open_all(
    paths: &[PathBuf],
    may_be_empty: bool,
) -> anyhow::Result<impl Stream<Item = Result<Cid, Error>> + Send + use<>> {
    let mut files = Vec::new();
    for path in paths {
        files.push(RootFile::open(path, may_be_empty).await?);
    }
    Ok(stream::iter(files).flat_map(RootFile::roots))
}

impl RootFile {
    async fn open(path: &Path, may_be_empty: bool) -> anyhow::Result<Self> {
        Ok(RootFile {
            name: input::name(path),
            line: 0,
            may_end: may_be_empty,
            is_utf16: false,
            reader: input::open(path).await?.reader,
        })
    }

    fn roots(self) -> impl Stream<Item = Result<Cid, Error>> + Send {
        stream::unfold(Some(self), |file| async move {
            let mut file = file?;
            match file.next().await {
                Ok(Some(root)) => Some((Ok(root), Some(file))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }

    /// Reads a line. Nothing is left of the file if it is empty.
    async fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.reader).take(MAX_LINE);
        limited.read_until(b'\n', &mut line).await?;
        if self.line == 1 {
            self.is_utf16 = line.starts_with(UTF_16_MARK);
        }
        // The second half of the line break.
        if self.is_utf16 && !line.len().is_multiple_of(2) {
            (&mut self.reader).take(1).read_to_end(&mut line).await?;
        }
        Ok(line)
    }

    /// Returns the text of a line, without the mark of the encoding.
    fn decode(&self, line: &[u8]) -> String {
        let text = match self.is_utf16 {
            true => {
                let units = line.chunks(2).map(|unit| match *unit {
                    [low, high] => u16::from_le_bytes([low, high]),
                    _ => 0xfffd,
                });
                let text = char::decode_utf16(units);
                text.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect()
            }
            false => String::from_utf8_lossy(line).into_owned(),
        };
        match text.strip_prefix('\u{feff}') {
            Some(text) if self.line == 1 => text.to_owned(),
            _ => text,
        }
    }

    async fn next(&mut self) -> Result<Option<Cid>, Error> {
        loop {
            self.line += 1;
            let line = self.read_line().await.map_err(|error| Error::Backend {
                message: format!("cannot read roots from {}", self.name),
                source: Some(error.into()),
            })?;
            let read = line.len();
            let text = self.decode(&line);
            match text.trim() {
                "" if read == 0 && !self.may_end => {
                    return Err(Error::Backend {
                        message: format!("{} has no roots: was it written completely?", self.name),
                        source: None,
                    });
                }
                "" if read == 0 => return Ok(None),
                "" => {}
                text => {
                    self.may_end = true;
                    return parse_cid(text).map(Some).map_err(|reason| Error::Backend {
                        message: format!(
                            "line {} of {}: '{}': {reason}",
                            self.line,
                            self.name,
                            quote(text)
                        ),
                        source: None,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    const CIDS: [&str; 2] = [
        "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e",
        "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn",
    ];

    async fn roots(text: Vec<u8>) -> Result<Vec<String>, Error> {
        let file = RootFile {
            name: "roots".to_owned(),
            line: 0,
            may_end: false,
            is_utf16: false,
            reader: Box::new(std::io::Cursor::new(text)),
        };
        file.roots()
            .map_ok(|root| root.to_string())
            .try_collect()
            .await
    }

    #[tokio::test]
    async fn the_encodings_of_windows_power_shell_are_read() {
        let text = format!("\u{feff}{}\r\n\r\n{}\r\n", CIDS[0], CIDS[1]);
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let unmarked = text.trim_start_matches('\u{feff}');
        for text in [unmarked.into(), text.clone().into_bytes(), utf16.clone()] {
            assert_eq!(roots(text).await.unwrap(), CIDS);
        }
        // A file that ends within a character, or has no roots.
        assert!(roots(utf16[..utf16.len() - 9].to_vec()).await.is_err());
        let empty = roots(UTF_16_MARK.to_vec()).await.unwrap_err();
        assert!(empty.to_string().contains("has no roots"), "{empty}");
    }
}
