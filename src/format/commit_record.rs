//! [`CommitRecord`]: what a committed batch changes, as text. No I/O.
//!
//! It is text, so that an operator who finds one after a crash can read it:
//!
//! ```text
//! flatfs commit 2
//! put 4096 CIQA4T3TD3BP3C2M3GXCGRCRTCCHV7XSGAZPZJOAOHLPOI6IQR3H6YQ
//! put 4096 1/CIQBL6NTE2FFTMHPJKMUMWE2LZUUNEZSZUEHZ5QKWBVVWZXJDBZSUAQ
//! delete CIQBED3K6YA5I3QQWLJOCHWXDRK5EXZQILBCKAPEDUJENZ5B5HJ5R3A
//! crc32 0a1b2c3d
//! ```
//!
//! The second block is in the staging directory `1` of the batch.

use std::fmt::{self, Write};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::{self, FromStr};

use super::block_key::BlockKey;
use super::staging_dir::StagingDir;
use crate::key::Key;

const MAGIC: &str = "flatfs commit ";
/// Version 1 had no staging directories.
const VERSION: u32 = 2;
const CHECKSUM: &str = "crc32 ";

/// The longest line of a record: `put`, a number of 20 digits, a staging directory of three, a key of 250
/// characters, and what separates them.
const MAX_LINE_LEN: u64 = 280;

/// What a committed batch changes. Each key is in one of the lists only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommitRecord {
    /// The staged blocks that are published.
    pub(crate) puts: Vec<Put>,
    pub(crate) deletes: Vec<BlockKey>,
}

/// A block that a batch has staged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Put {
    pub(crate) block: BlockKey,
    /// The size in bytes.
    pub(crate) size: u64,
    pub(crate) staging_dir: StagingDir,
}

impl Put {
    /// Returns the path of the staged block; `batch` is the directory of the batch.
    pub(crate) fn staged(&self, batch: &Path) -> PathBuf {
        self.staging_dir.file(batch, &self.block)
    }

    fn decode(text: &str) -> Option<Self> {
        let (size, path) = text.split_once(' ')?;
        let (staging_dir, name) = match path.split_once('/') {
            Some((number, name)) => (StagingDir::new(number.parse().ok()?), name),
            None => (StagingDir::FIRST, path),
        };
        Some(Put {
            block: block(name)?,
            size: size.parse().ok()?,
            staging_dir,
        })
    }
}

/// Writes the line of the record, without its end.
impl fmt::Display for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "put {} ", self.size)?;
        match self.staging_dir {
            StagingDir::FIRST => {}
            staging_dir => write!(f, "{}/", staging_dir.number())?,
        }
        f.write_str(self.block.name())
    }
}

/// The reason why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnreadableRecord {
    /// It has a version that this code does not know.
    Version(u32),
    /// It was not written to its end, or it was changed.
    Damaged,
}

impl CommitRecord {
    pub(crate) fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &BlockKey> {
        self.puts.iter().map(|put| &put.block).chain(&self.deletes)
    }

    /// Returns the text of the record.
    pub(crate) fn encode(&self) -> String {
        let mut text = format!("{MAGIC}{VERSION}\n");
        for put in &self.puts {
            let _ = writeln!(text, "{put}");
        }
        for block in &self.deletes {
            let _ = writeln!(text, "delete {}", block.name());
        }
        let sum = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "{CHECKSUM}{sum:08x}");
        text
    }

    /// Reads a record line by line, and stops at the first line that cannot be part of a record.
    ///
    /// So memory is bounded without a limit for the length of a record, which grows with its batch: a file
    /// that is not a record takes one line, whatever its size, and a record takes no more than its batch
    /// did.
    ///
    /// # Errors
    ///
    /// Returns the errors of `source`. The inner error says why the text is not a record. The version is read
    /// first, because the rest depends on it.
    pub(crate) fn read(source: impl Read) -> io::Result<Result<Self, UnreadableRecord>> {
        let mut lines = Lines {
            source: BufReader::new(source),
            line: Vec::new(),
        };
        let Some(first) = lines.next()? else {
            return Ok(Err(UnreadableRecord::Damaged));
        };
        let version = number::<u32>(text(first).and_then(|text| text.strip_prefix(MAGIC)));
        Ok(match version {
            Ok(1..=VERSION) => {
                let mut checksum = crc32fast::Hasher::new();
                checksum.update(first);
                CommitRecord::read_lines(lines, checksum)?.ok_or(UnreadableRecord::Damaged)
            }
            Ok(version) => Err(UnreadableRecord::Version(version)),
            Err(unreadable) => Err(unreadable),
        })
    }

    fn read_lines(
        mut lines: Lines<impl BufRead>,
        mut checksum: crc32fast::Hasher,
    ) -> io::Result<Option<Self>> {
        let mut record = CommitRecord::default();
        while let Some(line) = lines.next()? {
            let Some(text) = text(line) else {
                return Ok(None);
            };
            if let Some(sum) = text.strip_prefix(CHECKSUM) {
                // A record ends here: the checksum does not cover what follows.
                let is_right = u32::from_str_radix(sum, 16) == Ok(checksum.finalize());
                return Ok((is_right && lines.is_at_end()?).then_some(record));
            }
            checksum.update(line);
            if !record.add(text) {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Adds the operation in a line. Returns `false` if the line is not valid in a record.
    fn add(&mut self, line: &str) -> bool {
        if let Some(put) = line.strip_prefix("put ") {
            let put = Put::decode(put);
            put.map(|put| self.puts.push(put)).is_some()
        } else {
            let deleted = line.strip_prefix("delete ").and_then(block);
            deleted.map(|block| self.deletes.push(block)).is_some()
        }
    }
}

/// The lines of a record, one at a time in memory.
struct Lines<R> {
    source: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Returns the next line with its end; `None` if there is no line, or it is too long.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let mut bounded = self.source.by_ref().take(MAX_LINE_LEN);
        bounded.read_until(b'\n', &mut self.line)?;
        Ok(self.line.ends_with(b"\n").then_some(&self.line))
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.source.fill_buf()?.is_empty())
    }
}

