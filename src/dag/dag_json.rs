//! The links of a block in dag-json.

use std::mem;

use cid::Cid;

/// The length of the longest CID in bytes: version, codec, hash function, digest length, and 64 bytes of
/// digest.
const MAX_CID_LEN: usize = 1 + 9 + 9 + 1 + 64;

/// The length of the longest CID as text: a character for the base, then base 2, of one bit a character.
/// Decoding a text in base 58 takes quadratic time, so refuse longer ones first.
pub const MAX_CID_TEXT: usize = 1 + 8 * MAX_CID_LEN;

/// Adds the links of a block: the objects whose only key is `/`, with a text.
///
/// Accepts more blocks than the specification allows, as decoders in Go do: text that is not UTF-8 or has lone
/// surrogates, the key `/` with other values and beside other keys, a comma after the last entry, and any depth. A program
/// may have stored such blocks, and what they link to is in use. Refused are values that are cut short or have bytes after
/// them, since links among these could not be found, missing commas, and CIDs that contain more than 64 bytes.
///
/// # Errors
///
/// Returns what is wrong with a block that is not valid. The text of a link that is longer than that of any CID is
/// refused before it is decoded, which takes quadratic time in base 58, 36 and 10.
pub(super) fn links(block: &[u8], found: &mut Vec<Cid>) -> Result<(), String> {
    let mut rest = block;
    // The bytes that end the arrays and objects that have begun.
    let mut open = Vec::new();
    let mut next = Next::Value;
    let (mut is_first_key, mut is_link_key, mut link) = (false, false, None);
    loop {
        let Some(byte) = take_byte(&mut rest) else {
            let is_whole = next == Next::After && open.is_empty();
            return is_whole.then_some(()).ok_or_else(ends_early);
        };
        if next != Next::Value && open.last() == Some(&byte) {
            if let Some(text) = link.take() {
                found.push(read_cid(text)?);
            }
            open.pop();
            (next, is_first_key) = (Next::After, false);
            continue;
        }
        match next {
            Next::After if byte == b',' && !open.is_empty() => {
                next = Next::Entry;
                continue;
            }
            Next::Entry if byte == b'"' && open.last() == Some(&b'}') => {
                is_link_key = is_slash(take_text(&mut rest)?) && is_first_key;
                if take_byte(&mut rest) != Some(b':') {
                    return Err("a key has no value".to_owned());
                }
                (next, is_first_key, link) = (Next::Value, false, None);
                continue;
            }
            Next::Entry if open.last() == Some(&b']') => {}
            Next::Value => {}
            Next::After | Next::Entry => return Err(unexpected(byte)),
        }
        let is_link = mem::take(&mut is_link_key);
        next = Next::After;
        match byte {
            b'{' => {
                open.push(b'}');
                (next, is_first_key) = (Next::Entry, true);
            }
            b'[' => {
                open.push(b']');
                next = Next::Entry;
            }
            b'"' => {
                let text = take_text(&mut rest)?;
                link = is_link.then_some(text);
            }
            b'n' => take_word(&mut rest, b"ull")?,
            b't' => take_word(&mut rest, b"rue")?,
            b'f' => take_word(&mut rest, b"alse")?,
            b'-' | b'0'..=b'9' => take_number(&mut rest),
            _ => return Err(unexpected(byte)),
        }
    }
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    /// An element or a key, or the end of the array or object.
    Entry,
    /// What is after a value: a comma or an end.
    After,
}

/// Takes white space and the byte after it.
fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (byte, after) = rest.trim_ascii_start().split_first()?;
    *rest = after;
    Some(*byte)
}

