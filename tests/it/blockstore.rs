//! The adapter for the trait `Blockstore`: what the trait's own stores do, on each datastore.

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
/// A code for own use: nobody computes such a hash, so any digest goes with any block.
const PRIVATE: u64 = 0x30_0000;

/// A CID of whatever size, whose digest says nothing about the block.
fn cid<const S: usize>(digest: &[u8]) -> CidGeneric<S> {
    CidGeneric::new_v1(RAW, Multihash::wrap(PRIVATE, digest).unwrap())
}

fn sha2_cid(block: &[u8]) -> Cid {
    Cid::new_v1(
        RAW,
        Multihash::wrap(SHA2_256, &Sha256::digest(block)).unwrap(),
    )
}

/// A block that knows its CID, or is none that has one.
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

/// Runs a test over each datastore, spawned as a node does it: the futures have to be `Send`.
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

/// A store, and the blocks in it.
async fn on_flatfs() -> (Home, FlatFs, DatastoreBlockstore<FlatFs>) {
    let (home, flatfs) = Home::with_store("next-to-last/2").await;
    let blocks = DatastoreBlockstore::new(Arc::new(flatfs.clone()));
    (home, flatfs, blocks)
}

#[tokio::test]
async fn a_block_that_was_put_is_there_and_another_is_not() {
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
async fn an_empty_block_is_there() {
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
async fn many_blocks_are_put_at_once() {
    on_each_datastore(|blocks| async move {
        blocks.put_many(Numbered::first(40)).await.unwrap();
        assert!(has_all(&blocks, Numbered::first(40)).await);
        let other = cid::<4>(&40_u32.to_be_bytes());
        assert!(!blocks.has(&other).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn many_blocks_are_put_at_once_under_the_cids_that_are_given() {
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
async fn no_blocks_at_once_are_fine() {
    on_each_datastore(|blocks| async move {
        blocks.put_many(Numbered::first(0)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn of_many_blocks_none_is_stored_if_one_can_not_be() {
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
async fn a_removed_block_is_gone_and_others_stay() {
    on_each_datastore(|blocks| async move {
        let (removed, kept) = (cid::<64>(b"removed"), cid::<64>(b"kept"));
        blocks.remove(&removed).await.unwrap();
        for cid in [&removed, &kept] {
            blocks.put_keyed(cid, b"block").await.unwrap();
        }
        for _ in 0..2 {
            blocks.remove(&removed).await.unwrap();
            assert_eq!(blocks.get(&removed).await.unwrap(), None);
        }
        assert_eq!(blocks.get(&kept).await.unwrap().unwrap(), b"block");
    })
    .await;
}

#[tokio::test]
async fn a_block_that_its_cid_carries_is_always_there() {
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
async fn a_closed_store_says_so_in_the_text_of_the_error() {
    on_each_datastore(|blocks| async move {
        blocks.clone().close().await.unwrap();
        let error = blocks.get(&cid::<64>(b"any")).await.unwrap_err();
        assert!(matches!(error, Error::FatalDatabaseError(_)), "{error}");
        assert!(error.to_string().ends_with("the datastore is closed"));
    })
    .await;
}

#[tokio::test]
async fn the_empty_dag_pb_node_stands_where_kubo_has_it() {
    let (_home, flatfs, blocks) = on_flatfs().await;
    let cid: Cid = "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
        .parse()
        .unwrap();
    blocks.put_keyed(&cid, b"").await.unwrap();
    let key = Key::new("/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVI");
    assert_eq!(flatfs.get(&key).await.unwrap().unwrap(), "");
}

#[tokio::test]
async fn a_multihash_too_long_for_a_file_name_is_a_cid_too_large() {
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
async fn a_block_for_which_nothing_is_mounted_is_no_cid_too_large() {
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
async fn many_blocks_are_there_as_a_whole_or_not_at_all_wherever_the_future_is_dropped() {
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

/// Polls the future so many times, whenever it asks for it, and then drops it.
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
    async fn a_block_is_taken_under_its_own_cid_only() {
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
    async fn a_block_whose_hash_is_not_known_is_not_taken() {
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
    async fn a_block_that_a_verifying_datastore_can_not_check_is_no_cid_too_large() {
        let below: Arc<dyn Datastore> = Arc::new(MemoryDatastore::new());
        let short = Multihash::wrap(SHA2_256, &[1; 4]).unwrap();
        for cid in [cid::<64>(&[1; 32]), CidGeneric::new_v1(RAW, short)] {
            let key = Key::from_cid(&cid);
            below.put(&key, "block".into()).await.unwrap();
            let verifying = Verifying::new(Arc::clone(&below));
            let blocks = DatastoreBlockstore::new(Arc::new(verifying));
            let put = blocks.put_keyed(&cid, b"block").await.unwrap_err();
            let get = blocks.get(&cid).await.unwrap_err();
            for error in [put, get] {
                assert!(matches!(error, Error::FatalDatabaseError(_)), "{error}");
                assert!(error.to_string().contains("can't be checked"), "{error}");
                assert!(error.to_string().contains(key.as_str()), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn of_many_blocks_none_is_stored_if_one_is_damaged() {
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
