//! The links of a block in dag-cbor.

use cid::Cid;

use super::long_cid::{self, LongCid};

/// Adds the links of a block: the byte strings with the tag 42. Those that contain blocks which are too long for a [`Cid`]
/// are added to `long`.
///
/// Accepts more blocks than the specification allows, and all that a decoder in Go accepts or has accepted: numbers that
/// could be shorter, half floats, NaN, `undefined`, items of indefinite length, text that is not UTF-8, other tags, map
/// keys of any kind, and any depth of arrays and maps whose length is known. A program may have stored such blocks, and what they link to is in
/// use. An item that is cut short and bytes after the value are refused: links among them could not be found.
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
    // The items that are left in all arrays and maps whose length is known. Their depth takes no memory.
    let mut left = 1_u64;
    // The arrays and maps of indefinite length that have begun.
    let mut open: Vec<Open> = Vec::new();
    loop {
        if left == 0 {
            let Some(innermost) = open.last_mut() else {
                break;
            };
            if let [BREAK, after @ ..] = rest {
                rest = after;
                if innermost.is_map && innermost.has_key {
                    return Err("a map ends after a key".to_owned());
                }
                left = innermost.left_after;
                open.pop();
                continue;
            }
            innermost.has_key = !innermost.has_key;
            left = 1;
        }
        left -= 1;
        let mut head = take_head(&mut rest)?;
        let is_link = head.kind == TAG && head.number == Some(LINK);
        if head.kind == TAG {
            head = take_head(&mut rest)?;
        }
        match (head.kind, head.number) {
            (BYTES, Some(len)) => {
                let bytes = take(&mut rest, len)?;
                if is_link {
                    add_link(bytes, found, long)?;
                }
            }
            (TEXT, Some(len)) => _ = take(&mut rest, len)?,
            (BYTES | TEXT, None) => {
                let bytes = take_parts(&mut rest, head.kind)?;
                if is_link && head.kind == BYTES {
                    add_link(&bytes, found, long)?;
                }
            }
            (ARRAY | MAP, Some(len)) => {
                let items = if head.kind == MAP { 2 } else { 1 };
                // Each item takes a byte.
                let items = len.checked_mul(items);
                let all = items.and_then(|items| left.checked_add(items));
                left = all.ok_or_else(ends_early)?;
            }
            (ARRAY | MAP, None) if open.len() < MAX_OPEN => {
                open.push(Open {
                    is_map: head.kind == MAP,
                    has_key: false,
                    left_after: left,
                });
                left = 0;
            }
            (ARRAY | MAP, None) => return Err("it is nested too deep".to_owned()),
            (TAG, _) => return Err("an item has several tags".to_owned()),
            (_, Some(_)) => {}
            (_, None) => return Err("an item has no length".to_owned()),
        }
    }
    match rest.len() {
        0 => Ok(()),
        len => Err(format!("it has {len} bytes after the value")),
    }
}

/// The kinds of items, in the first three bits of the head.
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// The tag of a CID.
const LINK: u64 = 42;
/// Ends an item of indefinite length.
const BREAK: u8 = 0xff;
/// The maximum depth of arrays and maps of indefinite length, each of which takes memory.
const MAX_OPEN: usize = 1024;

/// An array or map of indefinite length.
struct Open {
    is_map: bool,
    /// Whether the number of items so far is odd.
    has_key: bool,
    /// The items that are left after it.
    left_after: u64,
}

/// The beginning of an item.
struct Head {
    kind: u8,
    /// A value, a length or a tag. `None` if the length is indefinite.
    number: Option<u64>,
}

fn take_head(rest: &mut &[u8]) -> Result<Head, String> {
    let first = rest.split_off_first().ok_or_else(ends_early)?;
    let number = match first & 0x1f {
        number @ 0..24 => Some(number.into()),
        size @ 24..28 => {
            let bytes = take(rest, 1 << (size - 24))?;
            let number = bytes.iter();
            Some(number.fold(0, |number, byte| number << 8 | u64::from(*byte)))
        }
        31 => None,
        size => return Err(format!("a number has an unknown size: {size}")),
    };
    Ok(Head {
        kind: first >> 5,
        number,
    })
}

