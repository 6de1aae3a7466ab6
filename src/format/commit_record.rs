//! [`CommitRecord`]: what a committed batch is going to do, as text. No I/O.
//!
//! The record is for people too, who may find one after a crash:
//!
//! ```text
//! flatfs commit 2
//! put 4096 CIQA4T3TD3BP3C2M3GXCGRCRTCCHV7XSGAZPZJOAOHLPOI6IQR3H6YQ
//! put 4096 1/CIQBL6NTE2FFTMHPJKMUMWE2LZUUNEZSZUEHZ5QKWBVVWZXJDBZSUAQ
//! delete CIQBED3K6YA5I3QQWLJOCHWXDRK5EXZQILBCKAPEDUJENZ5B5HJ5R3A
//! crc32 0a1b2c3d
//! ```
//!
//! The second block is in the directory `1` of the batch's directory.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::str::{self, FromStr};

use super::block_key::BlockKey;
use super::staging_dir::StagingDir;
use crate::key::Key;

const MAGIC: &str = "flatfs commit ";
/// Version 1 knew no directories in the batch's directory.
const VERSION: u32 = 2;

/// What a committed batch is going to do. No key is in both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommitRecord {
    /// The blocks in the batch's directory that get their places.
    pub(crate) puts: Vec<Put>,
    pub(crate) deletes: Vec<BlockKey>,
}

/// A block that a batch has on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Put {
    pub(crate) block: BlockKey,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) lane: StagingDir,
}

impl Put {
    /// Where the block was written.
    pub(crate) fn staged(&self, batch: &Path) -> PathBuf {
        self.lane.file(batch, &self.block)
    }

    fn decode(text: &str) -> Option<Self> {
        let (size, place) = text.split_once(' ')?;
        let (lane, name) = match place.split_once('/') {
            Some((number, name)) => (StagingDir::new(number.parse().ok()?), name),
            None => (StagingDir::FIRST, place),
        };
        Some(Put {
            block: block(name)?,
            size: size.parse().ok()?,
            lane,
        })
    }
}

/// As it stands in the record.
impl fmt::Display for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "put {} ", self.size)?;
        match self.lane {
            StagingDir::FIRST => {}
            lane => write!(f, "{}/", lane.number())?,
        }
        f.write_str(self.block.name())
    }
}

/// Why a record can't be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnreadableRecord {
    /// It is a record, but not of a version that this code knows.
    Version(u32),
    /// It was never finished, or it was damaged.
    Damaged,
}

impl CommitRecord {
    pub(crate) fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &BlockKey> {
        self.puts.iter().map(|put| &put.block).chain(&self.deletes)
    }

    /// The record's text.
    pub(crate) fn encode(&self) -> String {
        let mut text = format!("{MAGIC}{VERSION}\n");
        for put in &self.puts {
            let _ = writeln!(text, "{put}");
        }
        for block in &self.deletes {
            let _ = writeln!(text, "delete {}", block.name());
        }
        let sum = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "crc32 {sum:08x}");
        text
    }

    /// Reads a record. Its version is looked at first: what else stands in it depends on that.
    pub(crate) fn decode(record: &[u8]) -> Result<Self, UnreadableRecord> {
        let text = str::from_utf8(record).map_err(|_| UnreadableRecord::Damaged)?;
        let (first, _) = text.split_once('\n').ok_or(UnreadableRecord::Damaged)?;
        match number::<u32>(first.strip_prefix(MAGIC))? {
            1..=VERSION => CommitRecord::decode_lines(text).ok_or(UnreadableRecord::Damaged),
            version => Err(UnreadableRecord::Version(version)),
        }
    }

    fn decode_lines(text: &str) -> Option<Self> {
        let (summed, last) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let sum = u32::from_str_radix(last.strip_prefix("crc32 ")?, 16).ok()?;
        let summed = text.get(..summed.len() + 1)?;
        if crc32fast::hash(summed.as_bytes()) != sum {
            return None;
        }
        let mut intent = CommitRecord::default();
        for line in summed.lines().skip(1) {
            if let Some(put) = line.strip_prefix("put ") {
                intent.puts.push(Put::decode(put)?);
            } else {
                intent.deletes.push(block(line.strip_prefix("delete ")?)?);
            }
        }
        Some(intent)
    }
}

fn number<T: FromStr>(text: Option<&str>) -> Result<T, UnreadableRecord> {
    text.and_then(|text| text.parse().ok())
        .ok_or(UnreadableRecord::Damaged)
}

fn block(name: &str) -> Option<BlockKey> {
    BlockKey::new(&Key::new(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(name: &str, size: u64, lane: StagingDir) -> Put {
        Put {
            block: block(name).unwrap(),
            size,
            lane,
        }
    }

    fn intent() -> CommitRecord {
        CommitRecord {
            puts: vec![
                put("CIQA", 4096, StagingDir::FIRST),
                put("CIQB", 0, StagingDir::new(12)),
            ],
            deletes: vec![block("CIQC").unwrap()],
        }
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        for intent in [CommitRecord::default(), intent()] {
            assert_eq!(CommitRecord::decode(intent.encode().as_bytes()), Ok(intent));
        }
    }

    #[test]
    fn a_record_that_is_cut_short_or_changed_anywhere_is_damaged() {
        let record = intent().encode().into_bytes();
        for end in 0..record.len() {
            let cut = CommitRecord::decode(&record[..end]);
            assert_eq!(cut, Err(UnreadableRecord::Damaged), "cut to {end}");
        }
        for at in MAGIC.len() + 1..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 1;
            assert!(CommitRecord::decode(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_record_of_another_version_is_known_as_such_whatever_is_in_it() {
        let future = b"flatfs commit 3\nsomething else\n";
        assert_eq!(
            CommitRecord::decode(future),
            Err(UnreadableRecord::Version(3))
        );
    }

    #[test]
    fn a_record_of_version_1_is_read() {
        let text = "flatfs commit 1\nput 4096 CIQA\n";
        let sum = crc32fast::hash(text.as_bytes());
        let record = format!("{text}crc32 {sum:08x}\n");
        let intent = CommitRecord::decode(record.as_bytes()).unwrap();
        assert_eq!(intent.puts, [put("CIQA", 4096, StagingDir::FIRST)]);
    }
}
