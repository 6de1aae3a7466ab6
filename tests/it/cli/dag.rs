//! `dag`.

use cid::Cid;
use ipld_core::ipld::Ipld;
use serde_json::Value;

use super::cars::raw;
use super::{TestDir, files, run, succeed};

const SMALL_ROOT: &str = "bafybeigsun6zhi4vrpryig6tfhvrb2ykn5dqg4q5fkm7rjgfyv6uc67xia";

#[test]
fn a_complete_dag_is_reported_with_its_size() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let done = succeed(&["dag", &store, SMALL_ROOT]);
    let lines = done.lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("complete, 51 blocks"), "{lines:?}");
    let done = succeed(&["dag", "--json", &store, SMALL_ROOT, SMALL_ROOT]);
    for line in done.lines() {
        let dag: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&dag["complete"], &dag["blocks"]),
            (&true.into(), &51.into())
        );
        assert_eq!((&dag["unique"], &dag["shared"]), (&0.into(), &51.into()));
    }
}

#[test]
fn a_missing_block_is_reported_with_the_path_to_it_and_makes_the_status_1() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let dag: Value =
        serde_json::from_str(succeed(&["dag", "--json", &store, SMALL_ROOT]).lines()[0]).unwrap();
    let blocks = succeed(&["ls", "--cids", &store]);
    let root: cid::Cid = SMALL_ROOT.parse().unwrap();
    let leaf = blocks.lines().into_iter().find(|cid| {
        let cid: cid::Cid = cid.parse().unwrap();
        cid.hash() != root.hash()
    });
    let missing = leaf.unwrap().to_owned();
    succeed(&["rm", &store, &missing]);
    let done = run(&["dag", &store, SMALL_ROOT]);
    assert_eq!((done.code, done.stderr.as_str()), (1, ""));
    let text = done.text();
    assert!(text.contains("1 block is missing"), "{text}");
    assert!(text.contains(&format!("path: {SMALL_ROOT}")), "{text}");
    assert!(dag["bad"].as_array().unwrap().is_empty());
}

#[test]
fn a_damaged_leaf_is_found_by_its_hash() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    let path = files(&store).into_keys().next().unwrap();
    std::fs::write(path, b"hello fl4tfs\n").unwrap();
    let cid = raw(b"hello flatfs\n").to_string();
    succeed(&["dag", &store, &cid]);
    let done = run(&["dag", "--hash", &store, &cid]);
    assert_eq!(done.code, 1);
    assert!(done.text().contains("damaged"), "{done:?}");
    run(&["dag", &store]).failed(2, &["ROOT"]);
}

#[test]
fn an_unreadable_block_is_not_called_missing_or_damaged() {
    let tmp = TestDir::new();
    let block = |links: Vec<Ipld>| serde_ipld_dagcbor::to_vec(&links).unwrap();
    let put = |block: &[u8]| {
        succeed(&["put", &tmp.store(), &tmp.file("block", block)]);
        Cid::new_v1(0x71, *raw(block).hash())
    };
    let undecodable = put(b"\xff");
    let unreadable = put(&block(vec![]));
    let mut files = files(&tmp.store()).into_iter();
    let path = files.find_map(|(path, found)| (found == block(vec![])).then_some(path));
    let path = path.unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let links = [undecodable, unreadable, raw(b"missing")].map(Ipld::Link);
    let root = put(&block(links.into())).to_string();
    let done = run(&["dag", &tmp.store(), &root]);
    assert_eq!((done.code, done.stderr.as_str()), (1, ""));
    let text = done.text();
    let verdict = "1 block is missing or damaged, 2 blocks are unreadable";
    assert!(text.contains(verdict), "{text}");
    let done = run(&["dag", "--json", &tmp.store(), &root]);
    let dag: Value = serde_json::from_str(done.lines()[0]).unwrap();
    assert_eq!(
        (&dag["bad_count"], &dag["unreadable"]),
        (&3.into(), &2.into())
    );
}
