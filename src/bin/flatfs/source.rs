//! Files that the user names, to be read; `-` is standard input.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::fs::File;
use tokio::io::{self, AsyncBufRead, BufReader};

use crate::report::WrongUsage;

/// How much is read at once.
const BUFFER: usize = 1 << 20;

/// Something to read.
pub(crate) struct Source {
    pub(crate) reader: Box<dyn AsyncBufRead + Send + Unpin>,
    /// Its length in bytes, where that is known.
    pub(crate) len: Option<u64>,
}

/// # Errors
///
/// [`WrongUsage`] if standard input is named twice: it can be read only once.
pub(crate) fn check_stdin(paths: &[PathBuf]) -> anyhow::Result<()> {
    if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
        let message = "standard input can be read only once".to_owned();
        return Err(WrongUsage(message).into());
    }
    Ok(())
}

/// Whether the path stands for standard input.
fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The path as it is told to the user.
pub(crate) fn name(path: &Path) -> String {
    if is_stdin(path) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// Opens the file.
///
/// # Errors
///
/// If it can't be opened, or is a directory.
pub(crate) async fn open(path: &Path) -> anyhow::Result<Source> {
    if is_stdin(path) {
        return Ok(Source {
            reader: Box::new(BufReader::with_capacity(BUFFER, io::stdin())),
            len: None,
        });
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "an input is one file, which is only read, outside of any store"
    )]
    let open = async {
        let mut file = File::open(path).await?;
        file.set_max_buf_size(BUFFER);
        let metadata = file.metadata().await?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        Ok(Source {
            reader: Box::new(BufReader::with_capacity(BUFFER, file)),
            len: metadata.is_file().then_some(metadata.len()),
        })
    };
    open.await
        .with_context(|| format!("cannot open {}", name(path)))
}
