//! Copies from which a repair restores blocks.

use std::collections::BTreeMap;
use std::fs;

use bytes::Bytes;
use data_encoding::BASE32_NOPAD;
use ds_flatfs::cid::Cid;
use ds_flatfs::maintenance::Repair;
use ds_flatfs::{Error, Key};
use futures::{StreamExt, stream};

use super::{cid_of, read, repair_from};
use crate::support::{Home, key_of, options};
use crate::verify::store_of;

#[tokio::test]
async fn copies_restore_only_damaged_and_missing_blocks() {
    let (home, blocks) = store_of(10).await;
    let [damaged, missing, bad, good] = [0, 1, 2, 3].map(|index| blocks[index].clone());
    fs::write(home.block(&damaged.0), b"damaged").unwrap();
    fs::remove_file(home.block(&missing.0)).unwrap();
    fs::write(home.block(&bad.0), b"").unwrap();
    let inline = cid_of(&Key::new(BASE32_NOPAD.encode(b"\0\x06inline")));
    let copies = vec![
        Ok((cid_of(&damaged.0), damaged.1.clone())),
        Ok((cid_of(&missing.0), missing.1.clone())),
        Ok((cid_of(&bad.0), Bytes::from("no good copy"))),
        Ok((cid_of(&good.0), good.1.clone())),
        Ok((inline, Bytes::from("inline"))),
    ];
    let findings = repair_from(&home.store(), copies).await;
    let mut expected: BTreeMap<Key, Bytes> = blocks.into_iter().collect();
    expected.remove(&bad.0);
    assert_eq!(read(&home.store()).await, expected);
    let of = |key: &Key| -> Vec<&str> {
        let of = findings.iter().filter(|it| it.key.as_ref() == Some(key));
        of.map(|it| it.problem.name()).collect()
    };
    assert_eq!(of(&damaged.0), ["corrupt", "missing"]);
    assert_eq!(of(&missing.0), ["missing"]);
    assert_eq!(of(&bad.0), ["empty", "bad-copy", "lost"]);
    assert_eq!(of(&good.0), [""; 0]);
    let wrong = findings.iter().filter(|finding| finding.is_wrong());
    assert_eq!(wrong.count(), 1, "exactly one block is lost");

    // A later copy restores the lost block.
    let findings = repair_from(&home.store(), vec![Ok((cid_of(&bad.0), bad.1.clone()))]).await;
    assert_eq!(findings.iter().filter(|it| it.is_wrong()).count(), 0);
    expected.extend([bad]);
    assert_eq!(read(&home.store()).await, expected);
}

#[tokio::test]
async fn a_block_whose_key_is_a_whole_cid_is_restored_under_that_key() {
    let home = Home::with_closed_store().await;
    let cid = Cid::new_v1(0x70, key_of(b"block").to_multihash().unwrap());
    let key = Key::from_cid_bytes(&cid);
    let store = options().open(home.store()).await.unwrap();
    store.put(&key, Bytes::from("damaged")).await.unwrap();
    store.close().await.unwrap();
    let copy = || vec![Ok((cid, Bytes::from("block")))];
    for _ in 0..2 {
        repair_from(&home.store(), copy()).await;
        let found = read(&home.store()).await;
        assert_eq!(found[&key], "block");
        assert!(!found.contains_key(&Key::from_cid(&cid)));
    }
}

#[tokio::test]
async fn an_error_in_the_copies_ends_the_repair_after_the_earlier_copies_are_restored() {
    let (home, blocks) = store_of(2).await;
    let (key, value) = &blocks[0];
    fs::write(home.block(key), b"damaged").unwrap();
    let copies = vec![
        Ok((cid_of(key), value.clone())),
        Err(Error::Backend {
            message: "the backup is cut short".to_owned(),
            source: None,
        }),
    ];
    let repair = Repair::new(home.store()).copies(stream::iter(copies));
    let found: Vec<_> = repair.start().await.unwrap().collect().await;
    assert!(matches!(found.last(), Some(Err(Error::Backend { .. }))));
    assert_eq!(fs::read(home.block(key)).unwrap(), *value);
    let reopened = options().open(home.store()).await;
    reopened
        .expect("the repair must have closed the store")
        .close()
        .await
        .unwrap();
}
