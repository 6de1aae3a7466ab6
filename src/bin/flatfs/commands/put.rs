//! `flatfs put`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use ds_flatfs::Key;
use serde::Serialize;

use crate::batch_writer::BatchWriter;
use crate::exit::Outcome;
use crate::file_reader::{FileReader, HashedFile, ReadOptions};
use crate::interrupt::interruptible;
use crate::kubo_args::KuboArgs;
use crate::location::StoreArgs;
use crate::open_store::{self, OpenStore};
use crate::output::Output;
use crate::progress::ProgressBar;
use crate::text::escape;
use crate::{input, report};

/// Store each file as one raw block
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints the CID of each block (version 1, raw, sha2-256) on a line of its own, once the block is stored. \
Files are not split into chunks, so a file over 2 MiB is refused: other nodes don't accept such a block. \
With --allow-big-block a block may have up to 1 GiB, the limit of all commands.

With -r, the files in a directory and its subdirectories are stored too, in no particular order, and each \
CID is followed by a tab and the path of its file. Links in a directory are skipped with a warning.

The blocks are stored in batches of several thousand. If a file can't be read, the files before it are stored. \
If the command is interrupted, the blocks whose CIDs were printed are stored. DIR is created, with \
next-to-last/2, if it is missing or empty.

With --json, each line is an object with \"path\", \"cid\", \"key\" and \"size\" (in bytes). The path of \
standard input is null.

Example:
  flatfs put blocks note.txt
  flatfs put -r blocks photos
  echo hello | flatfs put blocks -")]
pub(crate) struct Put {
    #[command(flatten)]
    store: StoreArgs,
    /// The files; '-' is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Put the files in directories too
    #[arg(short, long)]
    recursive: bool,
    /// Accept files over 2 MiB, up to 1 GiB
    #[arg(long)]
    allow_big_block: bool,
    /// Print JSON objects with path, CID, key and size
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kubo: KuboArgs,
}

#[derive(Serialize)]
struct PutJson<'a> {
    path: Option<String>,
    cid: String,
    key: &'a str,
    size: u64,
}

impl Put {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        input::check_stdin(&self.files)?;
        let _lock = self.kubo.lock(self.store.dir.dir().as_slice()).await?;
        let options = ReadOptions {
            recursive: self.recursive,
            big_blocks: self.allow_big_block,
        };
        let mut files = FileReader::start(self.files.clone(), options)?;
        // The file is read before the store is opened, so that no store is created for a file that can't be read.
        let first = interruptible(files.next()).await?;
        open_store::for_importing(&self.store, None, async |store| {
            interruptible(self.put_all(store, first, files)).await
        })
        .await
    }

    async fn put_all(
        &self,
        store: &OpenStore,
        first: Option<Vec<HashedFile>>,
        mut files: FileReader,
    ) -> anyhow::Result<Outcome> {
        let bar = ProgressBar::count("storing");
        let mut output = Output::stdout();
        let mut writer = BatchWriter::new(store);
        let (mut done, mut next) = (0, Ok(first));
        let mut lines = String::new();
        loop {
            let group = match next {
                Ok(Some(group)) => group,
                end => {
                    // Also after an error: the files before it were read.
                    writer.commit().await?;
                    output.write(lines.as_bytes())?;
                    output.finish()?;
                    return end.map(|_| Outcome::Success);
                }
            };
            for file in group {
                lines.push_str(&self.put(&mut writer, file).await?);
                done += 1;
            }
            bar.set_count(done);
            if writer.is_full() {
                writer.commit().await?;
                output.write(lines.as_bytes())?;
                output.flush()?;
                lines.clear();
            }
            next = files.next().await;
        }
    }

    /// Puts a file, and returns the line to print once it is stored.
    async fn put(&self, writer: &mut BatchWriter<'_>, file: HashedFile) -> anyhow::Result<String> {
        let HashedFile {
            path,
            real,
            cid,
            block,
        } = file;
        let (key, size) = (Key::from_cid(&cid), block.len() as u64);
        let put = writer.put(&key, block).await;
        put.with_context(|| format!("cannot put {}", input::name(&path)))?;
        if self.json {
            let path = (!input::is_stdin(&path)).then(|| report::absolute(&real));
            return report::json_line(&PutJson {
                path,
                cid: cid.to_string(),
                key: key.as_str(),
                size,
            });
        }
        Ok(match self.recursive {
            true => format!("{cid}\t{}\n", escape(path.display())),
            false => format!("{cid}\n"),
        })
    }
}
