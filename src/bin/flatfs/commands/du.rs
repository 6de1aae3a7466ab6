//! `flatfs du`

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use ds_flatfs::{DiskUsage, maintenance};
use serde::Serialize;

use crate::exit::Outcome;
use crate::kubo_args::KuboArgs;
use crate::location::{self, StoreArgs};
use crate::progress::with_progress;
use crate::text::{bytes, escape};
use crate::{open_store, report};

/// Count the disk usage of a store
#[derive(Debug, Args)]
#[command(after_long_help = "\
Adds up the sizes of all files and directories. Nothing is changed and no lock is taken, so it works while \
another program writes. If the figure that is saved in the store, which 'flatfs stat', kubo and go-ds-flatfs \
show, is different, it is printed too.

With --write, the sum is saved in the store. No other program may have the store open for writing. Commits \
that a crash interrupted are completed, and what it left behind is removed.

With --json it prints an object with \"path\", \"bytes\" and \"saved\", the saved figure, with \"bytes\" and \
\"accuracy\".

Example:
  flatfs du blocks
  flatfs du --json blocks | jq .bytes
  flatfs du --write blocks")]
pub(crate) struct Du {
    /// The store
    #[arg(value_parser = location::dir_parser("it is a URL, and the usage of an object store is what 'flatfs stat' counts"))]
    dir: PathBuf,
    /// Save the disk usage in the store, and complete interrupted commits
    #[arg(short, long)]
    write: bool,
    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kubo: KuboArgs,
}

#[derive(Serialize)]
struct DuJson {
    path: String,
    bytes: u64,
    saved: SavedJson,
}

#[derive(Serialize)]
struct SavedJson {
    bytes: u64,
    accuracy: &'static str,
}

impl Du {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        let (counted, saved) = if self.write {
            let counted = self.recount().await?;
            (counted, counted)
        } else {
            open_store::for_reading(&StoreArgs::dir(&self.dir), async |store| {
                let saved = store.disk_usage().await?;
                Ok((self.count().await?, saved))
            })
            .await?
        };
        if self.json {
            report::json(&DuJson {
                path: report::absolute(&self.dir),
                bytes: counted.bytes,
                saved: SavedJson {
                    bytes: saved.bytes,
                    accuracy: saved.accuracy.as_str(),
                },
            })?;
        } else {
            let (path, sum) = (escape(self.dir.display()), bytes(counted.bytes));
            let seconds = started.elapsed().as_secs_f64();
            let mut lines = format!("{path}: disk usage {sum}, {seconds:.2} s\n");
            if saved.bytes != counted.bytes {
                let (saved, accuracy) = (bytes(saved.bytes), saved.accuracy);
                lines.push_str(&format!(
                    "{path}: the saved figure is {saved}, {accuracy}; 'flatfs du --write' corrects it\n"
                ));
            }
            report::summary(&lines)?;
        }
        Ok(Outcome::Success)
    }

    async fn count(&self) -> anyhow::Result<DiskUsage> {
        with_progress("counting", &[&self.dir], |callback| {
            maintenance::count_disk_usage(&self.dir, callback)
        })
        .await
    }

    async fn recount(&self) -> anyhow::Result<DiskUsage> {
        let _lock = self.kubo.lock(&[&self.dir]).await?;
        with_progress("counting", &[&self.dir], |callback| {
            maintenance::recount(&self.dir, callback)
        })
        .await
    }
}
