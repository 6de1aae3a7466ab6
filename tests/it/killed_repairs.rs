//! Repairs that are killed lose nothing, and the next repair completes the work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ds_flatfs::cid::Cid;
use ds_flatfs::maintenance::Repair;
use ds_flatfs::{Key, Shard};
use futures::{StreamExt, stream};

use crate::child::{self, Child};
use crate::platform::repetitions;
use crate::support::{Home, block_path, blocks, fill, names};
use crate::verify::{Found, verify};

const BLOCKS: usize = 120;
const KILLS: u32 = repetitions(30);

/// Returns the names and contents of all files in a directory.
fn files_in(dir: &Path) -> BTreeSet<(String, Vec<u8>)> {
    let mut found = BTreeSet::new();
    for name in names(dir) {
        let path = dir.join(&name);
        if path.is_dir() {
            found.extend(files_in(&path));
        } else if name.ends_with(".data") {
            found.insert((name, fs::read(path).unwrap()));
        }
    }
    found
}

/// Returns a store in which a third of the blocks is damaged and another third misplaced.
async fn damaged_store() -> (Home, BTreeMap<Key, Bytes>) {
    let (home, store) = Home::with_store("next-to-last/2").await;
    let blocks = blocks(BLOCKS);
    fill(&store, &blocks).await;
    store.close().await.unwrap();
    for (index, key) in blocks.keys().enumerate() {
        let path = home.block(key);
        match index % 3 {
            0 => fs::write(&path, format!("damaged {index}")).unwrap(),
            1 => fs::rename(&path, home.in_store(path.file_name().unwrap())).unwrap(),
            _ => {}
        }
    }
    (home, blocks)
}

#[tokio::test]
async fn a_killed_repair_loses_nothing_and_the_next_one_completes_it() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut interrupted = 0;
    for _ in 0..KILLS {
        let (home, blocks) = damaged_store().await;
        let before = files_in(&home.store());
        let path = home.store().display().to_string();
        let mut child = Child::start("killed_repairs::child", &[&path]);
        // Kill the process at any moment between the open and the last copy.
        for _ in 0..random.usize(..BLOCKS) {
            child.next_line();
        }
        thread::sleep(Duration::from_millis(3).mul_f64(random.f64()));
        let said = child.kill();
        interrupted += u32::from(!said.iter().any(|line| line == "done"));
        let after = files_in(&home.store());
        let gone: Vec<_> = before.difference(&after).collect();
        assert!(gone.is_empty(), "{gone:?}");

        repair(&home.store(), || ()).await;
        assert_eq!(verify(&home.store()).await, Found::new());
        for (key, value) in &blocks {
            let file = home.in_store(block_path(Shard::default(), key));
            assert_eq!(fs::read(file).unwrap(), *value);
        }
        let after = files_in(&home.store());
        assert_eq!(before.difference(&after).count(), 0);
        // Each good block is found once, in addition to those in the quarantine.
        assert_eq!(after.len(), BLOCKS + BLOCKS.div_ceil(3));
    }
    eprintln!("{KILLS} kills, {interrupted} of them before the repair was done");
    assert!(interrupted > 0, "no kill happened during a repair");
}

/// Repairs a store of [`blocks`] from good copies, and calls `report` for each finding.
async fn repair(store: &Path, report: impl Fn()) {
    let copies = blocks(BLOCKS).into_iter().map(|(key, value)| {
        let cid = Cid::new_v1(0x55, key.to_multihash().unwrap());
        Ok((cid, value))
    });
    let repair = Repair::new(store).copies(stream::iter(copies.collect::<Vec<_>>()));
    let mut findings = repair.start().await.unwrap();
    while let Some(finding) = findings.next().await {
        finding.unwrap();
        report();
    }
    assert_eq!(findings.summary().wrong, 0);
}

#[test]
#[ignore = "a process that the test above kills"]
fn child() {
    child::run(async |arguments| {
        repair(Path::new(&arguments[0]), || child::send("finding")).await;
        child::send("done");
        // Wait until the process is killed.
        child::receive();
    });
}