fn take<'b>(rest: &mut &'b [u8], len: u64) -> Result<&'b [u8], String> {
    let len = usize::try_from(len).ok();
    let bytes = len.and_then(|len| rest.split_off(..len));
    bytes.ok_or_else(ends_early)
}

/// Takes the parts of bytes or text of indefinite length.
fn take_parts(rest: &mut &[u8], kind: u8) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    loop {
        if let [BREAK, after @ ..] = *rest {
            *rest = after;
            return Ok(all);
        }
        match take_head(rest)? {
            Head {
                kind: part,
                number: Some(len),
            } if part == kind => all.extend_from_slice(take(rest, len)?),
            _ => return Err("bytes or text in parts have a part of another kind".to_owned()),
        }
    }
}

fn add_link(bytes: &[u8], found: &mut Vec<Cid>, long: &mut Vec<LongCid>) -> Result<(), String> {
    let [0, cid @ ..] = bytes else {
        return Err("the bytes of a link do not begin with 0".to_owned());
    };
    found.extend(long_cid::read(cid, long)?);
    Ok(())
}

fn ends_early() -> String {
    "it ends within an item".to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use cid::multihash::Multihash;
    use ipld_core::ipld::Ipld;
    use ipld_core::serde::ExtractLinks;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::long_cid::MAX_INLINE;
    use super::*;

    fn found(block: &[u8]) -> Option<(Vec<Cid>, Vec<LongCid>)> {
        let (mut found, mut long) = (Vec::new(), Vec::new());
        let links = links(block, &mut found, &mut long);
        links.ok().map(|()| (found, long))
    }

    /// Returns the links that serde_ipld_dagcbor finds.
    fn expected(block: &[u8]) -> Option<(Vec<Cid>, Vec<LongCid>)> {
        let links: ExtractLinks<MAX_INLINE> = serde_ipld_dagcbor::from_slice(block).ok()?;
        let (mut found, mut long) = (Vec::new(), Vec::new());
        for link in links.into_vec() {
            found.extend(long_cid::read(&link.to_bytes(), &mut long).ok()?);
        }
        Some((found, long))
    }

    fn cid() -> Cid {
        Cid::new_v1(0x55, Multihash::wrap(0, b"abc").unwrap())
    }

    /// Returns a link, as an item.
    fn link() -> Vec<u8> {
        serde_ipld_dagcbor::to_vec(&cid()).unwrap()
    }

    #[test]
    fn links_are_found_beside_what_the_specification_does_not_allow() {
        let link = link();
        let long = LongCid::new_v1(0x71, Multihash::wrap(0, &[0x60; 99]).unwrap());
        let parts = [0x9f, 0xd8, 42, 0x5f, 0x41, 0, 0x47];
        for block in [
            // A number and a length that could be shorter, a half float, NaN, and `undefined`.
            [
                &[0x98, 6, 0x18, 1, 0xf9, 0x3c, 0][..],
                &[0xf9, 0x7e, 0, 0xf7, 0xf6],
                &link,
            ]
            .concat(),
            // An array and a map of indefinite length, with text in parts and a number as key.
            [
                &[0x9f][..],
                &link,
                &[0xbf, 0x7f, 0x61, b'a', 0x60, 0xff, 1, 1, 0xf4, 0xff, 0xff],
            ]
            .concat(),
            // A link in parts.
            [&parts[..], &cid().to_bytes(), &[0xff, 0xff]].concat(),
            // Text that is not UTF-8, as key and as value.
            [&[0xa2, 0x61, 0xff][..], &link, &[0x60, 0x62, 0xc3, 0x28]].concat(),
            // Other tags, and the tag of a link before what is not one.
            [&[0x83, 0xc1, 1, 0xd8, 42, 0x61, b'a'][..], &link].concat(),
        ] {
            assert_eq!(found(&block), Some((vec![cid()], vec![])), "{block:x?}");
        }
        let bytes = [&[0xd8, 42, 0x58, 104, 0][..], &long.to_bytes()].concat();
        assert_eq!(found(&bytes), Some((vec![], vec![long])));
    }

    #[test]
    fn a_block_of_any_depth_takes_no_stack() {
        for (begin, end) in [(&[0x81][..], &[][..]), (&[0xa1, 0x60], &[])] {
            let block = [&begin.repeat(2 << 20)[..], &link(), end].concat();
            assert_eq!(found(&block).unwrap().0, [cid()]);
        }
        let indefinite = |depth| [&vec![0x9f; depth][..], &link(), &vec![0xff; depth]].concat();
        assert_eq!(found(&indefinite(MAX_OPEN)).unwrap().0, [cid()]);
        assert_eq!(found(&indefinite(2 << 20)), None);
    }

    #[test]
    fn what_is_cut_short_or_followed_by_more_is_refused() {
        let link = link();
        let block = [&[0x82, 0xbf, 0x61, b'a'][..], &link, &[0xff, 0x19, 1, 0]].concat();
        assert_eq!(found(&block).unwrap().0, [cid()]);
        for len in 0..block.len() {
            assert_eq!(found(&block[..len]), None, "{len}");
        }
        for invalid in [
            &[&block[..], &[0]].concat()[..],
            &[&block[..], &block].concat(),
            // The most items, twice.
            &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255],
            &[0x82, 0xbb, 255, 255, 255, 255, 255, 255, 255, 255],
            // A break where there is no item of indefinite length, and after a key.
            &[0xff],
            &[0x81, 0xff],
            &[0xbf, 0, 0xff],
            // Sizes that are not assigned, a number without length, a part of another kind, and two tags.
            &[0x1c],
            &[0x1f],
            &[0x5f, 0x61, b'a', 0xff],
            &[0xc1, 0xc1, 0],
            // A link that is not a CID.
            &[0xd8, 42, 0x40],
            &[0xd8, 42, 0x42, 0, 1],
            &[&[0xd8, 42, 0x58, 7, 1][..], &cid().to_bytes()].concat(),
        ] {
            assert_eq!(found(invalid), None, "{invalid:x?}");
        }
    }

    /// Values of all kinds, with links. In dag-json the key `/` is reserved.
    pub(in crate::dag) fn values() -> impl Strategy<Value = Ipld> {
        let value = prop_oneof![
            Just(Ipld::Null),
            any::<bool>().prop_map(Ipld::Bool),
            any::<i64>().prop_map(|number| Ipld::Integer(number.into())),
            (-1e9..1e9).prop_map(Ipld::Float),
            ".{0,30}".prop_map(Ipld::String),
            vec(any::<u8>(), 0..300).prop_map(Ipld::Bytes),
            vec(any::<u8>(), 0..65).prop_map(|bytes| {
                Ipld::Link(Cid::new_v1(0x71, Multihash::wrap(0x12, &bytes).unwrap()))
            }),
        ];
        value.prop_recursive(4, 40, 8, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..30).prop_map(Ipld::List),
                btree_map("[^/]{0,5}", inner, 0..9).prop_map(Ipld::Map),
            ]
        })
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        #[test]
        fn the_links_are_those_that_a_decoder_of_values_finds(value in values()) {
            let block = serde_ipld_dagcbor::to_vec(&value).unwrap();
            prop_assert!(found(&block).is_some());
            prop_assert_eq!(found(&block), expected(&block));
        }

        /// Also blocks of which a part was overwritten, cut off or repeated.
        #[test]
        fn they_are_the_same_in_every_block_that_a_decoder_of_values_accepts(
            value in values(),
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in proptest::option::of(any::<prop::sample::Index>()),
            repeated in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let mut block = serde_ipld_dagcbor::to_vec(&value).unwrap();
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
            if let Some(expected) = expected(&block) {
                prop_assert_eq!(found(&block), Some(expected));
            }
        }

        #[test]
        fn few_bytes_are_read_as_a_decoder_of_values_reads_them(block in vec(any::<u8>(), 0..9)) {
            if let Some(expected) = expected(&block) {
                prop_assert_eq!(found(&block), Some(expected));
            }
        }
    }
}
