//! [`CarReader`]: the blocks of a CAR, one after the other.

use std::collections::HashSet;

use bytes::Bytes;
use cid::Cid;
use tokio::io::AsyncBufRead;

use super::byte_reader::ByteReader;
use super::error::{CarError, Fault};
use super::header::{Header, V2, V2_LEN};
use super::{CarCid, MAX_BIG_SECTION, MAX_HEADER, MAX_SECTION};
use crate::hash;

/// A block of a CAR. Its bytes are not checked against its CID yet.
#[derive(Debug)]
pub(crate) struct Block {
    /// The CID in the CAR.
    pub(crate) cid: CarCid,
    pub(crate) data: Bytes,
    /// The offset of its section in the CAR.
    pub(crate) offset: u64,
}

impl Block {
    /// Returns the CID, or `None` if it is too long to be stored. A CID that long has the identity hash.
    pub(crate) fn short_cid(&self) -> Option<Cid> {
        short_cid(&self.cid)
    }
}

/// Returns the CID if its digest has at most 64 bytes, as the digests of all hash functions except the identity have.
pub(crate) fn short_cid(cid: &CarCid) -> Option<Cid> {
    let hash = cid.hash().resize().ok()?;
    Cid::new(cid.version(), cid.codec(), hash).ok()
}

/// Reads a CAR of either version in order, without seeking. One section at a time is in memory.
#[derive(Debug)]
pub(crate) struct CarReader<R> {
    bytes: ByteReader<R>,
    roots: Vec<CarCid>,
    v2: Option<V2>,
    max_section: u64,
}

impl<R: AsyncBufRead + Unpin> CarReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// Fails if the header is missing or is not that of a CAR.
    pub(crate) async fn open(reader: R) -> Result<Self, CarError> {
        let mut bytes = ByteReader::new(reader);
        let header = read_header(&mut bytes).await?;
        let (roots, v2) = match header.version {
            1 => (v1_roots(header, 0)?, None),
            2 => {
                let v2 = read_v2(&mut bytes).await?;
                let header = read_header(&mut bytes).await?;
                (v1_roots(header, v2.data)?, Some(v2))
            }
            other => return Err(Fault::Version(other).at(0)),
        };
        Ok(CarReader {
            bytes,
            roots,
            v2,
            max_section: MAX_SECTION,
        })
    }

    /// Returns the roots in the header, in their order, each once.
    pub(crate) fn roots(&self) -> &[CarCid] {
        &self.roots
    }

    /// Accepts blocks of up to 1 GiB.
    pub(crate) fn allow_big_sections(&mut self) {
        self.max_section = MAX_BIG_SECTION;
    }

    /// Returns how many bytes of the CAR have been read.
    pub(crate) fn offset(&self) -> u64 {
        self.bytes.offset()
    }

    /// Returns the next block, or `None` after the last one.
    ///
    /// # Errors
    ///
    /// Fails if the CAR is cut short or malformed. Nothing can be read after that.
    pub(crate) async fn next_block(&mut self) -> Result<Option<Block>, CarError> {
        let offset = self.bytes.offset();
        match self.read_section().await {
            Ok(Some((cid, data))) => Ok(Some(Block { cid, data, offset })),
            Ok(None) => {
                let end = self.bytes.offset();
                self.read_tail().await.map_err(|fault| fault.at(end))?;
                Ok(None)
            }
            Err(fault) => Err(fault.at(offset)),
        }
    }

    async fn read_section(&mut self) -> Result<Option<(CarCid, Bytes)>, Fault> {
        let Some(len) = self.bytes.varint("the length of a section").await? else {
            return Ok(None);
        };
        match len {
            0 => return Err(Fault::EmptySection),
            len if len <= self.max_section => {}
            len if len <= MAX_BIG_SECTION => return Err(Fault::BigSection(len)),
            _ => return Err(Fault::LongSection(len)),
        }
        let section = Bytes::from(self.bytes.bytes(len, "a section").await?);
        let mut rest = section.as_ref();
        let cid = CarCid::read_bytes(&mut rest)
            .and_then(check_len)
            .map_err(Fault::Cid)?;
        let data = section.slice(section.len() - rest.len()..);
        Ok(Some((cid, data)))
    }

    /// Reads what a CARv2 has after its data: nothing, or an index, which is not needed here. It is read
    /// so that a program that writes to the pipe does not fail.
    async fn read_tail(&mut self) -> Result<(), Fault> {
        let Some(v2) = &self.v2 else {
            return Ok(());
        };
        if self.bytes.offset() < v2.data_end {
            return Err(Fault::Cut("the data that the CARv2 header announces"));
        }
        self.bytes.set_end(None);
        if let Some(index) = v2.index {
            let what = "the padding before the CARv2's index";
            self.bytes.skip_to(index, what).await?;
            match self.bytes.drain().await? {
                0 => Err(Fault::Cut("the CARv2, before its index")),
                _ => Ok(()),
            }
        } else {
            match self.bytes.drain().await? {
                0 => Ok(()),
                _ => Err(Fault::Trailing),
            }
        }
    }
}

