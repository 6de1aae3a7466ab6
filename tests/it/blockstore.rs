//! [`DatastoreBlockstore`]: the tests that the crate blockstore has for its own stores, on each datastore.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use blockstore::block::{Block, CidError};
use blockstore::{Blockstore, Error};
use ds_flatfs::blockstore::DatastoreBlockstore;
use ds_flatfs::cid::multihash::Multihash;
use ds_flatfs::cid::{Cid, CidGeneric};
use ds_flatfs::wrappers::Mount;
use ds_flatfs::{Datastore, FlatFs, Key, MemoryDatastore};
use sha2::{Digest, Sha256};

use crate::support::{Home, contents, options};

type Blocks = DatastoreBlockstore<dyn Datastore>;

const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;
const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;
/// A code for private use: there is no such hash function, so any digest is possible for any block.
const PRIVATE: u64 = 0x30_0000;

/// Returns a CID of any size, whose digest is unrelated to the block.
fn cid<const S: usize>(digest: &[u8]) -> CidGeneric<S> {
    CidGeneric::new_v1(RAW, Multihash::wrap(PRIVATE, digest).unwrap())
}

fn sha2_cid(block: &[u8]) -> Cid {
    Cid::new_v1(
        RAW,
        Multihash::wrap(SHA2_256, &Sha256::digest(block)).unwrap(),
    )
}

/// A block that knows its CID, or one without a CID.
#[derive(Clone, Copy, Debug)]
enum Numbered {
    Block([u8; 4]),
    Unnamed,
}

impl Numbered {
    fn first(count: u32) -> impl Iterator<Item = Self> {
        (0..count).map(|number| Numbered::Block(number.to_be_bytes()))
    }
}

impl Block<4> for Numbered {
    fn cid(&self) -> Result<CidGeneric<4>, CidError> {
        match self {
            Numbered::Block(number) => Ok(cid(number)),
            Numbered::Unnamed => Err(CidError::InvalidDataFormat("no number".into())),
        }
    }

    fn data(&self) -> &[u8] {
        match self {
            Numbered::Block(number) => number,
            Numbered::Unnamed => &[],
        }
    }
}

async fn has_all(blocks: &Blocks, named: impl Iterator<Item = Numbered>) -> bool {
    for block in named {
        let cid = block.cid().unwrap();
        match blocks.get(&cid).await.unwrap() {
            Some(found) => assert_eq!(found, block.data()),
            None => return false,
        }
    }
    true
}

/// Runs a test on each datastore, in a spawned task as in a node, which requires `Send` futures.
async fn on_each_datastore<F>(test: impl Fn(Blocks) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (_home, flatfs) = Home::with_store("next-to-last/2").await;
    let datastores: [Arc<dyn Datastore>; 2] = [Arc::new(flatfs), Arc::new(MemoryDatastore::new())];
    for datastore in datastores {
        let blocks = DatastoreBlockstore::new(datastore);
        tokio::spawn(test(blocks.clone())).await.unwrap();
        blocks.close().await.unwrap();
    }
}

/// Returns a store and a block store of it.
async fn on_flatfs() -> (Home, FlatFs, DatastoreBlockstore<FlatFs>) {
    let (home, flatfs) = Home::with_store("next-to-last/2").await;
    let blocks = DatastoreBlockstore::new(Arc::new(flatfs.clone()));
    (home, flatfs, blocks)
}

