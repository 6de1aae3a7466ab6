//! The links of a block, by the codec of its CID.

use anyhow::{Context as _, anyhow, bail};
use cid::Cid;
use ipld_core::codec::Links;
use ipld_dagpb::DagPbCodec;
use serde_ipld_dagcbor::codec::DagCborCodec;
use serde_ipld_dagjson::codec::DagJsonCodec;

const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;
const DAG_CBOR: u64 = 0x71;
const DAG_JSON: u64 = 0x0129;

/// The CIDs that `block` links to, in their order.
///
/// # Errors
///
/// If the codec is none of dag-pb, dag-cbor, dag-json and raw, or the block isn't of that codec.
pub(crate) fn links(cid: &Cid, block: &[u8]) -> anyhow::Result<Vec<Cid>> {
    match cid.codec() {
        RAW => Ok(Vec::new()),
        DAG_PB => decode::<DagPbCodec>("dag-pb", cid, block),
        DAG_CBOR => decode::<DagCborCodec>("dag-cbor", cid, block),
        DAG_JSON => decode::<DagJsonCodec>("dag-json", cid, block),
        other => bail!(
            "the links of {cid} can't be followed: its codec is 0x{other:x}, \
             and only dag-pb, dag-cbor, dag-json and raw are known"
        ),
    }
}

fn decode<C: Links>(name: &str, cid: &Cid, block: &[u8]) -> anyhow::Result<Vec<Cid>>
where
    C::LinksError: std::fmt::Display,
{
    let links = C::links(block)
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| format!("the block {cid} is not valid {name}"))?;
    Ok(links.collect())
}

#[cfg(test)]
mod tests {
    use ipld_core::ipld;
    use ipld_core::ipld::Ipld;
    use proptest::prelude::*;

    use super::*;
    use crate::hash::raw_cid;

    fn cid_of(codec: u64, block: &[u8]) -> Cid {
        Cid::new_v1(codec, *raw_cid(block).hash())
    }

    fn found(codec: u64, block: &[u8]) -> anyhow::Result<Vec<Cid>> {
        links(&cid_of(codec, block), block)
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
    fn an_unknown_codec_is_an_error_that_names_it() {
        let error = found(0x1234, b"x").unwrap_err().to_string();
        assert!(error.contains("0x1234"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

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
