//! The mapping between a [`Key`] and the CID or multihash of its block. Feature `cid`.
//!
//! kubo names a block by its multihash alone: the version and the codec of a CID say how to read a block, not
//! which block it is. The key is `/` followed by the bytes of the multihash in upper-case RFC 4648 base32
//! without padding and without a multibase prefix.

use cid::multihash::Multihash;
use cid::{Cid, CidGeneric, Version};
use data_encoding::BASE32_NOPAD;

use crate::error::{Error, Result};
use crate::key::Key;

/// The multicodec code of plain bytes, used where a multihash does not name a codec.
const RAW: u64 = 0x55;

/// The multihash code of the identity hash, whose digest is the block itself.
#[cfg(any(feature = "blockstore", feature = "verify"))]
const IDENTITY: u64 = 0x00;

/// Returns the block that an identity multihash contains, or `None` for any other hash function.
#[cfg(any(feature = "blockstore", feature = "verify"))]
pub(crate) fn inline<const S: usize>(multihash: &Multihash<S>) -> Option<&[u8]> {
    (multihash.code() == IDENTITY).then(|| multihash.digest())
}

/// The methods of the feature `cid`.
impl Key {
    /// Returns the key of the block that `cid` names, which is the key of its multihash. All CIDs with the same
    /// multihash have the same key, whatever their version and codec.
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

    /// Returns the key of a block named by its sha2-256 hash, as kubo names blocks by default. Feature `verify`.
    ///
    /// The function hashes the block on the current thread, at a rate of 0.5 to 2 GB a second.
    ///
    /// From the bytes of a file to the key and the value of a block, and back:
    ///
    /// ```
    /// use bytes::Bytes;
    /// use ds_flatfs::cid::Cid;
    /// use ds_flatfs::{Datastore, Key, MemoryDatastore};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("file");
    /// # tokio::fs::write(&path, "hello").await?;
    /// let store = MemoryDatastore::new();
    /// let block = Bytes::from(tokio::fs::read(path).await?);
    /// let key = Key::for_block(&block);
    /// store.put(&key, block.clone()).await?;
    ///
    /// // The CID under which others know the block.
    /// let cid = Cid::try_from(&key)?;
    /// assert_eq!(cid.to_string(), "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
    /// assert_eq!(store.get(&Key::from(&cid)).await?, Some(block));
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "verify")]
    #[must_use]
    pub fn for_block(block: &[u8]) -> Self {
        use multihash_codetable::{Code, MultihashDigest as _};
        Key::from_multihash(&Code::Sha2_256.digest(block))
    }

    /// Returns the key of the block with this multihash.
    #[must_use]
    pub fn from_multihash<const S: usize>(multihash: &Multihash<S>) -> Self {
        from_bytes(&multihash.to_bytes())
    }

    /// Returns the key made of all bytes of `cid`, as go-ipfs named blocks before version 0.12. For a CIDv0 it is
    /// the same as [`Key::from_cid`].
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

    /// Returns the multihash that this key encodes, or `None` if the key encodes anything else.
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

    /// Returns a CID of the block under this key:
    ///
    /// - a CIDv1 with the codec `raw` if the key is a multihash, which does not say how the block is encoded;
    /// - the CID itself if the key encodes a whole CIDv1;
    /// - `None` if the key is neither.
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

/// The same as [`Key::from_cid`].
impl<const S: usize> From<&CidGeneric<S>> for Key {
    fn from(cid: &CidGeneric<S>) -> Self {
        Key::from_cid(cid)
    }
}

/// The same as [`Key::to_cid`], with an error instead of `None`.
impl TryFrom<&Key> for Cid {
    type Error = Error;

    /// # Errors
    ///
    /// Returns [`Error::InvalidKey`] if the key encodes neither a multihash nor a CID.
    fn try_from(key: &Key) -> Result<Self> {
        key.to_cid().ok_or_else(|| Error::InvalidKey {
            key: key.to_string(),
            reason: "it does not encode a multihash or a CID",
        })
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
    fn only_an_identity_multihash_contains_its_block() {
        for (code, block) in [(IDENTITY, Some(&b"block"[..])), (0x12, None)] {
            let multihash = Multihash::<64>::wrap(code, b"block").unwrap();
            assert_eq!(inline(&multihash), block);
        }
    }

    #[test]
    fn a_key_that_encodes_neither_a_multihash_nor_a_cid_has_neither() {
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
    fn a_key_with_bytes_after_the_cid_has_no_cid() {
        let cid = Cid::new_v1(0x70, Multihash::wrap(0x12, &[7; 32]).unwrap());
        let mut bytes = cid.to_bytes();
        bytes.push(0);
        assert_eq!(from_bytes(&bytes).to_cid(), None);
    }

    proptest! {
        #![proptest_config(crate::testing::proptest_config())]

        #[test]
        fn a_key_gives_its_multihash_back(
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
