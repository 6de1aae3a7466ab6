//! The links of a block in dag-pb.

use cid::Cid;
use cid::multihash::Multihash;

use super::long_cid::{self, LongCid};

/// Adds the links of a block. Those that contain blocks which are too long for a [`Cid`] are added to `long`. Accepts the
/// same other blocks as the crate ipld-dagpb, which builds whole nodes with names and data, and takes several times as
/// long; and names that are not UTF-8, as kubo does, which takes file names as they are.
///
/// # Errors
///
/// Returns what is wrong with a block that is not valid.
pub(super) fn links(
    block: &[u8],
    found: &mut Vec<Cid>,
    long: &mut Vec<LongCid>,
) -> Result<(), String> {
    let mut rest = block;
    let (mut has_links, mut may_have_links) = (false, true);
    while !rest.is_empty() {
        match take_tag(&mut rest)? {
            LINK if may_have_links => {
                add_link(take_bytes(&mut rest)?, found, long)?;
                has_links = true;
            }
            LINK => return Err("it has links before and after its data".to_owned()),
            DATA => {
                take_bytes(&mut rest)?;
                // Links and data may be in either order, but not interleaved.
                may_have_links = !has_links;
            }
            tag => return Err(format!("a node has no field with the tag {tag}")),
        }
    }
    Ok(())
}

/// The tags of the fields of a node and of a link: their numbers, and how they are encoded.
const DATA: u32 = 0x0a;
const LINK: u32 = 0x12;
const HASH: u32 = 0x0a;
const NAME: u32 = 0x12;
const TOTAL_SIZE: u32 = 0x18;

/// The length of the longest number in bytes.
const MAX_VARINT: usize = 10;

fn add_link(bytes: &[u8], found: &mut Vec<Cid>, long: &mut Vec<LongCid>) -> Result<(), String> {
    let mut rest = bytes;
    let (before, mut has_cid) = (found.len(), false);
    while !rest.is_empty() {
        match take_tag(&mut rest)? {
            HASH => {
                // Of several CIDs, the last one counts.
                found.truncate(before);
                add_cid(take_bytes(&mut rest)?, found, long)?;
                has_cid = true;
            }
            NAME => _ = take_bytes(&mut rest)?,
            TOTAL_SIZE => _ = take_varint(&mut rest)?,
            tag => return Err(format!("a link has no field with the tag {tag}")),
        }
    }
    match has_cid {
        true => Ok(()),
        false => Err("a link has no CID".to_owned()),
    }
}

/// Adds a CID. The usual ones take no general parser.
fn add_cid(bytes: &[u8], found: &mut Vec<Cid>, long: &mut Vec<LongCid>) -> Result<(), String> {
    match sha2_256_cid(bytes) {
        Some(cid) => found.push(cid),
        None => found.extend(long_cid::read(bytes, long)?),
    }
    Ok(())
}

/// Reads a CID with a digest of SHA2-256.
fn sha2_256_cid(bytes: &[u8]) -> Option<Cid> {
    let (codec, digest) = match bytes {
        [0x12, 0x20, digest @ ..] => (None, digest),
        [0x01, codec @ 0..=0x7f, 0x12, 0x20, digest @ ..] => (Some(*codec), digest),
        _ => return None,
    };
    let digest = <&[u8; 32]>::try_from(digest).ok()?;
    let hash = Multihash::wrap(0x12, digest).ok()?;
    match codec {
        Some(codec) => Some(Cid::new_v1(codec.into(), hash)),
        None => Cid::new_v0(hash).ok(),
    }
}

/// Takes a field's tag. As in other decoders of protobuf, only 32 bits of it count.
fn take_tag(rest: &mut &[u8]) -> Result<u32, String> {
    take_varint(rest).map(|number| number as u32)
}

/// Takes a field of bytes, which begins with its length. As in other decoders, only 32 bits of that count.
fn take_bytes<'b>(rest: &mut &'b [u8]) -> Result<&'b [u8], String> {
    let len = usize::try_from(take_varint(rest)? as u32).ok();
    let bytes = len.and_then(|len| rest.split_off(..len));
    bytes.ok_or_else(ends_early)
}

/// Takes a number in groups of 7 bits, the lowest first. Most numbers are one byte.
#[inline]
fn take_varint(rest: &mut &[u8]) -> Result<u64, String> {
    match *rest {
        [byte @ ..0x80, after @ ..] => {
            *rest = after;
            Ok((*byte).into())
        }
        _ => take_long_varint(rest),
    }
}

fn take_long_varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0;
    for index in 0..MAX_VARINT {
        let byte = rest.split_off_first().ok_or_else(ends_early)?;
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number is too long".to_owned())
}

fn ends_early() -> String {
    "it ends within a field".to_owned()
}

#[cfg(test)]
mod tests {
    use ipld_core::ipld;
    use ipld_core::ipld::Ipld;
    use proptest::prelude::*;

