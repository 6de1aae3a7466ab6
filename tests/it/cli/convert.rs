//! `upgrade`, `downgrade` and `du`

use std::fs;

use serde_json::Value;

use super::terminal::run_in_terminal;
use super::{Room, files, keys, program, run, succeed};

/// A store of `prefix/5` with a few blocks.
fn store(room: &Room) -> String {
    succeed(&["create", &room.store(), "prefix/5"]);
    for text in ["one", "two", "three"] {
        let file = room.file(text, text.as_bytes());
        succeed(&["put", &room.store(), &file]);
    }
    room.store()
}

#[test]
fn a_downgraded_store_is_upgraded_again() {
    let room = Room::new();
    let store = store(&room);
    let (blocks, names) = (files(&store), keys(&store));
    let done = succeed(&["downgrade", &store]);
    assert!(done.text().contains("version 0"), "{done:?}");
    run(&["ls", &store]).failed(1, &["no SHARDING", &store]);
    let done = succeed(&["upgrade", &store, "5"]);
    assert!(done.text().contains("prefix/5"), "{done:?}");
    assert_eq!((files(&store), keys(&store)), (blocks, names));
}

#[test]
fn what_can_not_be_converted_is_one_line_that_says_why() {
    let room = Room::new();
    let store = store(&room);
    run(&["upgrade", &store, "5"]).failed(1, &["already", &store]);
    run(&["upgrade", &store, "4"]).failed(1, &["prefix/5", "prefix/4"]);
    for wrong in ["x", "0", "256"] {
        let named = format!("'{wrong}'");
        run(&["upgrade", &store, wrong]).failed(2, &["PREFIXLEN", &named, "between 1 and 255"]);
    }
    succeed(&["downgrade", &store]);
    run(&["upgrade", &store, "4"]).failed(1, &["prefix/4", &store]);
    run(&["downgrade", &store]).failed(1, &["no SHARDING", &store]);
    run(&["downgrade", &room.kubo_store()]).failed(1, &["next-to-last/2"]);
    run(&["du", &room.path("missing")]).failed(1, &["missing"]);
}

#[test]
fn du_counts_what_really_is_there_and_writes_it_down() {
    let room = Room::new();
    let store = store(&room);
    let usage = |command: &str| {
        let json = succeed(&[command, "--json", &store]).stdout;
        serde_json::from_slice::<Value>(&json).expect("JSON")
    };
    let before = usage("du");
    let (block, _) = files(&store).pop_first().expect("a block");
    fs::write(block.with_file_name("CIQADDED.data"), "by another program").expect("written");
    let after = usage("du");
    let added = after["bytes"].as_u64().zip(before["bytes"].as_u64());
    assert_eq!(added.map(|(after, before)| after - before), Some(18));
    assert_eq!(after["accuracy"], "initial-exact");
    assert_eq!(after["path"], store.as_str());
    assert_eq!(usage("stat")["disk_usage"]["bytes"], after["bytes"]);
    let text = succeed(&["du", &store]);
    assert!(text.text().contains("disk usage"), "{text:?}");
}

#[test]
fn du_draws_a_bar_in_a_terminal_and_leaves_nothing_of_it() {
    let room = Room::new();
    let store = store(&room);
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
