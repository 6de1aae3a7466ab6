//! `flatfs diff`

use std::ops::ControlFlow;

use clap::Args;
use ds_flatfs::maintenance::{self, Difference};
use futures::StreamExt as _;
use serde::Serialize;

use crate::exit::{ClosedPipe, Outcome};
use crate::location::{self, ClientOption, Location, StoreOptions};
use crate::open_store::{self, OpenStore};
use crate::output::Output;
use crate::progress::ProgressBar;
use crate::report;

/// The maximum number of differences that are written together, if they are ready at once.
const MAX_CHUNK: usize = 512;

/// List the keys in which two stores differ
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints a line for each key, in the order of the keys: only-in-a or only-in-b, the key and the size of the \
block; or other-size, the key and both sizes; separated by tabs. Blocks are not read: those of the same size \
are regarded as equal, and 'flatfs verify' finds out whether they are good. Both stores may be directories or \
URLs.

With --json, each line is an object with \"difference\", \"key\", \"cid\", \"size_a\" and \"size_b\". Missing values \
are null.

S3 and Google Cloud Storage list keys in order, so comparing two buckets takes the same memory for any number of \
blocks. A directory takes up to 300 MB, from a million blocks on, and is listed once for each million. \
The keys of other object stores, file:///PATH among them, and of those with a shard function, are sorted in \
memory, about 150 bytes for each.

Exit status: 0 if the stores are equal, 1 if they differ, 2 if they could not be compared. After an error in the \
listing of one store, keys that only the other one lists are not printed. A symbolic link in the place of a block is \
such an error. The exit status is also 2 if a commit is under way or was interrupted: its blocks may be missing.

Example:
  flatfs diff ~/.ipfs/blocks s3://bucket/blocks
  flatfs diff --json blocks backup | jq -r 'select(.size_b == null).cid'")]
pub(crate) struct Diff {
    /// The first store: a directory or a URL
    #[arg(value_parser = location::parser())]
    a: Location,
    /// The second store: a directory or a URL
    #[arg(value_parser = location::parser())]
    b: Location,
    /// Print a JSON object for each key
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: StoreOptions,
    /// Set an option of the client of A alone
    #[arg(long = "a-option", value_name = "KEY=VALUE")]
    a_options: Vec<ClientOption>,
    /// Set an option of the client of B alone
    #[arg(long = "b-option", value_name = "KEY=VALUE")]
    b_options: Vec<ClientOption>,
}

#[derive(Serialize)]
struct DifferenceJson<'a> {
    difference: &'a str,
    key: &'a str,
    cid: Option<String>,
    size_a: Option<u64>,
    size_b: Option<u64>,
}

impl Diff {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        match self.compare().await {
            Err(error) if !error.is::<ClosedPipe>() => {
                report::error(&error);
                Ok(Outcome::CannotTell)
            }
            done => done,
        }
    }

    async fn compare(&self) -> anyhow::Result<Outcome> {
        let a = self.options.for_store(&self.a, &self.a_options);
        let b = self.options.for_store(&self.b, &self.b_options);
        open_store::for_reading(&a, async |a| {
            open_store::for_reading(&b, async |b| {
                // Asked first: the commit may end while keys are listed.
                let is_pending = a.has_pending_commits().await? || b.has_pending_commits().await?;
                let printed = self.print(a, b).await?;
                Ok(match is_pending {
                    true => Outcome::CannotTell,
                    false => printed,
                })
            })
            .await
        })
        .await
    }

    async fn print(&self, a: &OpenStore, b: &OpenStore) -> anyhow::Result<Outcome> {
        let bar = ProgressBar::count("comparing");
        let diff = maintenance::Diff::new(&**a, &**b).on_progress(move |progress| {
            bar.set_count(progress.blocks);
            ControlFlow::Continue(())
        });
        let mut differences = diff.start().await?.ready_chunks(MAX_CHUNK);
        let mut output = Output::stdout();
        let mut outcome = Outcome::Success;
        while let Some(chunk) = differences.next().await {
            for difference in chunk {
                match difference {
                    Ok(difference) => {
                        output.write(self.line(&difference)?.as_bytes())?;
                        outcome = outcome.and(Outcome::Found);
                    }
                    Err(error) => {
                        report::error(&error.into());
                        outcome = Outcome::CannotTell;
                    }
                }
            }
            output.flush()?;
        }
        output.finish()?;
        Ok(outcome)
    }

    fn line(&self, difference: &Difference) -> anyhow::Result<String> {
        let name = name(difference);
        let Difference {
            key, first, second, ..
        } = difference;
        if self.json {
            return report::json_line(&DifferenceJson {
                difference: name,
                key: key.as_str(),
                cid: key.to_cid().map(|cid| cid.to_string()),
                size_a: *first,
                size_b: *second,
            });
        }
        let sizes = first.iter().chain(second);
        let sizes: String = sizes.map(|size| format!("\t{size}")).collect();
        Ok(format!("{name}\t{key}{sizes}\n"))
    }
}

fn name(difference: &Difference) -> &'static str {
    match (difference.first, difference.second) {
        (_, None) => "only-in-a",
        (None, _) => "only-in-b",
        (Some(_), Some(_)) => "other-size",
    }
}
