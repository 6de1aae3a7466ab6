//! `verify` of one subset of the blocks at a time.

use std::fs;

use serde_json::Value;

use super::{TestDir, run, succeed};

#[test]
fn subsets_of_a_store_are_checked_one_after_the_other() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let state = tmp.path("scrub.json");
    let blocks = |args: &[&str]| {
        let done = succeed(&[&["verify", "--json", &store], args].concat());
        let line: Value = serde_json::from_str(done.lines()[0]).unwrap();
        let count = line["summary"]["blocks"].as_u64().unwrap();
        (line["subset"].as_str().unwrap().to_owned(), count)
    };
    let args = ["--subset", "1/4", "--state", &state, "--limit-rate", "1GB"];
    let rounds: Vec<_> = (0..5).map(|_| blocks(&args)).collect();
    let names: Vec<&str> = rounds.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["1/4", "2/4", "3/4", "4/4", "1/4"]);
    assert_eq!(rounds[..4].iter().map(|(_, count)| count).sum::<u64>(), 51);
    assert_eq!(rounds[4], rounds[0], "the same subset has the same blocks");
    assert_eq!(blocks(&["--subset", "2/4"]), rounds[1]);
    let saved: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    assert!(saved["whole"]["ended"].is_u64(), "{saved}");
    assert_eq!(saved["next"], 2);
    tmp.file("scrub.json", b"not a state");
    run(&[&["verify", &store], &args[..]].concat())
        .failed(3, &[&state, "not a state", "remove it"]);
    run(&["verify", "--subset", "5/4", &store]).failed(2, &["5/4", "2.5%"]);
    run(&["verify", "--state", &state, &store]).failed(2, &["--subset"]);
}

#[test]
fn a_subset_is_not_noted_as_checked_if_the_check_fails() {
    let tmp = TestDir::new();
    let state = tmp.path("scrub.json");
    let missing = tmp.path("missing");
    let args = ["verify", "--subset", "1/4", "--state", &state, &missing];
    assert_eq!(run(&args).code, 3);
    assert!(!fs::exists(&state).unwrap());
}

#[test]
fn the_state_of_another_store_is_refused() {
    let tmp = TestDir::new();
    let (one, other) = (tmp.store_of("small.car"), tmp.path("other"));
    succeed(&["create", &other]);
    let state = tmp.path("scrub.json");
    let verify = |store: &str| run(&["verify", "--subset", "1/4", "--state", &state, store]);
    assert_eq!(verify(&one).code, 0);
    let refused = verify(&other);
    refused.failed(3, &[&state, &one, &other]);
    assert!(!refused.stderr.contains(r"\\?\"), "{refused:?}");
    // The same store by another path.
    assert_eq!(verify(&format!("{one}/../store")).code, 0);
}

#[test]
fn a_state_that_cannot_be_saved_is_reported_before_the_check() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let state = tmp.path("missing/scrub.json");
    let done = run(&["verify", "--subset", "1/4", "--state", &state, &store]);
    done.failed(3, &[&state]);
    assert_eq!(done.text(), "");
}
