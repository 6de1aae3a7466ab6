//! [`FileReader`]: the files that the user names, read and hashed in the background, some at a time.

use std::fs::{self, File, ReadDir};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use cid::Cid;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::{blocks, hash, input, platform, report};

/// The largest block that other nodes accept, in bytes.
const MAX_SHARED_BLOCK: u64 = 2 << 20;

/// The maximum number of files that are read ahead.
const MAX_GROUP_FILES: usize = 64;
/// The maximum number of bytes that are read ahead. The last file of a group may exceed it.
const MAX_GROUP_BYTES: usize = 4 << 20;

/// A file as a block.
#[derive(Debug)]
pub(crate) struct HashedFile {
    pub(crate) path: PathBuf,
    /// The path by which it was opened, which may have another form.
    pub(crate) real: PathBuf,
    pub(crate) cid: Cid,
    pub(crate) block: Bytes,
}

/// Which files are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadOptions {
    /// Whether a directory means the files in it.
    pub(crate) recursive: bool,
    /// Whether files over 2 MiB are accepted.
    pub(crate) big_blocks: bool,
}

/// Reads files in the order in which they are named. At most three groups of files are in memory.
#[derive(Debug)]
pub(crate) struct FileReader(Receiver<anyhow::Result<Vec<HashedFile>>>);

impl FileReader {
    /// Begins to read the files, on a thread of their own, which ends when the reader is dropped.
    ///
    /// # Errors
    ///
    /// Fails if the thread can't be started.
    pub(crate) fn start(paths: Vec<PathBuf>, options: ReadOptions) -> anyhow::Result<Self> {
        let (sender, receiver) = mpsc::channel(1);
        let group = Group {
            sender,
            options,
            files: Vec::new(),
            bytes: 0,
        };
        thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || group.run(&paths))
            .context("cannot start a thread")?;
        Ok(FileReader(receiver))
    }

    /// Returns the next files, or `None` after the last ones.
    ///
    /// # Errors
    ///
    /// Fails if a file can't be read or is too large. That ends the reader.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Vec<HashedFile>>> {
        self.0.recv().await.transpose()
    }
}

/// Files that are sent together: to send each alone would take longer than to read it.
struct Group {
    sender: Sender<anyhow::Result<Vec<HashedFile>>>,
    options: ReadOptions,
    files: Vec<HashedFile>,
    bytes: usize,
}

impl Group {
    fn run(mut self, paths: &[PathBuf]) {
        let read = paths.iter().try_for_each(|path| self.visit(path));
        // Also after an error: these files were read before it.
        let sent = self.send();
        if let (Err(error), Ok(())) = (read, sent) {
            // This fails only if the reader was dropped. Then no caller waits for the error.
            let _ = self.sender.blocking_send(Err(error));
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the program reads the user's own files"
    )]
    fn visit(&mut self, path: &Path) -> anyhow::Result<()> {
        if !self.options.recursive || input::is_stdin(path) || !path.is_dir() {
            return self.read(path, path);
        }
        let open = |path: &Path, real: &Path| {
            let dir = fs::read_dir(real);
            dir.with_context(|| format!("cannot list {}", path.display()))
        };
        let real = platform::with_exact_names(path);
        let mut dirs: Vec<(PathBuf, ReadDir)> = vec![(path.to_owned(), open(path, &real)?)];
        while let Some((dir, entries)) = dirs.last_mut() {
            let failed = || format!("cannot list {}", dir.display());
            let Some(entry) = entries.next().transpose().with_context(failed)? else {
                dirs.pop();
                continue;
            };
            let kind = entry.file_type().with_context(failed)?;
            let (path, real) = (dir.join(entry.file_name()), entry.path());
            if kind.is_dir() {
                let entries = open(&path, &real)?;
                dirs.push((path, entries));
            } else if kind.is_file() {
                self.read(&path, &real)?;
            } else {
                // A link may lead out of the directory, or around in a circle.
                let path = path.display();
                report::warn(&format!(
                    "skipped {path}: it is neither a file nor a directory"
                ));
            }
        }
        Ok(())
    }

    /// Reads a file that messages call `path`, and that is opened as `real`.
    fn read(&mut self, path: &Path, real: &Path) -> anyhow::Result<()> {
        let block = self.read_block(path, real)?;
        self.bytes += block.len();
        self.files.push(HashedFile {
            path: path.to_owned(),
            real: real.to_owned(),
            cid: hash::raw_cid(&block),
            block: block.into(),
        });
        if self.files.len() >= MAX_GROUP_FILES || self.bytes >= MAX_GROUP_BYTES {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> anyhow::Result<()> {
        let files = std::mem::take(&mut self.files);
        self.bytes = 0;
        if files.is_empty() {
            return Ok(());
        }
        let sent = self.sender.blocking_send(Ok(files));
        sent.map_err(|_| anyhow!("the reader of the files was dropped"))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the program reads the user's own files"
    )]
    fn read_block(&self, path: &Path, real: &Path) -> anyhow::Result<Vec<u8>> {
        let name = || input::name(path);
        let cannot_read = || format!("cannot read {}", name());
        let mut block = Vec::new();
        let limit = self.max_block() + 1;
        if input::is_stdin(path) {
            let read = io::stdin().lock().take(limit).read_to_end(&mut block);
            read.with_context(cannot_read)?;
        } else {
            let cannot_open = || format!("cannot open {}", name());
            // Checked before the open, because Windows refuses to open a directory as a file.
            if real.is_dir() {
                bail!("{} is a directory: -r puts the files in it", name());
            }
            let file = File::open(real).with_context(cannot_open)?;
            // A device of Windows has no metadata.
            let len = file.metadata().map_or(0, |found| found.len());
            self.check_len(len, name)?;
            // With room for one more byte, the end of the file is found without growing the buffer again.
            block.reserve(usize::try_from(len).unwrap_or(0).saturating_add(1));
            let read = file.take(limit).read_to_end(&mut block);
            read.with_context(cannot_read)?;
        }
        self.check_len(block.len() as u64, name)?;
        Ok(block)
    }

    fn max_block(&self) -> u64 {
        if self.options.big_blocks {
            blocks::MAX_BLOCK
        } else {
            MAX_SHARED_BLOCK
        }
    }

    fn check_len(&self, len: u64, name: impl FnOnce() -> String) -> anyhow::Result<()> {
        if len > blocks::MAX_BLOCK {
            bail!(
                "{} is over 1 GiB, the largest block that is supported",
                name()
            );
        }
        if len > self.max_block() {
            bail!(
                "{} is over 2 MiB, which other nodes don't accept as one block: --allow-big-block stores it anyway",
                name()
            );
        }
        Ok(())
    }
}
