//! CIDs as keys: the mapping between a [`Key`] and the CID or multihash of the block below it.
//!
//! kubo names a block by its multihash alone: the CID's version and codec say how to read a block, not
//! which block it is. The key is `/` and the multihash's bytes in upper-case RFC 4648 base32 without
//! padding and without a multibase prefix.

use cid::multihash::Multihash;
use cid::{Cid, CidGeneric, Version};
use data_encoding::BASE32_NOPAD;

use crate::key::Key;

/// The multicodec code of plain bytes, which is all that a multihash says about a block.
const RAW: u64 = 0x55;

/// The multihash code of a digest that is the block itself.
#[cfg(any(feature = "blockstore", feature = "verify"))]
const IDENTITY: u64 = 0x00;

/// The block that a multihash carries itself.
#[cfg(any(feature = "blockstore", feature = "verify"))]
pub(crate) fn inline<const S: usize>(multihash: &Multihash<S>) -> Option<&[u8]> {
    (multihash.code() == IDENTITY).then(|| multihash.digest())
}

/// With the feature `cid`.
impl Key {
    /// The key of the block that `cid` names: that of its multihash. All CIDs of the same multihash
    /// have the same key, whatever their version and codec.
    ///
    /// ```
    /// use ds_flatfs::Key;
    /// use ds_flatfs::cid::Cid;
    ///
    /// let v0: Cid = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n".parse()?;
    /// let v1: Cid = "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".parse()?;
    /// let key = Key::new("/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVI");
    /// assert_eq!(Key::from_cid(&v0), key);
    /// assert_eq!(Key::from_cid(&v1), key);
    /// # Ok::<(), ds_flatfs::cid::Error>(())
    /// ```
    #[must_use]
    pub fn from_cid<const S: usize>(cid: &CidGeneric<S>) -> Self {
        Key::from_multihash(cid.hash())
    }

    /// The key of the block with this multihash.
    #[must_use]
    pub fn from_multihash<const S: usize>(multihash: &Multihash<S>) -> Self {
        from_bytes(&multihash.to_bytes())
    }

    /// The key made of all bytes of `cid`, as repos had it before go-ipfs 0.12 turned to multihashes. For
    /// a CIDv0 it is the same as [`Key::from_cid`].
    ///
    /// ```
    /// use ds_flatfs::Key;
    /// use ds_flatfs::cid::Cid;
    ///
    /// let cid: Cid = "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".parse()?;
    /// let key = Key::from_cid_bytes(&cid);
    /// assert!(key.as_str().starts_with("/AFYBEI"));
    /// assert_eq!(key.to_cid(), Some(cid));
    /// # Ok::<(), ds_flatfs::cid::Error>(())
    /// ```
    #[must_use]
    pub fn from_cid_bytes<const S: usize>(cid: &CidGeneric<S>) -> Self {
        from_bytes(&cid.to_bytes())
    }

    /// The multihash that this key is made of, or `None` if it isn't made of one alone.
    ///
    /// ```
    /// use ds_flatfs::Key;
    ///
    /// let key = Key::new("/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVI");
    /// let multihash = key.to_multihash().expect("a block's key");
    /// assert_eq!(multihash.code(), 0x12);
    /// assert_eq!(Key::from_multihash(&multihash), key);
    /// assert_eq!(Key::new("/local/filesroot").to_multihash(), None);
    /// ```
    #[must_use]
    pub fn to_multihash(&self) -> Option<Multihash<64>> {
        Multihash::from_bytes(&to_bytes(self)?).ok()
    }

    /// A CID of the block under this key: CIDv1 with the codec `raw` if the key is a multihash (which
    /// codec the block was written with, it doesn't say), that very CID if the key is made of a CIDv1,
    /// `None` if it is neither.
    ///
    /// ```
    /// use ds_flatfs::Key;
    ///
    /// let key = Key::new("/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVI");
    /// let cid = key.to_cid().expect("a block's key");
    /// assert_eq!(cid.to_string(), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
    /// assert_eq!(Key::from_cid(&cid), key);
    /// ```
    #[must_use]
    pub fn to_cid(&self) -> Option<Cid> {
        let bytes = to_bytes(self)?;
        if let Ok(multihash) = Multihash::from_bytes(&bytes) {
            return Some(Cid::new_v1(RAW, multihash));
        }
        let cid = Cid::try_from(bytes.as_slice()).ok()?;
        let whole = cid.version() == Version::V1 && cid.encoded_len() == bytes.len();
        whole.then_some(cid)
    }
}

fn from_bytes(bytes: &[u8]) -> Key {
    Key::new(BASE32_NOPAD.encode(bytes))
}

fn to_bytes(key: &Key) -> Option<Vec<u8>> {
    let text = key.as_str().strip_prefix('/')?;
    BASE32_NOPAD.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[cfg(any(feature = "blockstore", feature = "verify"))]
    #[test]
    fn only_a_multihash_of_the_identity_carries_its_block() {
        for (code, block) in [(IDENTITY, Some(&b"block"[..])), (0x12, None)] {
            let multihash = Multihash::<64>::wrap(code, b"block").unwrap();
            assert_eq!(inline(&multihash), block);
        }
    }

    #[test]
    fn a_key_that_is_no_multihash_and_no_cid_has_neither() {
        for text in [
            "/",
            "/A",
            "/FOO",
            "/local/filesroot",
            "/ciqohmgeikmpyhautl57jsezn64sij5oihsgjg4tjssjlgi3pbjlqvi",
            "/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVIA",
            "/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJL",
        ] {
            let key = Key::new(text);
            assert_eq!(key.to_multihash(), None, "{text}");
            assert_eq!(key.to_cid(), None, "{text}");
        }
    }

    #[test]
    fn a_key_with_bytes_behind_its_cid_has_no_cid() {
        let cid = Cid::new_v1(0x70, Multihash::wrap(0x12, &[7; 32]).unwrap());
        let mut bytes = cid.to_bytes();
        bytes.push(0);
        assert_eq!(from_bytes(&bytes).to_cid(), None);
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        #[test]
        fn a_multihash_comes_back_from_its_key(
            code in 0_u64..0x10_0000,
            digest in proptest::collection::vec(any::<u8>(), 0..=64),
        ) {
            let multihash = Multihash::<64>::wrap(code, &digest).unwrap();
            let key = Key::from_multihash(&multihash);
            prop_assert_eq!(key.to_multihash(), Some(multihash));
            prop_assert_eq!(key.to_cid(), Some(Cid::new_v1(RAW, multihash)));
        }
    }
}
