//! [`RootArgs`]: the CIDs of roots, from the command line and from files.

use std::path::{Path, PathBuf};

use cid::Cid;
use clap::Args;
use ds_flatfs::Error;
use futures::stream::{self, Stream, StreamExt as _};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use crate::input;
use crate::key_arg::parse_cid;
use crate::text::quote;

/// The longest line that is read, in bytes. A CID is much shorter.
const MAX_LINE: u64 = 64 << 10;

/// The roots of DAGs.
#[derive(Debug, Args)]
pub(crate) struct RootArgs {
    /// Files with the CIDs of roots, one on each line; '-' is standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    roots: Vec<PathBuf>,
    /// A root; can be repeated
    #[arg(long = "root", value_name = "CID", value_parser = parse_cid)]
    root: Vec<Cid>,
}

/// A file of roots.
struct RootFile {
    name: String,
    line: u64,
    /// Whether a root was found in the file.
    has_roots: bool,
    reader: Box<dyn AsyncBufRead + Send + Unpin>,
}

impl RootArgs {
    /// Returns whether the command line names no root and no file of roots.
    pub(crate) fn is_empty(&self) -> bool {
        self.roots.is_empty() && self.root.is_empty()
    }

    /// Opens the files, and returns all roots. The files are read as far as the roots are taken.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be opened.
    pub(crate) async fn open(
        &self,
    ) -> anyhow::Result<impl Stream<Item = Result<Cid, Error>> + Send + 'static> {
        input::check_stdin(&self.roots)?;
        let mut files = Vec::new();
        for path in &self.roots {
            files.push(RootFile::open(path).await?);
        }
        let given = stream::iter(self.root.clone()).map(Ok);
        Ok(given.chain(stream::iter(files).flat_map(RootFile::roots)))
    }
}

impl RootFile {
    async fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(RootFile {
            name: input::name(path),
            line: 0,
            has_roots: false,
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

    async fn next(&mut self) -> Result<Option<Cid>, Error> {
        loop {
            self.line += 1;
            let mut line = Vec::new();
            let mut limited = (&mut self.reader).take(MAX_LINE);
            let read = limited.read_until(b'\n', &mut line).await;
            let read = read.map_err(|error| Error::Backend {
                message: format!("cannot read roots from {}", self.name),
                source: Some(error.into()),
            })?;
            let text = String::from_utf8_lossy(&line);
            match text.trim() {
                // A list of pins that could not be made is empty, and must not be taken for all pins.
                "" if read == 0 && !self.has_roots => {
                    return Err(Error::Backend {
                        message: format!("{} has no roots: was it written completely?", self.name),
                        source: None,
                    });
                }
                "" if read == 0 => return Ok(None),
                "" => {}
                text => {
                    self.has_roots = true;
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