/// Refuses a digest of more than 64 bytes, unless the CID contains its block (identity hash).
fn check_len(cid: CarCid) -> cid::Result<CarCid> {
    if short_cid(&cid).is_some() || hash::is_identity(&cid) {
        Ok(cid)
    } else {
        Err(cid::Error::ParsingError)
    }
}

async fn read_header<R: AsyncBufRead + Unpin>(
    bytes: &mut ByteReader<R>,
) -> Result<Header, CarError> {
    let offset = bytes.offset();
    let read = async {
        match bytes.varint("its header").await? {
            None => Err(Fault::Empty),
            Some(0) => Err(Fault::Header("its length is zero".to_owned())),
            Some(len) if len > MAX_HEADER => Err(Fault::LongHeader(len)),
            Some(len) => Header::decode(&bytes.bytes(len, "its header").await?),
        }
    };
    read.await.map_err(|fault| fault.at(offset))
}

/// Reads from the end of the pragma to the beginning of the CARv1 inside.
async fn read_v2<R: AsyncBufRead + Unpin>(bytes: &mut ByteReader<R>) -> Result<V2, CarError> {
    let offset = bytes.offset();
    let read = async {
        let v2 = V2::decode(&bytes.bytes(V2_LEN, "its CARv2 header").await?)?;
        bytes
            .skip_to(v2.data, "the padding before its data")
            .await?;
        bytes.set_end(Some(v2.data_end));
        Ok(v2)
    };
    read.await.map_err(|fault: Fault| fault.at(offset))
}

fn v1_roots(header: Header, offset: u64) -> Result<Vec<CarCid>, CarError> {
    let roots = match header {
        Header {
            version: 1,
            roots: Some(roots),
        } => roots,
        Header { version: 1, .. } => {
            return Err(Fault::Header("it has no roots".to_owned()).at(offset));
        }
        Header { version, .. } => {
            let fault = format!("a CARv2 contains a CARv1, but this is version {version}");
            return Err(Fault::Header(fault).at(offset));
        }
    };
    let mut seen = HashSet::new();
    let unique = roots.into_iter().filter(|root| seen.insert(*root));
    let invalid = |error| Fault::Header(format!("a root is not valid: {error}")).at(offset);
    unique
        .map(check_len)
        .collect::<Result<_, _>>()
        .map_err(invalid)
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
        let root: Vec<Cid> = blocks.iter().take(1).map(|block| raw_cid(block)).collect();
        let mut bytes = car::header(&root).unwrap();
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
        let roots = reader.roots().iter().filter_map(short_cid).collect();
        Ok((roots, blocks))
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
    async fn a_section_or_header_that_ends_early_is_reported_as_cut_short() {
        let bytes = [&car_of(&[])[..], &[0xff, 0xff, 0xff, 0x03], b"little"].concat();
        let error = read(&bytes, 100).await.unwrap_err();
        assert!(matches!(error.fault, Fault::Cut("a section")), "{error}");
        let header = [0xff, 0xff, 0x3f];
        let error = read(&header, 100).await.unwrap_err();
        assert!(matches!(error.fault, Fault::Cut("its header")), "{error}");
    }

    #[tokio::test]
    async fn equal_roots_are_one_root() {
        let roots = [raw_cid(b"a"), raw_cid(b"b"), raw_cid(b"a")];
        let (found, _) = read(&car::header(&roots).unwrap(), 100).await.unwrap();
        assert_eq!(found, [raw_cid(b"a"), raw_cid(b"b")]);
    }

    #[tokio::test]
    async fn a_header_of_many_tiny_roots_is_refused_before_it_is_decoded() {
        let tiny = Cid::new_v1(0x55, cid::multihash::Multihash::wrap(0, b"").unwrap());
        let header = car::header(&vec![tiny; 1 << 20]).unwrap();
        let error = read(&header, 1 << 16).await.unwrap_err();
        assert!(matches!(error.fault, Fault::LongHeader(_)), "{error}");
    }

    #[tokio::test]
    async fn the_text_of_a_header_error_is_short() {
        let mut bytes = Vec::new();
        let map = [("x".repeat(900_000), 1)]
            .into_iter()
            .collect::<std::collections::BTreeMap<_, _>>();
        let header = serde_ipld_dagcbor::to_vec(&map).unwrap();
        bytes.extend(unsigned_varint::encode::usize(
            header.len(),
            &mut unsigned_varint::encode::usize_buffer(),
        ));
        bytes.extend(header);
        let error = read(&bytes, 1 << 16).await.unwrap_err().to_string();
        assert!(
            error.contains("not a CAR header") && error.len() < 400,
            "{error}"
        );
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