/// Takes a text without its first quote, which was taken. Returns it as it is written.
fn take_text<'b>(rest: &mut &'b [u8]) -> Result<&'b [u8], String> {
    let mut len = 0;
    loop {
        let after = rest.get(len..).unwrap_or_default();
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
        let special = after.iter().position(is_special);
        len += special.ok_or_else(ends_early)?;
        let parts = rest.split_at_checked(len);
        match parts.ok_or_else(ends_early)? {
            (text, [b'"', after @ ..]) => {
                *rest = after;
                return Ok(text);
            }
            (_, [b'\\', escape @ ..]) => len += 1 + escape_len(escape)?,
            (_, [byte, ..]) => return Err(unexpected(*byte)),
            (_, []) => return Err(ends_early()),
        }
    }
}

/// Returns the length of an escape without its backslash. One that is not valid is refused: a decoder in Go ends a key
/// there, and reads what follows in another way.
fn escape_len(escape: &[u8]) -> Result<usize, String> {
    match escape {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Ok(1),
        [b'u', digits @ ..] => match digits.first_chunk::<4>() {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(5),
            Some(_) => Err("an escape has no four digits".to_owned()),
            None => Err(ends_early()),
        },
        [_, ..] => Err("an escape is unknown".to_owned()),
        [] => Err(ends_early()),
    }
}

fn take_word(rest: &mut &[u8], word: &[u8]) -> Result<(), String> {
    let after = rest.strip_prefix(word);
    *rest = after.ok_or_else(|| "a word is unknown".to_owned())?;
    Ok(())
}

fn take_number(rest: &mut &[u8]) {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let len = rest.iter().take_while(|byte| is_part(byte)).count();
    *rest = rest.get(len..).unwrap_or_default();
}

/// The length of the longest escape, such as `\u002f`.
const MAX_ESCAPE: usize = 6;

fn is_slash(text: &[u8]) -> bool {
    let may_be_escaped = text.first() == Some(&b'\\') && text.len() <= MAX_ESCAPE;
    text == b"/" || may_be_escaped && unescape(text).is_ok_and(|text| text == "/")
}

fn read_cid(text: &[u8]) -> Result<Cid, String> {
    let too_long = |len| format!("a link of {len} characters is longer than a CID can be");
    if text.len() > MAX_CID_TEXT * MAX_ESCAPE {
        return Err(too_long(text.len()));
    }
    let text = unescape(text)?;
    if text.len() > MAX_CID_TEXT {
        return Err(too_long(text.len()));
    }
    Cid::try_from(text.as_str()).map_err(|error| error.to_string())
}

fn unescape(text: &[u8]) -> Result<String, String> {
    let quoted = [b"\"", text, b"\""].concat();
    serde_json::from_slice(&quoted).map_err(|error| error.to_string())
}

fn unexpected(byte: u8) -> String {
    format!("it has an unexpected byte: 0x{byte:02x}")
}

fn ends_early() -> String {
    "it ends within a value".to_owned()
}

#[cfg(test)]
mod tests {
    use cid::multihash::Multihash;
    use ipld_core::ipld::Ipld;
    use ipld_core::serde::ExtractLinks;
    use proptest::prelude::*;

    use super::*;
    use crate::dag::dag_cbor::tests::values;

    fn found(block: &[u8]) -> Option<Vec<Cid>> {
        let mut found = Vec::new();
        links(block, &mut found).ok().map(|()| found)
    }

    /// Returns the links that serde_ipld_dagjson finds.
    fn expected(block: &[u8]) -> Option<Vec<Cid>> {
        let links: ExtractLinks<64> = serde_ipld_dagjson::from_slice(block).ok()?;
        Some(links.into_vec())
    }

    fn cid() -> Cid {
        Cid::new_v1(0x55, Multihash::wrap(0, b"abc").unwrap())
    }