#[tokio::test]
async fn a_block_that_was_put_is_found_and_another_is_not() {
    on_each_datastore(|blocks| async move {
        let (there, absent) = (cid::<64>(b"there"), cid::<64>(b"absent"));
        blocks.put_keyed(&there, b"block").await.unwrap();
        assert_eq!(blocks.get(&there).await.unwrap().unwrap(), b"block");
        assert!(blocks.has(&there).await.unwrap());
        assert_eq!(blocks.get(&absent).await.unwrap(), None);
        assert!(!blocks.has(&absent).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn an_empty_block_is_stored() {
    on_each_datastore(|blocks| async move {
        let cid = sha2_cid(b"");
        blocks.put_keyed(&cid, b"").await.unwrap();
        assert_eq!(blocks.get(&cid).await.unwrap().unwrap(), b"");
    })
    .await;
}

#[tokio::test]
async fn a_block_can_be_put_again() {
    on_each_datastore(|blocks| async move {
        let (once, twice) = (cid::<64>(b"once"), cid::<64>(b"twice"));
        blocks.put_keyed(&once, b"1").await.unwrap();
        for _ in 0..2 {
            blocks.put_keyed(&twice, b"2").await.unwrap();
        }
        assert_eq!(blocks.get(&once).await.unwrap().unwrap(), b"1");
        assert_eq!(blocks.get(&twice).await.unwrap().unwrap(), b"2");
    })
    .await;
}

#[tokio::test]
async fn cids_of_any_size_version_and_codec_name_the_block_of_their_multihash() {
    on_each_datastore(|blocks| async move {
        let digest = Sha256::digest(b"block");
        let small = Multihash::<32>::wrap(SHA2_256, &digest).unwrap();
        let large = Multihash::<128>::wrap(SHA2_256, &digest).unwrap();
        let put = CidGeneric::new_v1(DAG_PB, small);
        blocks.put_keyed(&put, b"block").await.unwrap();

        let raw = sha2_cid(b"block");
        assert_eq!(blocks.get(&raw).await.unwrap().unwrap(), b"block");
        let v0 = Cid::new_v0(*raw.hash()).unwrap();
        assert_eq!(blocks.get(&v0).await.unwrap().unwrap(), b"block");
        let large = CidGeneric::new_v1(RAW, large);
        assert_eq!(blocks.get(&large).await.unwrap().unwrap(), b"block");
    })
    .await;
}

#[tokio::test]
async fn a_block_that_knows_its_cid_can_be_put() {
    on_each_datastore(|blocks| async move {
        let block = Numbered::Block([0, 1, 2, 3]);
        blocks.put(block).await.unwrap();
        let found = blocks.get(&block.cid().unwrap()).await.unwrap();
        assert_eq!(found.unwrap(), block.data());
    })
    .await;
}

#[tokio::test]
async fn many_blocks_are_put_in_one_call() {
    on_each_datastore(|blocks| async move {
        blocks.put_many(Numbered::first(40)).await.unwrap();
        assert!(has_all(&blocks, Numbered::first(40)).await);
        let other = cid::<4>(&40_u32.to_be_bytes());
        assert!(!blocks.has(&other).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn many_blocks_are_put_under_the_given_cids() {
    on_each_datastore(|blocks| async move {
        let keyed = [b"a", b"b", b"c"].map(|block| (cid::<64>(&[block[0], 1]), block));
        blocks.put_many_keyed(keyed).await.unwrap();
        for (cid, block) in keyed {
            assert_eq!(blocks.get(&cid).await.unwrap().unwrap(), block);
        }
    })
    .await;
}

#[tokio::test]
async fn putting_no_blocks_succeeds() {
    on_each_datastore(|blocks| async move {
        blocks.put_many(Numbered::first(0)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn no_block_is_stored_if_one_of_many_has_no_cid() {
    on_each_datastore(|blocks| async move {
        let unnamed = Numbered::first(20).chain([Numbered::Unnamed]);
        let error = blocks.put_many(unnamed).await.unwrap_err();
        assert!(matches!(error, Error::CidError(_)), "{error}");
        for block in Numbered::first(20) {
            assert!(!blocks.has(&block.cid().unwrap()).await.unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn a_removed_block_is_gone_and_the_others_stay() {
    on_each_datastore(|blocks| async move {
        let (removed, untouched) = (cid::<64>(b"removed"), cid::<64>(b"untouched"));
        blocks.remove(&removed).await.unwrap();
        for cid in [&removed, &untouched] {
            blocks.put_keyed(cid, b"block").await.unwrap();
        }
        for _ in 0..2 {
            blocks.remove(&removed).await.unwrap();
            assert_eq!(blocks.get(&removed).await.unwrap(), None);
        }
        assert_eq!(blocks.get(&untouched).await.unwrap().unwrap(), b"block");
    })
    .await;
}

#[tokio::test]
async fn a_block_that_its_cid_contains_is_always_available() {
    on_each_datastore(|blocks| async move {
        let cid = Cid::new_v1(RAW, Multihash::wrap(IDENTITY, b"inline").unwrap());
        blocks.remove(&cid).await.unwrap();
        assert!(blocks.has(&cid).await.unwrap());
        assert_eq!(blocks.get(&cid).await.unwrap().unwrap(), b"inline");

        blocks.put_keyed(&cid, b"inline").await.unwrap();
        assert!(!blocks.datastore().has(&Key::from_cid(&cid)).await.unwrap());
        let error = blocks.put_keyed(&cid, b"another").await.unwrap_err();
        assert!(matches!(error, Error::CidError(_)), "{error}");
    })
    .await;
}

#[tokio::test]
async fn the_error_of_a_closed_store_says_that_it_is_closed() {
    on_each_datastore(|blocks| async move {
        blocks.clone().close().await.unwrap();
        let error = blocks.get(&cid::<64>(b"any")).await.unwrap_err();
        assert!(matches!(error, Error::FatalDatabaseError(_)), "{error}");
        assert!(error.to_string().ends_with("the datastore is closed"));
    })
    .await;
}

#[tokio::test]
async fn the_empty_dag_pb_node_has_the_same_key_as_in_kubo() {
    let (_home, flatfs, blocks) = on_flatfs().await;
    let cid: Cid = "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
        .parse()
        .unwrap();
    blocks.put_keyed(&cid, b"").await.unwrap();
    let key = Key::new("/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVI");
    assert_eq!(flatfs.get(&key).await.unwrap().unwrap(), "");
}

#[tokio::test]
async fn a_multihash_that_is_too_long_for_a_file_name_is_a_cid_too_large() {
    let (_home, _flatfs, blocks) = on_flatfs().await;
    // The code takes four bytes, the length two.
    let longest = cid::<200>(&[1; 150]);
    blocks.put_keyed(&longest, b"block").await.unwrap();
    assert_eq!(blocks.get(&longest).await.unwrap().unwrap(), b"block");

    let too_long = cid::<200>(&[1; 151]);
    let error = blocks.put_keyed(&too_long, b"block").await.unwrap_err();
    assert!(matches!(error, Error::CidTooLarge), "{error}");
    let error = blocks.put_many_keyed([(too_long, b"block")]).await;
    assert!(matches!(error, Err(Error::CidTooLarge)), "{error:?}");
    assert!(!blocks.has(&too_long).await.unwrap());
}

#[tokio::test]
async fn a_block_under_no_mount_is_not_a_cid_too_large() {
    let elsewhere = Mount::builder().mount("/blocks", Arc::new(MemoryDatastore::new()));
    let blocks = DatastoreBlockstore::new(Arc::new(elsewhere.build().unwrap()));
    let error = blocks.put_keyed(&cid::<64>(b"any"), b"block").await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::FatalDatabaseError(_)), "{error}");
    assert!(
        error.to_string().contains("no datastore is mounted"),
        "{error}"
    );
}

#[tokio::test]
async fn many_blocks_are_stored_as_a_whole_or_not_at_all_wherever_the_future_is_dropped() {
    const COUNT: u32 = 20;
    let mut outcomes = [false; 2];
    for steps in 0.. {
        let (home, flatfs, blocks) = on_flatfs().await;
        let put = blocks.put_many(Numbered::first(COUNT));
        let finished = run_for(steps, put).await.is_some();
        flatfs.close().await.unwrap();
        drop((flatfs, blocks));

        let reopened = options().open(home.store()).await.unwrap();
        let found = contents(&reopened).await.len();
        assert!(found == 0 || found == COUNT as usize, "{found} of {COUNT}");
        outcomes[usize::from(found > 0)] = true;
        if finished {
            break;
        }
    }
    assert_eq!(outcomes, [true; 2]);
}

/// Polls the future up to `polls` times, whenever it is woken, and then drops it.
async fn run_for<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| match left.checked_sub(1) {
        None => Poll::Ready(None),
        Some(fewer) => {
            left = fewer;
            future.as_mut().poll(context).map(Some)
        }
    })
    .await
}

#[cfg(feature = "verify")]
mod verified {
    use ds_flatfs::wrappers::Verifying;

    use super::*;

    #[tokio::test]
    async fn a_block_is_accepted_only_under_its_own_cid() {
        on_each_datastore(|blocks| async move {
            let blocks = blocks.verified();
            let cid = sha2_cid(b"block");
            let error = blocks.put_keyed(&cid, b"damaged").await.unwrap_err();
            assert!(matches!(error, Error::CidError(_)), "{error}");
            assert!(error.to_string().contains(&cid.to_string()), "{error}");
            assert!(!blocks.has(&cid).await.unwrap());

            blocks.put_keyed(&cid, b"block").await.unwrap();
            assert_eq!(blocks.get(&cid).await.unwrap().unwrap(), b"block");
        })
        .await;
    }

    #[tokio::test]
    async fn a_block_with_an_unknown_hash_function_is_rejected() {
        on_each_datastore(|blocks| async move {
            let unknown = cid::<64>(&[1; 32]);
            let verified = blocks.clone().verified();
            let error = verified.put_keyed(&unknown, b"block").await.unwrap_err();
            assert!(matches!(error, Error::CidError(_)), "{error}");
            blocks.put_keyed(&unknown, b"block").await.unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn a_block_that_a_verifying_datastore_cannot_check_is_not_a_cid_too_large() {
        let inner: Arc<dyn Datastore> = Arc::new(MemoryDatastore::new());
        let short = Multihash::wrap(SHA2_256, &[1; 4]).unwrap();
        for cid in [cid::<64>(&[1; 32]), CidGeneric::new_v1(RAW, short)] {
            let key = Key::from_cid(&cid);
            inner.put(&key, "block".into()).await.unwrap();
            let verifying = Verifying::new(Arc::clone(&inner));
            let blocks = DatastoreBlockstore::new(Arc::new(verifying));
            let put = blocks.put_keyed(&cid, b"block").await.unwrap_err();
            let get = blocks.get(&cid).await.unwrap_err();
            for error in [put, get] {
                assert!(matches!(error, Error::FatalDatabaseError(_)), "{error}");
                assert!(error.to_string().contains("cannot be checked"), "{error}");
                assert!(error.to_string().contains(key.as_str()), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn no_block_is_stored_if_one_of_many_is_damaged() {
        on_each_datastore(|blocks| async move {
            let blocks = blocks.verified();
            let (sound, damaged) = (sha2_cid(b"sound"), sha2_cid(b"block"));
            let both = [(sound, &b"sound"[..]), (damaged, b"damaged")];
            let error = blocks.put_many_keyed(both).await.unwrap_err();
            assert!(matches!(error, Error::CidError(_)), "{error}");
            assert!(!blocks.has(&sound).await.unwrap());
        })
        .await;
    }
}