    use super::*;
    use crate::key::Key;

    fn cid(number: u8) -> Cid {
        let hash = Key::for_block(&[number]).to_multihash().unwrap();
        match number % 4 {
            0 => Cid::new_v0(hash).unwrap(),
            1 => Cid::new_v1(0x70, hash),
            2 => Cid::new_v1(0x0129, hash),
            _ => Cid::new_v1(0x55, Multihash::wrap(0, &[number; 3]).unwrap()),
        }
    }

    /// Returns a block with these links, some of which have names and sizes.
    fn node(links: &[u8], data: Option<Vec<u8>>) -> Vec<u8> {
        // An encoder wants links in the order of their names.
        let mut links = links.to_vec();
        links.sort_by_key(|number| number % 3 == 2);
        let links = links.iter().map(|number| {
            let hash = Ipld::Link(cid(*number));
            match number % 3 {
                0 => ipld!({ "Hash": hash }),
                1 => ipld!({ "Hash": hash, "Name": "", "Tsize": 300 }),
                _ => ipld!({ "Hash": hash, "Name": "é" }),
            }
        });
        let links: Vec<Ipld> = links.collect();
        let node = match data {
            Some(data) => ipld!({ "Links": links, "Data": Ipld::Bytes(data) }),
            None => ipld!({ "Links": links }),
        };
        ipld_dagpb::from_ipld(&node).unwrap()
    }

    /// Returns the links that ipld-dagpb finds.
    fn expected(block: &[u8]) -> Option<Vec<Cid>> {
        let mut found = Vec::new();
        ipld_dagpb::links(block, &mut found).ok().map(|()| found)
    }

    /// Returns whether ipld-dagpb refuses the block because a name is not UTF-8.
    fn has_other_name(block: &[u8]) -> bool {
        let links = ipld_dagpb::links(block, &mut Vec::new());
        links.is_err_and(|error| format!("{error:?}").contains("Utf8"))
    }

    fn found(block: &[u8]) -> Option<Vec<Cid>> {
        let mut found = Vec::new();
        links(block, &mut found, &mut Vec::new())
            .ok()
            .map(|()| found)
    }

    #[test]
    fn data_may_be_before_or_after_the_links_but_not_between_them() {
        let (one, other) = (node(&[1], None), node(&[2], None));
        let data = [0x0a, 1, 7];
        for (block, is_valid) in [
            ([&data[..], &one, &other].concat(), true),
            ([&one[..], &other, &data].concat(), true),
            ([&one[..], &data, &other].concat(), false),
        ] {
            assert_eq!(found(&block).is_some(), is_valid);
            assert_eq!(expected(&block).is_some(), is_valid);
        }
    }

    #[test]
    fn a_name_need_not_be_utf_8() {
        let hash = cid(1).to_bytes();
        let name = b"caf\xe9.txt";
        let link = [
            &[0x0a, hash.len() as u8],
            &hash[..],
            &[0x12, name.len() as u8],
            name,
        ]
        .concat();
        let block = [&[0x12, link.len() as u8], &link[..], &node(&[2], None)].concat();
        assert!(has_other_name(&block));
        assert_eq!(found(&block), Some(vec![cid(1), cid(2)]));
    }

    #[test]
    fn of_several_cids_of_a_link_the_last_one_counts() {
        let cids = [cid(1), cid(2), cid(4)].map(|cid| cid.to_bytes());
        let fields = cids.map(|cid| [&[0x0a, cid.len() as u8], &cid[..]].concat());
        let link = fields.concat();
        let block = [&[0x12, link.len() as u8], &link[..]].concat();
        assert_eq!(found(&block), Some(vec![cid(4)]));
        assert_eq!(found(&block), expected(&block));
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        #[test]
        fn the_links_are_those_that_a_decoder_of_nodes_finds(
            links in proptest::collection::vec(any::<u8>(), 0..9),
            data in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
        ) {
            let block = node(&links, data);
            prop_assert_eq!(found(&block).unwrap().len(), links.len());
            prop_assert_eq!(found(&block), expected(&block));
        }

        /// Also blocks of which a part was overwritten, cut off or repeated.
        #[test]
        fn the_same_blocks_are_refused_as_by_a_decoder_of_nodes(
            links in proptest::collection::vec(any::<u8>(), 0..4),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in proptest::option::of(any::<prop::sample::Index>()),
            repeated in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let mut block = node(&links, Some(vec![1, 2]));
            for (at, byte) in changes {
                let at = at.index(block.len());
                block[at] = byte;
            }
            if let Some(cut) = cut {
                block.truncate(cut.index(block.len()));
            }
            if let Some(from) = repeated.filter(|_| !block.is_empty()) {
                block.extend_from_within(from.index(block.len())..);
            }
            if !has_other_name(&block) {
                prop_assert_eq!(found(&block), expected(&block));
            }
        }
    }
}
