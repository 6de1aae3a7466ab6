//! The links of a block, which the codec in its CID determines.

use std::fmt::Display;

use cid::Cid;

use super::{dag_cbor, dag_json, dag_pb};
use crate::error::{Error, Result};
use crate::query::Excerpt;

const DAG_PB: u64 = 0x70;
const DAG_CBOR: u64 = 0x71;
const DAG_JSON: u64 = 0x0129;

/// The codecs of the multicodec table whose blocks have no links. Codecs that are not here, such as
/// `git-raw`, `dag-jose`, `car`, and those of other block chains, may have links that can't be found here.
const WITHOUT_LINKS: &[u64] = &[
    0x50,   // protobuf
    0x51,   // cbor
    0x55,   // raw
    0x60,   // rlp
    0x63,   // bencode
    0x72,   // libp2p-key
    0x0200, // json
    0x0201, // messagepack
    0x0300, // ipns-record
    0xb601, // json-jcs
];

/// What to do with a block of a codec whose links can't be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnknownCodec {
    /// It is an [`Error::UnknownCodec`].
    #[default]
    Refuse,
    /// It is taken as a block without links. Blocks that it links to are not found.
    TakeAsLeaf,
}

/// Returns the CIDs that a block links to, in the order of the block. A CID that occurs twice is returned
/// twice. In dag-pb and dag-cbor a link may contain a block of up to 128 bytes, and a [`Cid`] has room for 64: a longer
/// block is replaced by its own links, at the end.
///
/// Links are read from dag-pb, dag-cbor and dag-json. Blocks of raw, cbor, json, json-jcs, libp2p-key,
/// protobuf, rlp, bencode, messagepack and ipns-record have no links; their bytes are not read.
///
/// In dag-pb, names need not be UTF-8, and blocks of dag-cbor and dag-json need not be as strict as the specifications,
/// since kubo takes such blocks. Values may be nested to any depth, but in dag-cbor those of indefinite length to 1024.
///
/// The function decodes the block on the current thread.
///
/// # Errors
///
/// Returns [`Error::UnknownCodec`] for a block of any other codec, unless `unknown` allows that, and
/// [`Error::InvalidBlock`] if the bytes are not valid in the codec, or a link is a CID whose digest is longer than 64
/// bytes, except an identity hash of up to 128 bytes in dag-pb or dag-cbor.
///
/// ```
/// use ds_flatfs::cid::Cid;
/// use ds_flatfs::dag::{UnknownCodec, links};
///
/// let block = br#"{"next":{"/":"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}}"#;
/// let cid: Cid = "baguqeerabp2xaqinpwkpcjvjqbqvxnt3sbi5iokvqurwkptyezi6l3jiqjfq".parse()?;
/// let found = links(&cid, block, UnknownCodec::Refuse)?;
/// assert_eq!(found, ["bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".parse()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn links(cid: &Cid, block: &[u8], unknown: UnknownCodec) -> Result<Vec<Cid>> {
    let mut found = Vec::new();
    add_links(cid, block, unknown, &mut found)?;
    Ok(found)
}

/// Adds the links of a block to a vector, which can be used for many blocks.
///
/// # Errors
///
/// As for [`links`]. Some links may have been added.
pub(super) fn add_links(
    cid: &Cid,
    block: &[u8],
    unknown: UnknownCodec,
    found: &mut Vec<Cid>,
) -> Result<()> {
    add_links_of((cid.codec(), block), unknown, found, cid)
}

/// Adds the links of a block in this codec. `cid` is its CID in errors.
fn add_links_of(
    (codec, block): (u64, &[u8]),
    unknown: UnknownCodec,
    found: &mut Vec<Cid>,
    cid: &dyn Display,
) -> Result<()> {
    let mut long = Vec::new();
    let (name, added) = match codec {
        DAG_PB => ("dag-pb", dag_pb::links(block, found, &mut long)),
        DAG_CBOR => ("dag-cbor", dag_cbor::links(block, found, &mut long)),
        DAG_JSON => ("dag-json", dag_json::links(block, found)),
        _ => return codec_is_leaf(codec, unknown, cid).map(drop),
    };
    added.map_err(|reason| Error::InvalidBlock {
        cid: cid.to_string(),
        codec: name,
        reason: quote(reason),
    })?;
    // Each of them is shorter than the block that it is in, so this ends.
    for inline in long {
        let block = (inline.codec(), inline.hash().digest());
        add_links_of(block, unknown, found, &inline)?;
    }
    Ok(())
}

