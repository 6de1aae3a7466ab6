//! [`Input`]: a file that the user names, or standard input, opened to be read.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::fs::File;
use tokio::io::{self, AsyncBufRead, AsyncReadExt as _, BufReader};

use crate::exit::WrongUsage;

/// The size of one read.
const BUFFER: usize = 1 << 20;

/// A file or standard input.
pub(crate) struct Input {
    pub(crate) reader: Box<dyn AsyncBufRead + Send + Unpin>,
    /// The length in bytes, if it is known.
    pub(crate) len: Option<u64>,
}

/// Checks that standard input is named at most once: it can be read only once.
///
/// # Errors
///
/// Returns [`WrongUsage`] if it is named twice.
pub(crate) fn check_stdin(paths: &[PathBuf]) -> anyhow::Result<()> {
    if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
        let message = "standard input can be read only once".to_owned();
        return Err(WrongUsage(message).into());
    }
    Ok(())
}

/// Returns whether the path means standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Returns the name of the input for messages.
pub(crate) fn name(path: &Path) -> String {
    if is_stdin(path) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// Returns the contents of a text file of at most `max_len` bytes.
///
/// # Errors
///
/// Fails if the file can't be read, is longer, or is not UTF-8.
pub(crate) async fn read_text(path: &Path, max_len: u64) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut limited = open(path).await?.reader.take(max_len + 1);
    let read = limited.read_to_string(&mut text).await;
    read.with_context(|| format!("cannot read {}", name(path)))?;
    anyhow::ensure!(
        text.len() as u64 <= max_len,
        "{} is over the limit of {max_len} bytes: is it the right file?",
        name(path)
    );
    Ok(text)
}

/// Opens the file, or standard input if the path is `-`.
///
/// # Errors
///
/// Fails if the file can't be opened, or is a directory.
pub(crate) async fn open(path: &Path) -> anyhow::Result<Input> {
    if is_stdin(path) {
        return Ok(Input {
            reader: Box::new(BufReader::with_capacity(BUFFER, io::stdin())),
            len: None,
        });
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "an input is one file, which is only read, outside of any store"
    )]
    let open = async {
        // Checked before the open, because Windows refuses to open a directory as a file.
        let found = tokio::fs::metadata(path).await;
        if found.is_ok_and(|found| found.is_dir()) {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        let mut file = File::open(path).await?;
        file.set_max_buf_size(BUFFER);
        // A device of Windows, such as NUL, has no metadata.
        let metadata = file.metadata().await.ok();
        let metadata = metadata.filter(|found| found.is_file());
        Ok(Input {
            reader: Box::new(BufReader::with_capacity(BUFFER, file)),
            len: metadata.map(|found| found.len()),
        })
    };
    open.await
        .with_context(|| format!("cannot open {}", name(path)))
}
