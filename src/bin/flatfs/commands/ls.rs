//! `flatfs ls`

use clap::Args;
use ds_flatfs::query::{Entry, Query};
use futures::StreamExt as _;
use serde::Serialize;

use crate::exit::Outcome;
use crate::location::StoreArgs;
use crate::open_store::{self, OpenStore};
use crate::output::Output;
use crate::report;

/// The maximum number of entries that are written together, if they are ready at once.
const MAX_CHUNK: usize = 512;

/// List the blocks, in no particular order
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints each block on a line of its own, as it is found. With --cids, a key that is a multihash is printed \
as its CID (version 1, raw), and a key that is a CID as that CID; other keys are printed as they are. With \
--json, each line is an object with \"key\", \"cid\" and \"size\" (in bytes). Missing values are null.

If there is a link where a block should be, or anything else that is not a file, it is not listed and causes a \
warning. With --strict it makes the exit status 1. A block or directory that can't be read is reported and \
makes the exit status 3; the others are listed.

Example:
  flatfs ls blocks
  flatfs ls --cids --sizes blocks | sort -k 2 -n | tail
  flatfs ls --json blocks | jq .size")]
pub(crate) struct Ls {
    #[command(flatten)]
    store: StoreArgs,
    /// Print CIDs instead of keys
    #[arg(long)]
    cids: bool,
    /// Print the size in bytes after each block, separated by a tab
    #[arg(long)]
    sizes: bool,
    /// Print JSON objects with key, CID and size
    #[arg(long, conflicts_with_all = ["cids", "sizes"])]
    json: bool,
    /// Stop after this many blocks
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Exit with 1 if something that is not a file is where a block should be
    #[arg(long)]
    strict: bool,
}

#[derive(Serialize)]
struct EntryJson<'a> {
    key: &'a str,
    cid: Option<String>,
    size: Option<u64>,
}

impl Ls {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        open_store::for_listing(&self.store, async |store| self.list(store).await).await
    }

    async fn list(&self, store: &OpenStore) -> anyhow::Result<Outcome> {
        let mut query = Query::new().keys_only();
        if self.sizes || self.json {
            query = query.returns_sizes();
        }
        let entries = store.query(query).await?;
        let mut entries = entries.ready_chunks(MAX_CHUNK);
        let mut output = Output::stdout();
        let mut outcome = Outcome::Success;
        let mut left = self.limit.unwrap_or(u64::MAX);
        'listing: while let Some(chunk) = entries.next().await {
            for entry in chunk {
                if left == 0 {
                    break 'listing;
                }
                match entry {
                    Ok(entry) => {
                        output.write(self.line(&entry)?.as_bytes())?;
                        left -= 1;
                    }
                    Err(error) => outcome = outcome.and(report::unlisted(error, self.strict)),
                }
            }
            output.flush()?;
        }
        output.finish()?;
        Ok(outcome)
    }

    fn line(&self, entry: &Entry) -> anyhow::Result<String> {
        let key = entry.key.as_str();
        if self.json {
            return report::json_line(&EntryJson {
                key,
                cid: entry.key.to_cid().map(|cid| cid.to_string()),
                size: entry.size,
            });
        }
        let cid = self.cids.then(|| entry.key.to_cid()).flatten();
        let name = cid.map_or_else(|| key.to_owned(), |cid| cid.to_string());
        Ok(match entry.size {
            Some(size) if self.sizes => format!("{name}\t{size}\n"),
            _ => format!("{name}\n"),
        })
    }
}

#[cfg(test)]
mod tests {
    use ds_flatfs::Key;

    use super::*;

    fn line(cids: bool, sizes: bool, json: bool, key: &str) -> String {
        let ls = Ls {
            store: StoreArgs::dir(".".as_ref()),
            cids,
            sizes,
            json,
            limit: None,
            strict: false,
        };
        ls.line(&Entry::with_size(Key::new(key), 7)).unwrap()
    }

    const KEY: &str = "/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVI";
    const CID: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

    #[test]
    fn a_line_has_what_the_options_ask_for() {
        assert_eq!(line(false, false, false, KEY), format!("{KEY}\n"));
        assert_eq!(line(false, true, false, KEY), format!("{KEY}\t7\n"));
        assert_eq!(line(true, false, false, KEY), format!("{CID}\n"));
        assert_eq!(line(true, true, false, KEY), format!("{CID}\t7\n"));
        let json = format!("{{\"key\":\"{KEY}\",\"cid\":\"{CID}\",\"size\":7}}\n");
        assert_eq!(line(false, false, true, KEY), json);
    }

    #[test]
    fn a_key_without_a_cid_is_printed_as_it_is() {
        assert_eq!(line(true, false, false, "/FOO"), "/FOO\n");
        let json = "{\"key\":\"/FOO\",\"cid\":null,\"size\":7}\n";
        assert_eq!(line(false, false, true, "/FOO"), json);
    }
}
