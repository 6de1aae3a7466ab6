//! [`CarReader`]: the blocks of a CAR, one after the other.

use bytes::Bytes;
use cid::Cid;
use tokio::io::AsyncBufRead;

use super::error::{CarError, Fault};
use super::header::{Header, V2, V2_LEN};
use super::source::Source;
use super::{MAX_BIG_SECTION, MAX_HEADER, MAX_SECTION};

/// A block of a CAR; nobody has checked yet that the bytes are those of the CID.
#[derive(Debug)]
pub(crate) struct Block {
    /// What the CAR calls it.
    pub(crate) cid: Cid,
    /// Its bytes.
    pub(crate) data: Bytes,
    /// Where its section begins in the CAR.
    pub(crate) offset: u64,
}

/// Reads a CAR of either version in order, without seeking, a section at a time in memory.
#[derive(Debug)]
pub(crate) struct CarReader<R> {
    source: Source<R>,
    roots: Vec<Cid>,
    v2: Option<V2>,
    longest_section: u64,
}

impl<R: AsyncBufRead + Unpin> CarReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// If there is none, or it is not that of a CAR.
    pub(crate) async fn open(reader: R) -> Result<Self, CarError> {
        let mut source = Source::new(reader);
        let header = read_header(&mut source).await?;
        let (roots, v2) = match header.version {
            1 => (v1_roots(header, 0)?, None),
            2 => {
                let v2 = read_v2(&mut source).await?;
                let header = read_header(&mut source).await?;
                (v1_roots(header, v2.data)?, Some(v2))
            }
            other => return Err(Fault::Version(other).at(0)),
        };
        Ok(CarReader {
            source,
            roots,
            v2,
            longest_section: MAX_SECTION,
        })
    }

    /// The roots that the header names.
    pub(crate) fn roots(&self) -> &[Cid] {
        &self.roots
    }

    /// Takes blocks of up to 1 GiB.
    pub(crate) fn allow_big_sections(&mut self) {
        self.longest_section = MAX_BIG_SECTION;
    }

    /// How many bytes of the CAR have been read.
    pub(crate) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// The next block, or `None` behind the last one.
    ///
    /// # Errors
    ///
    /// If the CAR ends where it shouldn't or is malformed. There is nothing more to read then.
    pub(crate) async fn next_block(&mut self) -> Result<Option<Block>, CarError> {
        let offset = self.source.offset();
        match self.read_section().await {
            Ok(Some((cid, data))) => Ok(Some(Block { cid, data, offset })),
            Ok(None) => {
                let end = self.source.offset();
                self.read_tail().await.map_err(|fault| fault.at(end))?;
                Ok(None)
            }
            Err(fault) => Err(fault.at(offset)),
        }
    }

    async fn read_section(&mut self) -> Result<Option<(Cid, Bytes)>, Fault> {
        let Some(len) = self.source.varint("the length of a section").await? else {
            return Ok(None);
        };
        match len {
            0 => return Err(Fault::EmptySection),
            len if len <= self.longest_section => {}
            len if len <= MAX_BIG_SECTION => return Err(Fault::BigSection(len)),
            _ => return Err(Fault::LongSection(len)),
        }
        let section = Bytes::from(self.source.bytes(len, "a section").await?);
        let mut rest = section.as_ref();
        let cid = Cid::read_bytes(&mut rest).map_err(Fault::Cid)?;
        let data = section.slice(section.len() - rest.len()..);
        Ok(Some((cid, data)))
    }

    /// What a CARv2 has behind its data: nothing, or an index, which isn't needed here. It is read so
    /// that a program that pipes it in can write all of it.
    async fn read_tail(&mut self) -> Result<(), Fault> {
        let Some(v2) = &self.v2 else {
            return Ok(());
        };
        if self.source.offset() < v2.data_end {
            return Err(Fault::Cut("the data that the CARv2 header announces"));
        }
        self.source.set_end(None);
        if let Some(index) = v2.index {
            let what = "the padding before the CARv2's index";
            self.source.skip_to(index, what).await?;
            match self.source.drain().await? {
                0 => Err(Fault::Cut("the CARv2, before its index")),
                _ => Ok(()),
            }
        } else {
            match self.source.drain().await? {
                0 => Ok(()),
                _ => Err(Fault::Trailing),
            }
        }
    }
}

