//! `upgrade`, `downgrade` and `du`.

use std::fs;

use serde_json::Value;

use super::terminal::run_in_terminal;
use super::{TestDir, files, keys, program, run, succeed};

/// Creates a store of `prefix/5` with three blocks.
fn store(tmp: &TestDir) -> String {
    succeed(&["create", &tmp.store(), "prefix/5"]);
    for text in ["one", "two", "three"] {
        let file = tmp.file(text, text.as_bytes());
        succeed(&["put", &tmp.store(), &file]);
    }
    tmp.store()
}

#[test]
fn a_downgraded_store_can_be_upgraded_again() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    let (blocks, names) = (files(&store), keys(&store));
    let done = succeed(&["downgrade", &store]);
    assert!(done.text().contains("version 0"), "{done:?}");
    run(&["ls", &store]).failed(3, &["no SHARDING", &store]);
    let done = succeed(&["upgrade", &store, "5"]);
    assert!(done.text().contains("prefix/5"), "{done:?}");
    assert_eq!((files(&store), keys(&store)), (blocks, names));
}

#[test]
fn a_refused_conversion_is_one_line_that_says_why() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    run(&["upgrade", &store, "5"]).failed(3, &["already", &store]);
    run(&["upgrade", &store, "4"]).failed(3, &["prefix/5", "prefix/4"]);
    for wrong in ["x", "0", "256"] {
        let named = format!("'{wrong}'");
        run(&["upgrade", &store, wrong]).failed(2, &["PREFIXLEN", &named, "between 1 and 255"]);
    }
    succeed(&["downgrade", &store]);
    run(&["upgrade", &store, "4"]).failed(3, &["prefix/4", &store]);
    run(&["downgrade", &store]).failed(3, &["no SHARDING", &store]);
    run(&["downgrade", &tmp.kubo_store()]).failed(3, &["next-to-last/2"]);
    run(&["du", &tmp.path("missing")]).failed(3, &["missing"]);
}

#[test]
fn du_counts_the_files_on_disk_and_stores_the_sum() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    let usage = |command: &[&str]| {
        let json = succeed(&[command, &["--json", &store]].concat()).stdout;
        serde_json::from_slice::<Value>(&json).expect("JSON")
    };
    let before = usage(&["du", "--write"]);
    let (block, _) = files(&store).pop_first().expect("a block");
    fs::write(block.with_file_name("CIQADDED.data"), "by another program").expect("written");
    let after = usage(&["du", "--write"]);
    let added = after["bytes"].as_u64().zip(before["bytes"].as_u64());
    assert_eq!(added.map(|(after, before)| after - before), Some(18));
    assert_eq!(after["saved"]["accuracy"], "initial-exact");
    assert_eq!(after["saved"]["bytes"], after["bytes"]);
    assert_eq!(after["path"], store.as_str());
    assert_eq!(usage(&["stat"])["disk_usage"]["bytes"], after["bytes"]);
    let text = succeed(&["du", &store]);
    assert!(text.text().contains("disk usage"), "{text:?}");
}

#[test]
fn du_counts_beside_a_writer_and_changes_nothing_unless_it_is_to_write() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    succeed(&["du", "--write", &store]);
    let right = succeed(&["du", &store]);
    assert_eq!(right.lines().len(), 1, "{right:?}");
    let cache = std::path::Path::new(&store).join("diskUsage.cache");
    let wrong = "{\"diskUsage\":1234,\"accuracy\":\"initial-exact\"}\n";
    fs::write(&cache, wrong).expect("written");
    let lock = fs::File::open(cache.with_file_name(".lock")).expect("the lock");
    lock.lock().expect("locked");

    let counted = succeed(&["du", &store]);
    assert_eq!(counted.lines().len(), 2, "{counted:?}");
    let sum = |line: &str| line.split(", ").next().map(str::to_owned);
    assert_eq!(sum(counted.text()), sum(right.text()));
    for part in ["1,234", "initial-exact", "'flatfs du --write'"] {
        assert!(counted.lines()[1].contains(part), "{part} in {counted:?}");
    }
    let json: Value = serde_json::from_slice(&succeed(&["du", "--json", &store]).stdout).unwrap();
    assert_eq!(json["saved"]["bytes"], 1234);
    run(&["du", "--write", &store]).failed(3, &["locked"]);
    assert_eq!(fs::read_to_string(&cache).expect("read"), wrong);
    drop(lock);
    succeed(&["du", "--write", &store]);
    assert_eq!(succeed(&["du", &store]).lines().len(), 1);
}

#[test]
#[cfg_attr(windows, ignore = "a test cannot be the other side of a console")]
fn du_draws_a_bar_in_a_terminal_and_erases_it() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    for columns in [120, 30] {
        let seen = run_in_terminal(program(&["du", &store]), columns);
        assert_eq!(seen.code, 0, "{seen:?}");
        assert!(seen.text.contains("blocks"), "{seen:?}");
        let left = seen.text.rsplit(['\r', '\x1b']).next();
        assert!(
            left.is_some_and(|left| !left.contains("blocks")),
            "{seen:?}"
        );
    }
    let seen = run_in_terminal(program(&["-q", "du", &store]), 120);
    assert_eq!(seen.text, "", "{seen:?}");
}
