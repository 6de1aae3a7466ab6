//! [`Source`]: the bytes of a CAR, read in order, with their offset known.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use unsigned_varint::{decode, encode};

use super::error::Fault;

/// What is allocated at once on the word of a file; more only once so much has been read.
const TRUSTED: u64 = 1 << 20;

/// A reader that counts, and that can be told to end early.
#[derive(Debug)]
pub(super) struct Source<R> {
    reader: R,
    offset: u64,
    end: Option<u64>,
}

impl<R: AsyncBufRead + Unpin> Source<R> {
    pub(super) fn new(reader: R) -> Self {
        Source {
            reader,
            offset: 0,
            end: None,
        }
    }

    /// How many bytes have been read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where to stop, counted from the start; `None` is where the reader ends.
    pub(super) fn set_end(&mut self, end: Option<u64>) {
        self.end = end;
    }

    /// A varint, or `None` at the end. An end inside of it is a fault.
    pub(super) async fn varint(&mut self, what: &'static str) -> Result<Option<u64>, Fault> {
        let mut buffer = encode::u64_buffer();
        let mut used = 0;
        for slot in &mut buffer {
            let Some(byte) = self.byte().await.map_err(Fault::Read)? else {
                return match used {
                    0 => Ok(None),
                    _ => Err(Fault::Cut(what)),
                };
            };
            *slot = byte;
            used += 1;
            if decode::is_last(byte) {
                break;
            }
        }
        match decode::u64(buffer.get(..used).unwrap_or_default()) {
            Ok((number, _)) => Ok(Some(number)),
            Err(reason) => Err(Fault::Varint { what, reason }),
        }
    }

    /// Exactly `len` bytes.
    pub(super) async fn bytes(&mut self, len: u64, what: &'static str) -> Result<Vec<u8>, Fault> {
        let capacity = usize::try_from(len.min(TRUSTED)).unwrap_or_default();
        let mut bytes = Vec::with_capacity(capacity);
        let taken = self
            .take(len, |chunk| bytes.extend_from_slice(chunk))
            .await?;
        if taken == len {
            Ok(bytes)
        } else {
            Err(Fault::Cut(what))
        }
    }

    /// Leaves out all that stands before `offset`.
    pub(super) async fn skip_to(&mut self, offset: u64, what: &'static str) -> Result<(), Fault> {
        let len = offset.saturating_sub(self.offset);
        if self.take(len, |_| ()).await? == len {
            Ok(())
        } else {
            Err(Fault::Cut(what))
        }
    }

    /// Reads all that is left, says how much it was.
    pub(super) async fn drain(&mut self) -> Result<u64, Fault> {
        self.take(u64::MAX, |_| ()).await
    }

    async fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.buffered(1).await?.first().copied();
        if byte.is_some() {
            self.consume(1);
        }
        Ok(byte)
    }

    async fn take(&mut self, len: u64, mut each: impl FnMut(&[u8])) -> Result<u64, Fault> {
        let mut left = len;
        while left > 0 {
            let chunk = self.buffered(left).await.map_err(Fault::Read)?;
            if chunk.is_empty() {
                break;
            }
            each(chunk);
            let taken = chunk.len();
            left -= taken as u64;
            self.consume(taken);
        }
        Ok(len - left)
    }

    /// Some of the next bytes, `most` of them at most; none at the end.
    async fn buffered(&mut self, most: u64) -> io::Result<&[u8]> {
        let before_end = self.end.map_or(u64::MAX, |end| end - self.offset);
        let most = usize::try_from(most.min(before_end)).unwrap_or(usize::MAX);
        if most == 0 {
            return Ok(&[]);
        }
        let buffer = self.reader.fill_buf().await?;
        Ok(buffer.get(..most).unwrap_or(buffer))
    }

    fn consume(&mut self, len: usize) {
        self.reader.consume(len);
        self.offset += len as u64;
    }
}