/// Returns the text of a line without its end.
fn text(line: &[u8]) -> Option<&str> {
    str::from_utf8(line).ok()?.strip_suffix('\n')
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

    fn decode(record: &[u8]) -> Result<CommitRecord, UnreadableRecord> {
        CommitRecord::read(record).unwrap()
    }

    fn put(name: &str, size: u64, staging_dir: StagingDir) -> Put {
        Put {
            block: block(name).unwrap(),
            size,
            staging_dir,
        }
    }

    fn record() -> CommitRecord {
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
        for record in [CommitRecord::default(), record()] {
            assert_eq!(decode(record.encode().as_bytes()), Ok(record));
        }
    }

    #[test]
    fn a_record_that_is_cut_short_or_changed_anywhere_is_damaged() {
        let record = record().encode().into_bytes();
        for end in 0..record.len() {
            let cut = decode(&record[..end]);
            assert_eq!(cut, Err(UnreadableRecord::Damaged), "cut to {end}");
        }
        for at in MAGIC.len() + 1..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 1;
            assert!(decode(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_record_of_another_version_is_reported_by_its_version_whatever_follows() {
        let future = b"flatfs commit 3\nsomething else\n";
        assert_eq!(decode(future), Err(UnreadableRecord::Version(3)));
    }

    #[test]
    fn a_record_of_version_1_is_read() {
        let text = "flatfs commit 1\nput 4096 CIQA\n";
        let sum = crc32fast::hash(text.as_bytes());
        let record = format!("{text}crc32 {sum:08x}\n");
        let read = decode(record.as_bytes()).unwrap();
        assert_eq!(read.puts, [put("CIQA", 4096, StagingDir::FIRST)]);
    }

    #[test]
    fn the_longest_line_is_read_and_a_record_ends_with_its_checksum() {
        let longest = CommitRecord {
            puts: vec![put(&"A".repeat(250), u64::MAX, StagingDir::new(255))],
            deletes: Vec::new(),
        };
        let text = longest.encode();
        let line = text.lines().nth(1).unwrap();
        assert_eq!(line.len() as u64 + 1, MAX_LINE_LEN);
        assert_eq!(decode(text.as_bytes()), Ok(longest));
        let longer = format!("{text}\n");
        assert_eq!(decode(longer.as_bytes()), Err(UnreadableRecord::Damaged));
    }

    /// A source of zeros that counts how many were read.
    struct Zeros(u64);

    impl Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(0);
            self.0 += buffer.len() as u64;
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_file_of_any_size_that_is_not_a_record_is_not_read_to_its_end() {
        let mut endless = Zeros(0);
        let read = CommitRecord::read(&mut endless).unwrap();
        assert_eq!(read, Err(UnreadableRecord::Damaged));
        let head = format!("{MAGIC}{VERSION}\nput 1 CIQA\n");
        let read = CommitRecord::read(head.as_bytes().chain(&mut endless)).unwrap();
        assert_eq!(read, Err(UnreadableRecord::Damaged));
        assert!(endless.0 < 1 << 16, "{} bytes", endless.0);
    }
}
