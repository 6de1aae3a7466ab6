//! Findings as text and as JSON.

use std::fs;

use ds_flatfs::Key;
use ds_flatfs::maintenance::Verify;

use super::{all, store_of};
use crate::support::{Home, options, random_bytes};

#[tokio::test]
async fn a_finding_can_be_printed_and_serialized() {
    let (home, blocks) = store_of(1).await;
    let (key, _) = &blocks[0];
    fs::write(home.block(key), b"").unwrap();
    let mut findings = Verify::new(home.store()).start().await.unwrap();
    let finding = all(&mut findings).await.remove(0);
    let (path, cid) = (home.block(key), key.to_cid().unwrap());
    let detail = "it is empty, and its key is not the hash of nothing";
    assert_eq!(
        finding.to_string(),
        format!("empty: {}: {detail} (CID {cid})", path.display())
    );
    let json = serde_json::to_value(&finding).unwrap();
    assert_eq!(json["finding"], "empty");
    assert_eq!(json["wrong"], true);
    assert_eq!(json["path"], home.block(key).to_str().unwrap());
    assert_eq!(json["key"], key.as_str());
    assert_eq!(json["cid"], cid.to_string());
    assert_eq!(json["detail"], detail);
    assert_eq!(json["done"], serde_json::Value::Null);
    let summary = serde_json::to_value(findings.summary()).unwrap();
    assert_eq!(summary["findings"]["empty"], 1);
}

#[tokio::test]
async fn a_finding_without_a_hash_has_no_cid() {
    let home = Home::with_closed_store().await;
    let store = options().open(home.store()).await.unwrap();
    store
        .put(&Key::new("NAME"), random_bytes(1, 10))
        .await
        .unwrap();
    store.close().await.unwrap();
    fs::write(home.in_store("note.txt"), "mine").unwrap();
    let mut findings = Verify::new(home.store()).start().await.unwrap();
    let findings = all(&mut findings).await;
    assert_eq!(findings.len(), 2);
    for finding in findings {
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!(json["cid"], serde_json::Value::Null);
        assert!(!finding.to_string().contains("CID"), "{finding}");
    }
}

#[tokio::test]
async fn a_finding_about_the_shard_function_names_its_file_once_and_gives_advice() {
    let too_long = "x".repeat(5000);
    for (sharding, why) in [
        (None, "there is no SHARDING"),
        (
            Some("garbage"),
            "\"garbage\" does not name a shard function",
        ),
        (Some(&too_long), "its SHARDING is too long"),
    ] {
        let (home, _) = store_of(1).await;
        let path = home.in_store("SHARDING");
        match sharding {
            Some(contents) => fs::write(&path, contents).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let mut findings = Verify::new(home.store()).start().await.unwrap();
        let line = all(&mut findings).await.remove(0).to_string();
        let beginning = format!("sharding: {}: {why}", path.display());
        assert!(line.starts_with(&beginning), "{line}");
        let root = home.store();
        assert_eq!(line.matches(root.to_str().unwrap()).count(), 1, "{line}");
        assert!(line.contains("write the one that the store had"), "{line}");
    }
}

#[tokio::test]
async fn a_finding_about_an_interrupted_resharding_has_the_command_that_completes_it() {
    let (home, _) = store_of(1).await;
    let (path, root) = (home.in_store("SHARDING"), home.store());
    let under_way = "/repo/flatfs/shard/resharding/1 from next-to-last/2 to prefix/3; x\n";
    fs::write(&path, under_way).unwrap();
    let mut findings = Verify::new(&root).start().await.unwrap();
    let line = all(&mut findings).await.remove(0).to_string();
    let beginning = format!("sharding: {}: it is being re-sharded", path.display());
    assert!(line.starts_with(&beginning), "{line}");
    let command = format!("`flatfs reshard {} prefix/3`", root.display());
    assert!(line.ends_with(&command), "{line}");
}
