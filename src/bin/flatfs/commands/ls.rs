//! `flatfs ls`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use ds_flatfs::FlatFs;
use ds_flatfs::query::{Entry, Query};
use futures::StreamExt as _;
use serde::Serialize;

use crate::report::Answer;
use crate::sink::Sink;
use crate::{report, store};

/// How many entries are printed together when they come fast.
const CHUNK: usize = 512;

/// List the blocks, in any order
#[derive(Debug, Args)]
#[command(after_help = "\
Prints a line each, as they are found. With --cids a key that is a multihash is printed as its CID \
(version 1, raw), one that is a CID as that; other keys stay as they are. With --json a line is an \
object with \"key\", \"cid\" (null if it has none) and \"size\" in bytes.

A block that can't be listed is reported and makes the exit status 1; the others are listed.

Example:
  flatfs ls blocks
  flatfs ls --cids --sizes blocks | sort -k 2 -n | tail
  flatfs ls --json blocks | jq .size")]
pub(crate) struct Ls {
    /// The store
    dir: PathBuf,
    /// CIDs instead of keys
    #[arg(long)]
    cids: bool,
    /// The size in bytes behind each, after a tab
    #[arg(long)]
    sizes: bool,
    /// JSON objects with key, CID and size
    #[arg(long, conflicts_with_all = ["cids", "sizes"])]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    cid: Option<String>,
    size: Option<u64>,
}

impl Ls {
    pub(crate) async fn run(self) -> anyhow::Result<Answer> {
        store::reading(&self.dir, async |store| self.list(store).await).await
    }

    async fn list(&self, store: &FlatFs) -> anyhow::Result<Answer> {
        let mut query = Query::new().keys_only();
        if self.sizes || self.json {
            query = query.returns_sizes();
        }
        let entries = store.query(query).await?;
        let mut entries = entries.ready_chunks(CHUNK);
        let mut sink = Sink::stdout();
        let mut answer = Answer::Yes;
        while let Some(chunk) = entries.next().await {
            for entry in chunk {
                match entry {
                    Ok(entry) => sink.write(self.line(&entry)?.as_bytes())?,
                    Err(error) => {
                        answer = Answer::No;
                        report::error(&error.into());
                    }
                }
            }
            sink.flush()?;
        }
        sink.finish()?;
        Ok(answer)
    }

    fn line(&self, entry: &Entry) -> anyhow::Result<String> {
        let key = entry.key.as_str();
        if self.json {
            let line = Line {
                key,
                cid: entry.key.to_cid().map(|cid| cid.to_string()),
                size: entry.size,
            };
            let line = serde_json::to_string(&line).context("cannot print an entry")?;
            return Ok(format!("{line}\n"));
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
            dir: PathBuf::new(),
            cids,
            sizes,
            json,
        };
        ls.line(&Entry::with_size(Key::new(key), 7)).unwrap()
    }

    const KEY: &str = "/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVI";
    const CID: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

    #[test]
    fn a_line_has_what_was_asked_for() {
        assert_eq!(line(false, false, false, KEY), format!("{KEY}\n"));
        assert_eq!(line(false, true, false, KEY), format!("{KEY}\t7\n"));
        assert_eq!(line(true, false, false, KEY), format!("{CID}\n"));
        assert_eq!(line(true, true, false, KEY), format!("{CID}\t7\n"));
        let json = format!("{{\"key\":\"{KEY}\",\"cid\":\"{CID}\",\"size\":7}}\n");
        assert_eq!(line(false, false, true, KEY), json);
    }

    #[test]
    fn a_key_without_a_cid_stays_as_it_is() {
        assert_eq!(line(true, false, false, "/FOO"), "/FOO\n");
        let json = "{\"key\":\"/FOO\",\"cid\":null,\"size\":7}\n";
        assert_eq!(line(false, false, true, "/FOO"), json);
    }
}
