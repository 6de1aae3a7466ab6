//! [`KeyArg`]: the argument KEY, which is a key of the store or a CID.

use std::str::FromStr;

use bytes::Bytes;
use cid::Cid;
use ds_flatfs::dag::{self, MAX_CID_TEXT};
use ds_flatfs::{Datastore, Key};

use crate::blocks;

/// The part of the help that explains KEY.
pub(crate) const KEY_HELP: &str = "\
KEY is a CID (version 0 or 1, in any multibase, also as /ipfs/CID) or a key of the store. A text that can \
be read as a CID is read as one; begin with '/' to make it a key. All CIDs with the same multihash name \
the same block. A CID with the identity hash contains its block, so the block always exists and is never \
in the store.";

/// A key of the store, or a CID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyArg {
    Key(Key),
    Cid(Cid),
}

impl KeyArg {
    /// Returns the keys under which the block may be stored.
    pub(crate) fn keys(&self) -> Vec<Key> {
        match self {
            KeyArg::Key(key) => vec![key.clone()],
            KeyArg::Cid(cid) => dag::keys(cid),
        }
    }

    /// Returns whether the block is in the store or in the CID.
    pub(crate) async fn exists(&self, store: &dyn Datastore) -> anyhow::Result<bool> {
        match self {
            KeyArg::Key(key) => blocks::has_key(store, key).await,
            KeyArg::Cid(cid) => blocks::has(store, cid).await,
        }
    }

    /// Returns the block from the store or from the CID.
    pub(crate) async fn load(&self, store: &dyn Datastore) -> anyhow::Result<Option<Bytes>> {
        match self {
            KeyArg::Key(_) => blocks::read(store, self.keys()).await,
            KeyArg::Cid(cid) => blocks::load(store, cid).await,
        }
    }
}

impl std::fmt::Display for KeyArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeyArg::Key(key) => key.fmt(f),
            KeyArg::Cid(cid) => cid.fmt(f),
        }
    }
}

impl FromStr for KeyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(cid) = text.strip_prefix("/ipfs/") {
            return parse_cid(cid).map(KeyArg::Cid);
        }
        if let Some(name) = text.strip_prefix('/') {
            return if is_key_name(name) {
                Ok(KeyArg::Key(Key::new(text)))
            } else {
                Err("a key is '/' and then only 0-9 A-Z + - _ =".to_owned())
            };
        }
        match parse_cid(text) {
            Ok(cid) => Ok(KeyArg::Cid(cid)),
            Err(_) if is_key_name(text) => Ok(KeyArg::Key(Key::new(text))),
            Err(error) => Err(format!("it is not a key, and {error}")),
        }
    }
}

/// Parses an argument that must be a CID.
///
/// # Errors
///
/// Fails if the text is not a CID, or if something follows the CID.
pub(crate) fn parse_cid(text: &str) -> Result<Cid, String> {
    let text = text.strip_prefix("/ipfs/").unwrap_or(text);
    if text.contains('/') {
        return Err("paths below a CID are not supported".to_owned());
    }
    if text.len() > MAX_CID_TEXT {
        return Err("it is longer than a CID can be".to_owned());
    }
    let cid = Cid::try_from(text).map_err(|_| "it is not a CID".to_owned())?;
    if decoded_len(text) == Some(cid.encoded_len()) {
        Ok(cid)
    } else {
        Err("there is something after the CID".to_owned())
    }
}

/// Returns how many bytes the text encodes: the parser of the CID ignores those after the CID.
fn decoded_len(text: &str) -> Option<usize> {
    let decoded = if cid::Version::is_v0_str(text) {
        cid::multibase::Base::Base58Btc.decode(text)
    } else {
        cid::multibase::decode(text).map(|(_, bytes)| bytes)
    };
    decoded.ok().map(|bytes| bytes.len())
}

/// Returns whether the text is a key of a store, without its `/`.
fn is_key_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "+-_=".contains(c);
    !text.is_empty() && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use cid::multibase::Base;
    use multihash_codetable::{Code, MultihashDigest as _};

    use super::*;
    use crate::hash::raw_cid;

    fn key(text: &str) -> Result<KeyArg, String> {
        Ok(KeyArg::Key(Key::new(text)))
    }

    #[test]
    fn a_key_is_accepted_with_and_without_its_slash() {
        for name in [
            "CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVI",
            "A",
            "+-_=09",
        ] {
            assert_eq!(name.parse(), key(name));
            assert_eq!(format!("/{name}").parse(), key(name));
        }
    }

    #[test]
    fn a_cid_is_accepted_in_any_version_and_multibase() {
        let cid = raw_cid(b"block");
        for base in [
            Base::Base16Lower,
            Base::Base16Upper,
            Base::Base32Lower,
            Base::Base32Upper,
            Base::Base36Lower,
            Base::Base36Upper,
            Base::Base58Btc,
            Base::Base64Url,
            Base::Base256Emoji,
        ] {
            let text = cid.to_string_of_base(base).unwrap();
            assert_eq!(text.parse(), Ok(KeyArg::Cid(cid)), "{text}");
        }
        let v0 = Cid::new_v0(*cid.hash()).unwrap();
        assert_eq!(v0.to_string().parse(), Ok(KeyArg::Cid(v0)));
        assert_eq!(format!("/ipfs/{v0}").parse(), Ok(KeyArg::Cid(v0)));
    }

    #[test]
    fn the_keys_of_blocks_are_never_read_as_cids() {
        let codes = [
            Code::Sha2_256,
            Code::Sha2_512,
            Code::Sha3_256,
            Code::Blake2b256,
            Code::Blake2s256,
            Code::Blake3_256,
        ];
        for i in 0..200_u32 {
            for code in codes {
                let cid = Cid::new_v1(0x55, code.digest(&i.to_le_bytes()));
                for made in [Key::from_cid(&cid), Key::from_cid_bytes(&cid)] {
                    let name = made.as_str().trim_start_matches('/');
                    assert_eq!(name.parse(), Ok(KeyArg::Key(made.clone())));
                }
            }
        }
    }

    #[test]
    fn a_text_that_is_neither_is_refused() {
        let cid = raw_cid(b"block");
        for text in [
            "",
            "/",
            "a",
            "/a",
            "//A",
            "/A/B",
            "../A",
            "no key",
            "/ipfs/",
            &format!("{cid}/file"),
            &format!("{cid}a"),
            &format!("{cid}aaaaaaaa"),
            "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1",
            // Decoding it takes minutes.
            &format!("z{}", "2".repeat(1 << 20)),
        ] {
            assert!(text.parse::<KeyArg>().is_err(), "{text:?}");
        }
        let neither = "it is not a key, and it is not a CID".to_owned();
        assert_eq!("no key".parse::<KeyArg>(), Err(neither));
    }
}
