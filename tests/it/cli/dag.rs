//! `dag`.

use serde_json::Value;

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
    let cid = super::cars::raw(b"hello flatfs\n").to_string();
    succeed(&["dag", &store, &cid]);
    let done = run(&["dag", "--hash", &store, &cid]);
    assert_eq!(done.code, 1);
    assert!(done.text().contains("damaged"), "{done:?}");
    run(&["dag", &store]).failed(2, &["ROOT"]);
}
