//! [`ByteReader`]: the bytes of a CAR in order, with their offset.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use unsigned_varint::{decode, encode};

use super::error::Fault;

/// The maximum number of bytes that are allocated only because a length in a file says so.
const MAX_TRUSTED_LEN: u64 = 1 << 20;

/// A reader that counts bytes and can be limited.
#[derive(Debug)]
pub(super) struct ByteReader<R> {
    reader: R,
    offset: u64,
    end: Option<u64>,
}

impl<R: AsyncBufRead + Unpin> ByteReader<R> {
    pub(super) fn new(reader: R) -> Self {
        ByteReader {
            reader,
            offset: 0,
            end: None,
        }
    }

    /// Returns how many bytes have been read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Sets the offset at which to stop, or `None` to read to the end.
    pub(super) fn set_end(&mut self, end: Option<u64>) {
        self.end = end;
    }

    /// Reads a varint. Returns `None` at the end, and a fault if the end is within the varint.
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

    /// Reads exactly `len` bytes.
    pub(super) async fn bytes(&mut self, len: u64, what: &'static str) -> Result<Vec<u8>, Fault> {
        let capacity = usize::try_from(len.min(MAX_TRUSTED_LEN)).unwrap_or_default();
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

    /// Skips the bytes before `offset`.
    pub(super) async fn skip_to(&mut self, offset: u64, what: &'static str) -> Result<(), Fault> {
        let len = offset.saturating_sub(self.offset);
        if self.take(len, |_| ()).await? == len {
            Ok(())
        } else {
            Err(Fault::Cut(what))
        }
    }

    /// Reads to the end, and returns how many bytes that was.
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

    /// Returns some of the next bytes, at most `max`, and none only at the end.
    async fn buffered(&mut self, max: u64) -> io::Result<&[u8]> {
        let before_end = self.end.map_or(u64::MAX, |end| end - self.offset);
        let max = usize::try_from(max.min(before_end)).unwrap_or(usize::MAX);
        if max == 0 {
            return Ok(&[]);
        }
        let buffer = self.reader.fill_buf().await?;
        Ok(buffer.get(..max).unwrap_or(buffer))
    }

    fn consume(&mut self, len: usize) {
        self.reader.consume(len);
        self.offset += len as u64;
    }
}
