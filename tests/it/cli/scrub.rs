//! `verify` of one subset of the blocks at a time.

use std::fs;

use serde_json::Value;

#[cfg(feature = "object-store")]
use super::fixture;
use super::{Finished, TestDir, files, program, run, succeed};
use crate::platform::{as_other_user, set_mode};

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

#[test]
fn a_second_run_with_the_same_state_is_refused_until_the_first_one_ends() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let state = tmp.path("scrub.json");
    let args = ["verify", "--subset", "1/4", "--state", &state, &store];
    succeed(&args);
    let lock = fs::File::open(format!("{state}.lock")).unwrap();
    lock.lock().unwrap();
    let before = fs::read(&state).unwrap();
    let refused = run(&args);
    refused.failed(3, &["another run", &state]);
    assert_eq!(refused.text(), "");
    assert_eq!(fs::read(&state).unwrap(), before);
    drop(lock);
    assert!(succeed(&args).text().starts_with("subset 2/4"));
}

#[test]
fn a_state_that_counts_subsets_that_do_not_exist_is_refused() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let state = tmp.path("scrub.json");
    let args = ["verify", "--subset", "1/4", "--state", &state, &store];
    succeed(&args);
    let saved: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    for (field, value) in [
        ("checked", u64::from(u32::MAX)),
        ("checked", 4),
        ("next", 0),
        ("next", 5),
        ("subsets", 0),
    ] {
        let mut changed = saved.clone();
        changed[field] = value.into();
        tmp.file("scrub.json", changed.to_string().as_bytes());
        let refused = run(&args);
        refused.failed(3, &[&state, "remove it"]);
        assert_eq!(refused.text(), "");
    }
}

#[test]
#[cfg_attr(windows, ignore = "files on Windows have no mode")]
fn a_subset_that_could_not_be_read_ends_the_round_without_a_check_of_the_whole() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let state = tmp.path("scrub.json");
    let args = ["verify", "--subset", "1/1", "--state", &state, &store];
    succeed(&args);
    let whole = || {
        let state: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
        state["whole"].clone()
    };
    let before = whole();
    for path in [&tmp.path(""), &store, &state, &format!("{state}.lock")] {
        set_mode(path.as_ref(), 0o777);
    }
    for file in files(&store).into_keys() {
        set_mode(&file, 0o644);
        set_mode(file.parent().unwrap(), 0o755);
    }
    let (block, _) = files(&store).into_iter().next().unwrap();
    for path in [&*block, block.parent().unwrap()] {
        set_mode(path, 0o000);
        // Permissions do not apply to root.
        let mut command = program(&args);
        let output = match as_other_user(&mut command).output() {
            Ok(output) => output,
            Err(_) if fs::File::open(path).is_err() => program(&args).output().unwrap(),
            Err(error) => return eprintln!("skipped: no process of another user: {error}"),
        };
        let done = Finished::of(output);
        set_mode(path, 0o755);
        assert!(done.text().starts_with("unreadable: "), "{done:?}");
        done.failed(1, &["a new round begins"]);
        assert_eq!(whole(), before);
    }
}

#[cfg(feature = "object-store")]
#[test]
fn subsets_of_an_object_store_are_checked_one_after_the_other() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    fs::create_dir(tmp.path("bucket")).unwrap();
    let url = format!("file://{}", tmp.path("bucket"));
    succeed(&["import", &url, &fixture("small.car")]);
    let state = tmp.path("scrub.json");
    let count = |args: &[&str]| {
        let args = [&["verify", "--json", "--subset"], args].concat();
        let line = succeed(&args);
        let line: Value = serde_json::from_str(line.lines()[0]).unwrap();
        line["summary"]["blocks"].as_u64().unwrap()
    };
    let counts: Vec<u64> = (0..3)
        .map(|_| count(&["1/3", "--state", &state, &url]))
        .collect();
    let expected: Vec<u64> = ["1/3", "2/3", "3/3"]
        .map(|subset| count(&[subset, &store]))
        .to_vec();
    assert_eq!(counts, expected);
    assert_eq!(counts.iter().sum::<u64>(), 51);
    let other = run(&["verify", "--subset", "1/3", "--state", &state, &store]);
    other.failed(3, &[&state, "is the state of file:"]);
}
