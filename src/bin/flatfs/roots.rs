//! [`RootArgs`]: the CIDs of roots, from the command line and from files.

use std::path::{Path, PathBuf};

use cid::Cid;
use clap::Args;
use ds_flatfs::Error;
use ds_flatfs::maintenance::Gc;
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