/// Returns whether the block of a CID has no links, so that it need not be read to find them.
///
/// # Errors
///
/// Returns [`Error::UnknownCodec`] as [`links`] does.
pub(crate) fn is_leaf(cid: &Cid, unknown: UnknownCodec) -> Result<bool> {
    codec_is_leaf(cid.codec(), unknown, cid)
}

/// Returns whether links are found in blocks of this codec.
pub(super) fn has_links(codec: u64) -> bool {
    matches!(codec, DAG_PB | DAG_CBOR | DAG_JSON)
}

fn codec_is_leaf(codec: u64, unknown: UnknownCodec, cid: &dyn Display) -> Result<bool> {
    match codec {
        _ if has_links(codec) => Ok(false),
        _ if WITHOUT_LINKS.contains(&codec) => Ok(true),
        _ if unknown == UnknownCodec::TakeAsLeaf => Ok(true),
        _ => Err(Error::UnknownCodec {
            cid: cid.to_string(),
            codec,
        }),
    }
}

/// Returns the beginning of a decoder's error, which may quote the whole block.
fn quote(error: impl Display) -> String {
    Excerpt::text(&error.to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use ipld_core::ipld;
    use ipld_core::ipld::Ipld;
    use proptest::prelude::*;

    use super::*;
    use crate::dag::dag_json::MAX_CID_TEXT;
    use crate::dag::long_cid::LongCid;
    use crate::key::Key;

    const RAW: u64 = 0x55;

    fn raw_cid(block: &[u8]) -> Cid {
        Key::for_block(block).to_cid().unwrap()
    }

    fn cid_of(codec: u64, block: &[u8]) -> Cid {
        Cid::new_v1(codec, *raw_cid(block).hash())
    }

    fn found(codec: u64, block: &[u8]) -> Result<Vec<Cid>> {
        links(&cid_of(codec, block), block, UnknownCodec::Refuse)
    }

    #[test]
    fn links_are_found_in_every_known_codec() {
        let (a, b) = (raw_cid(b"a"), raw_cid(b"b"));
        let deep = ipld!({ "list": [Ipld::Link(a), 1, { "x": Ipld::Link(b) }] });
        let cbor = serde_ipld_dagcbor::to_vec(&deep).unwrap();
        assert_eq!(found(DAG_CBOR, &cbor).unwrap(), [a, b]);
        let json = serde_ipld_dagjson::to_vec(&deep).unwrap();
        assert_eq!(found(DAG_JSON, &json).unwrap(), [a, b]);
        let node = ipld!({ "Links": [{ "Hash": Ipld::Link(a) }, { "Hash": Ipld::Link(b) }] });
        let pb = ipld_dagpb::from_ipld(&node).unwrap();
        assert_eq!(found(DAG_PB, &pb).unwrap(), [a, b]);
        assert_eq!(found(RAW, &pb).unwrap(), []);
    }

    #[test]
    fn a_block_that_is_contained_in_a_link_and_too_long_for_a_cid_is_replaced_by_its_links() {
        let (a, b) = (raw_cid(b"a"), raw_cid(b"b"));
        let inline = serde_ipld_dagcbor::to_vec(&ipld!([Ipld::Link(a), Ipld::Link(b)])).unwrap();
        assert!((65..=128).contains(&inline.len()));
        let long = |codec, hash| {
            LongCid::new_v1(
                codec,
                cid::multihash::Multihash::wrap(hash, &inline).unwrap(),
            )
        };
        let nodes = |link: &LongCid| {
            let bytes = link.to_bytes();
            let len = bytes.len() as u8;
            let cbor = [&[0xd8, 0x2a, 0x58, len + 1, 0][..], &bytes].concat();
            let pb = [&[0x12, len + 2, 0x0a, len][..], &bytes].concat();
            [(DAG_CBOR, cbor), (DAG_PB, pb)]
        };
        for (codec, node) in nodes(&long(DAG_CBOR, 0)) {
            assert_eq!(found(codec, &node).unwrap(), [a, b], "{codec}");
        }
        for (codec, node) in nodes(&long(0x55, 0)) {
            assert_eq!(found(codec, &node).unwrap(), [], "{codec}");
        }
        for (codec, node) in nodes(&long(0x1234, 0)) {
            let error = found(codec, &node).unwrap_err();
            assert!(
                matches!(error, Error::UnknownCodec { codec: 0x1234, .. }),
                "{error}"
            );
        }
        // A digest of this length that is not an identity hash.
        for (codec, node) in nodes(&long(DAG_CBOR, 0x9000)) {
            let error = found(codec, &node).unwrap_err();
            assert!(matches!(error, Error::InvalidBlock { .. }), "{error}");
        }
    }

    #[test]
    fn an_unknown_codec_is_an_error_that_names_it_or_a_leaf() {
        let error = found(0x1234, b"x").unwrap_err();
        assert!(matches!(error, Error::UnknownCodec { codec: 0x1234, .. }));
        assert!(error.to_string().contains("0x1234"), "{error}");
        let cid = cid_of(0x1234, b"x");
        let leaf = links(&cid, b"x", UnknownCodec::TakeAsLeaf).unwrap();
        assert_eq!(leaf, []);
    }

    #[test]
    fn blocks_of_codecs_without_links_need_not_be_valid() {
        for codec in WITHOUT_LINKS {
            assert_eq!(found(*codec, b"\xff").unwrap(), []);
        }
    }

    #[test]
    fn bytes_after_the_value_are_refused() {
        let value = ipld!({ "a": Ipld::Link(raw_cid(b"a")) });
        let cbor = serde_ipld_dagcbor::to_vec(&value).unwrap();
        let json = serde_ipld_dagjson::to_vec(&value).unwrap();
        for (codec, value) in [(DAG_CBOR, cbor), (DAG_JSON, json)] {
            assert!(found(codec, &value).is_ok());
            for after in [&b"0"[..], &value] {
                let error = found(codec, &[&value, after].concat()).unwrap_err();
                assert!(error.to_string().contains("is not valid"), "{error}");
            }
        }
        assert!(found(DAG_JSON, b"[1] \n").is_ok());
    }

    #[test]
    fn a_link_that_is_longer_than_a_cid_is_refused_at_once_and_not_quoted_whole() {
        for base in ["z", "k", "9", "b", "7"] {
            let text = format!("{base}{}", "2".repeat(4 << 20));
            for json in [
                format!(r#"{{"/":"{text}"}}"#),
                format!(r#"[{{"a":{{"\u002f":"{text}"}}}}]"#),
            ] {
                let error = found(DAG_JSON, json.as_bytes()).unwrap_err().to_string();
                assert!(error.len() < 500, "{error}");
            }
        }
        let text = "2".repeat(1 << 20);
        assert!(found(DAG_JSON, format!(r#"{{"a":"{text}"}}"#).as_bytes()).is_ok());
    }

    #[test]
    fn a_link_may_be_as_long_as_the_longest_cid_is_in_its_longest_base() {
        let hash = cid::multihash::Multihash::<64>::wrap(u64::MAX >> 1, &[7; 64]).unwrap();
        let cid = Cid::new_v1(u64::MAX >> 1, hash);
        let text = cid.to_string_of_base(cid::multibase::Base::Base2).unwrap();
        assert_eq!(text.len(), MAX_CID_TEXT);
        let json = format!(r#"{{"/":"{text}"}}"#);
        assert_eq!(found(DAG_JSON, json.as_bytes()).unwrap(), [cid]);
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        #[test]
        fn bytes_of_no_codec_are_an_error_and_no_panic(
            block in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            for codec in [DAG_PB, DAG_CBOR, DAG_JSON] {
                let _ = found(codec, &block);
            }
        }

        #[test]
        fn damaged_dag_pb_is_an_error_and_no_panic(at in 0_usize..76, byte in any::<u8>()) {
            let (a, b) = (raw_cid(b"a"), raw_cid(b"b"));
            let node = ipld!({ "Links": [{ "Hash": Ipld::Link(a) }, { "Hash": Ipld::Link(b) }] });
            let mut pb = ipld_dagpb::from_ipld(&node).unwrap();
            if let Some(place) = pb.get_mut(at) {
                *place = byte;
            }
            let _ = found(DAG_PB, &pb);
        }
    }
}