    /// Returns the bytes with links in place of each `L`.
    fn with_links(text: &[u8]) -> Vec<u8> {
        let link = format!(r#"{{"/":"{}"}}"#, cid()).into_bytes();
        let parts = text.split(|byte| *byte == b'L');
        parts.collect::<Vec<_>>().join(&link[..])
    }

    #[test]
    fn links_are_found_beside_what_the_specification_does_not_allow() {
        for block in [
            &b"[\"\xff\", \"\\ud800\", L]"[..],
            b"{\"\xff\":{}, \"a\":L}",
            b"[123456789012345678901234567890, 1e999, -0, L]",
            b"[L,]",
            b"{\"a\":L,}",
            b"{\"/\":L}",
            b"[{\"/\":5},{\"/\":{\"bytes\":\"!\"}},L]",
            b"[{\"/\":\"x\",\"a\":1},{\"a\":{},\"/\":\"x\"},[{},\"/\",\"x\"],L]",
            b"[\"\\\"\", \"\\\\\", L]",
        ] {
            let block = with_links(block);
            let text = String::from_utf8_lossy(&block);
            assert_eq!(found(&block), Some(vec![cid()]), "{text}");
        }
        let escaped = cid().to_string().replace('b', "\\u0062");
        for text in [
            format!(r#"{{"/":"{escaped}"}}"#),
            format!(r#" {{ "\u002F" : "{escaped}" }} "#),
            format!(r#"{{"\/":"{}",}}"#, cid()),
        ] {
            assert_eq!(found(text.as_bytes()), Some(vec![cid()]), "{text}");
        }
    }

    #[test]
    fn a_block_of_any_depth_takes_no_stack() {
        for (begin, end) in [(&b"["[..], &b"]"[..]), (b"{\"a\":", b"}")] {
            let depth = 1 << 20;
            let block = [begin.repeat(depth), with_links(b"L"), end.repeat(depth)].concat();
            assert_eq!(found(&block), Some(vec![cid()]));
            assert_eq!(found(&block[..block.len() - 1]), None);
        }
    }

    #[test]
    fn what_is_cut_short_or_followed_by_more_is_refused() {
        let block = with_links(br#"[{"a":"\"","b":[1,true,null]},L]"#);
        assert_eq!(found(&block), Some(vec![cid()]));
        for len in 0..block.len() {
            assert_eq!(found(&block[..len]), None, "{len}");
        }
        for invalid in [
            "LL",
            "L,",
            "[L}",
            "[}",
            "{]",
            "]",
            "[,L]",
            "[L,,L]",
            "[L L]",
            "{L}",
            "{1:L}",
            "{\"a\"}",
            "{\"a\",L}",
            "{\"a\":}",
            "{\"a\":L,L}",
            "[nul]",
            "[tru]",
            "[falsy]",
            "[x]",
            "{\"/\":\"x\"}",
            "{\"/\":\"\\q\"}",
            "{\"\\q\":L}",
            "{\"\\u00g0\":L}",
            "{\"\n\":L}",
            "[L:L]",
        ] {
            assert_eq!(found(&with_links(invalid.as_bytes())), None, "{invalid}");
        }
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        #[test]
        fn the_links_are_those_that_a_decoder_of_values_finds(value in values()) {
            let block = serde_ipld_dagjson::to_vec(&value).unwrap();
            prop_assert!(found(&block).is_some());
            prop_assert_eq!(found(&block), expected(&block));
        }

        /// Also blocks of which a part was overwritten, cut off or repeated.
        #[test]
        fn they_are_the_same_in_every_block_that_a_decoder_of_values_accepts(
            value in values(),
            changes in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::sample::select(&b"[]{}\",:/\\ 1a\xff"[..])),
                1..4,
            ),
            repeated in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let value = Ipld::List(vec![value, Ipld::Link(cid())]);
            let mut block = serde_ipld_dagjson::to_vec(&value).unwrap();
            for (at, byte) in changes {
                let at = at.index(block.len());
                block[at] = byte;
            }
            if let Some(from) = repeated {
                block.extend_from_within(from.index(block.len())..);
            }
            if let Some(expected) = expected(&block) {
                prop_assert_eq!(found(&block), Some(expected));
            }
        }
    }
}