async fn read_header<R: AsyncBufRead + Unpin>(source: &mut Source<R>) -> Result<Header, CarError> {
    let offset = source.offset();
    let read = async {
        match source.varint("its header").await? {
            None => Err(Fault::Empty),
            Some(0) => Err(Fault::Header("its length is zero".to_owned())),
            Some(len) if len > MAX_HEADER => Err(Fault::LongHeader(len)),
            Some(len) => Header::decode(&source.bytes(len, "its header").await?),
        }
    };
    read.await.map_err(|fault| fault.at(offset))
}

/// Reads on from behind the pragma up to the CARv1 inside.
async fn read_v2<R: AsyncBufRead + Unpin>(source: &mut Source<R>) -> Result<V2, CarError> {
    let offset = source.offset();
    let read = async {
        let v2 = V2::decode(&source.bytes(V2_LEN, "its CARv2 header").await?)?;
        source
            .skip_to(v2.data, "the padding before its data")
            .await?;
        source.set_end(Some(v2.data_end));
        Ok(v2)
    };
    read.await.map_err(|fault: Fault| fault.at(offset))
}

fn v1_roots(header: Header, offset: u64) -> Result<Vec<Cid>, CarError> {
    match header {
        Header {
            version: 1,
            roots: Some(roots),
        } => Ok(roots),
        Header { version: 1, .. } => Err(Fault::Header("it has no roots".to_owned()).at(offset)),
        Header { version, .. } => {
            let fault = format!("a CARv2 holds a CARv1, and this is version {version}");
            Err(Fault::Header(fault).at(offset))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;
    use crate::car;
    use crate::hash::raw_cid;

    /// A CAR of raw blocks, its first one the root.
    fn car_of(blocks: &[&[u8]]) -> Vec<u8> {
        let root = blocks.iter().take(1).map(|block| raw_cid(block)).collect();
        let mut bytes = car::header(root).unwrap();
        for block in blocks {
            bytes.extend(car::section_head(&raw_cid(block), block));
            bytes.extend_from_slice(block);
        }
        bytes
    }

    /// The roots and blocks of a CAR that is read in pieces of `piece` bytes.
    async fn read(bytes: &[u8], piece: usize) -> Result<(Vec<Cid>, Vec<Bytes>), CarError> {
        let mut reader = CarReader::open(BufReader::with_capacity(piece, bytes)).await?;
        let mut blocks = Vec::new();
        while let Some(block) = reader.next_block().await? {
            blocks.push(block.data);
        }
        Ok((reader.roots().to_vec(), blocks))
    }

    #[tokio::test]
    async fn a_car_that_was_written_is_read_back_in_pieces_of_any_size() {
        let blocks: [&[u8]; 3] = [b"one", b"", &[7; 5000]];
        let bytes = car_of(&blocks);
        for piece in [1, 2, 100, 10_000] {
            let (roots, found) = read(&bytes, piece).await.unwrap();
            assert_eq!(roots, [raw_cid(b"one")]);
            assert_eq!(found, blocks);
        }
    }

    #[tokio::test]
    async fn a_section_or_header_that_ends_early_is_cut_whatever_length_it_claims() {
        let bytes = [&car_of(&[])[..], &[0xff, 0xff, 0xff, 0x03], b"little"].concat();
        let error = read(&bytes, 100).await.unwrap_err();
        assert!(matches!(error.fault, Fault::Cut("a section")), "{error}");
        let header = [0xff, 0xff, 0xff, 0x0f];
        let error = read(&header, 100).await.unwrap_err();
        assert!(matches!(error.fault, Fault::Cut("its header")), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn damage_is_an_error_or_another_car_and_never_a_panic(
            damage in proptest::collection::vec((0_usize..200, any::<u8>()), 1..8),
            v2 in any::<bool>(),
        ) {
            let v1 = car_of(&[b"one", b"two"]);
            let mut bytes = Vec::new();
            if v2 {
                bytes.extend(b"\x0a\xa1\x67version\x02");
                bytes.extend([0; 16]);
                bytes.extend(51_u64.to_le_bytes());
                bytes.extend((v1.len() as u64).to_le_bytes());
                bytes.extend([0; 8]);
            }
            bytes.extend(v1);
            for (at, byte) in damage {
                let len = bytes.len();
                bytes[at % len] = byte;
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            if let Err(error) = runtime.block_on(read(&bytes, 16)) {
                prop_assert!(error.offset <= bytes.len() as u64);
            }
        }
    }
}
