//! Stores whose location is a URL, on a file system that is used as an object store.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::{TestDir, fixture, keys, program, run, run_with_input, succeed};

/// Returns a directory and its URL.
fn bucket(tmp: &TestDir) -> (String, String) {
    let dir = tmp.path("bucket");
    fs::create_dir_all(&dir).expect("made");
    (dir.clone(), format!("file://{dir}"))
}

/// The number of complete objects.
fn objects(dir: &str) -> usize {
    let names = fs::read_dir(dir).expect("a directory");
    let names = names.map(|entry| entry.expect("an entry").file_name());
    names
        .filter(|name| !name.to_string_lossy().contains('#'))
        .count()
}

#[test]
fn every_command_for_blocks_works_on_a_url() {
    let tmp = TestDir::new();
    let (dir, url) = bucket(&tmp);
    let done = succeed(&["import", &url, &fixture("small.car")]);
    assert!(done.text().contains(", 51 new, "), "{done:?}");
    let again = succeed(&["import", &url, &fixture("small.car")]);
    assert!(again.text().contains(", 0 new, "), "{again:?}");
    let store = tmp.store_of("small.car");
    assert_eq!(keys(&url), keys(&store));
    assert_eq!(objects(&dir), 51);

    let stat = succeed(&["stat", "--json", &url]);
    let stat: Value = serde_json::from_slice(&stat.stdout).expect("JSON");
    assert_eq!(
        (&stat["blocks"], &stat["path"]),
        (&51.into(), &url.clone().into())
    );
    assert!(stat["shard"].is_null() && stat["shards"].is_null());
    assert_eq!(stat["disk_usage"]["bytes"], stat["bytes"]);
    assert!(
        succeed(&["stat", &url])
            .text()
            .contains("shard       none\n")
    );

    let cid = run_with_input(&["put", &url, "-"], b"hello");
    let cid = cid.lines()[0];
    succeed(&["has", &url, cid]);
    assert_eq!(succeed(&["get", &url, cid]).stdout, b"hello");
    let export = |location: &str| succeed(&["export", location, cid]).stdout;
    let exported = export(&url);
    succeed(&["rm", &url, cid]);
    assert_eq!(run(&["has", &url, cid]).code, 1);
    run(&["rm", &url, cid]).failed(1, &["is not in the store"]);
    succeed(&["rm", "--force", &url, cid]);
    run_with_input(&["import", &url, "-"], &exported);
    assert_eq!(export(&url), exported);
}

#[test]
fn a_store_with_a_shard_function_is_created_and_reported() {
    let tmp = TestDir::new();
    let (dir, url) = bucket(&tmp);
    succeed(&["create", &url, "prefix/4"]);
    succeed(&["import", &url, &fixture("small.car")]);
    assert!(fs::exists(Path::new(&dir).join("SHARDING")).expect("a look"));
    let stat = succeed(&["stat", &url]);
    assert!(stat.text().contains("prefix/4"), "{stat:?}");
    assert_eq!(keys(&url).len(), 51);
}

#[test]
fn a_verify_finds_a_damaged_object() {
    let tmp = TestDir::new();
    let (dir, url) = bucket(&tmp);
    succeed(&["import", &url, &fixture("small.car")]);
    let done = succeed(&["verify", &url]);
    assert!(
        done.text().ends_with("nothing found; nothing is wrong\n"),
        "{done:?}"
    );
    let key = keys(&url).remove(0);
    fs::write(format!("{dir}{key}"), "damaged").expect("written");
    let done = run(&["verify", &url]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.lines()[0].starts_with(&format!("corrupt: {key}: ")),
        "{done:?}"
    );
    let json = run(&["verify", "--json", &url]);
    let finding: Value = serde_json::from_str(json.lines()[0]).expect("JSON");
    assert_eq!(
        (&finding["finding"], &finding["key"]),
        (&"corrupt".into(), &key.into())
    );
}

#[test]
fn a_backup_to_a_url_copies_what_is_new_and_comes_back_equal() {
    let tmp = TestDir::new();
    let (_, url) = bucket(&tmp);
    let (store, back) = (tmp.store_of("small.car"), tmp.path("back"));
    succeed(&["copy", &store, &url]);
    succeed(&["put", &store, &fixture("hello.car")]);
    let done = succeed(&["copy", &store, &url]);
    assert!(done.text().contains(": 1 block copied to "), "{done:?}");
    assert!(done.text().contains(", 51 already there"), "{done:?}");
    succeed(&["diff", &store, &url]);
    succeed(&["copy", &url, &back]);
    succeed(&["diff", &url, &back]);
    assert_eq!(keys(&back), keys(&store));
    succeed(&["rm", &back, &keys(&back)[0]]);
    assert_eq!(run(&["diff", &url, &back]).code, 1);
}

/// Kills a copy as soon as it has stored something, and returns how much that was.
fn killed_copy(source: &str, url: &str, dir: &str) -> usize {
    let mut child = program(&["copy", "--concurrency", "1", source, url])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program runs");
    while objects(dir) < 5 && child.try_wait().expect("a look").is_none() {
        std::thread::yield_now();
    }
    // The process may have ended.
    let _ = child.kill();
    child.wait().expect("its end");
    objects(dir)
}

#[test]
fn a_copy_that_was_killed_is_completed_by_the_same_command() {
    let tmp = TestDir::new();
    let (dir, url) = bucket(&tmp);
    let (store, many) = (tmp.path("store"), tmp.path("many"));
    fs::create_dir(&many).expect("made");
    for i in 0..500 {
        fs::write(format!("{many}/{i}"), format!("block {i}")).expect("written");
    }
    succeed(&["put", "-r", &store, &many]);
    let stored = killed_copy(&store, &url, &dir);
    assert!((5..500).contains(&stored), "{stored} objects");
    let done = succeed(&["copy", "--json", &store, &url]);
    let done: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(
        (&done["present"], &done["blocks"]),
        (&stored.into(), &(500 - stored).into())
    );
    succeed(&["diff", &store, &url]);
    succeed(&["verify", &url]);
}

#[test]
fn a_url_or_an_option_that_is_wrong_is_wrong_usage_and_shows_no_secret() {
    let tmp = TestDir::new();
    let (_, url) = bucket(&tmp);
    for args in [
        &["ls", "nothing://bucket/p?token=secret"][..],
        &["ls", "--store-option", "secret_access_key=secret", &url],
        &["ls", "--store-option", "novalue", &url],
    ] {
        let done = run(args);
        assert!(!done.stderr.contains("secret\""), "{done:?}");
        assert!(!done.stderr.contains("=secret"), "{done:?}");
        done.failed(2, &[]);
    }
    let address = "https://bucket.s3.eu-west-1.amazonaws.com/blocks?token=secret";
    run(&["ls", address]).failed(2, &["s3://bucket/prefix", "AWS_ENDPOINT"]);
}

#[test]
fn a_store_on_disk_is_not_opened_by_a_url_nor_objects_by_a_path() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    run(&["ls", &format!("file://{store}")]).failed(3, &["by its path"]);
    let (dir, url) = bucket(&tmp);
    succeed(&["create", &url, "next-to-last/2"]);
    for args in [
        &["ls", &dir][..],
        &["verify", &dir],
        &["import", &dir, &fixture("small.car")],
    ] {
        run(args).failed(3, &["by its URL"]);
    }
}

#[test]
fn a_file_url_that_is_read_names_a_directory() {
    let tmp = TestDir::new();
    let urls = [tmp.path("missing"), tmp.file("file", b"x")];
    for path in &urls {
        let url = format!("file://{path}");
        let dst = tmp.path("new");
        for args in [&["verify", &url][..], &["ls", &url], &["copy", &url, &dst]] {
            run(args).failed(3, &[path, "directory"]);
        }
        assert!(!fs::exists(dst).unwrap());
    }
    let new = format!("file://{}", tmp.path("created"));
    succeed(&["create", &new]);
    assert_eq!(succeed(&["ls", &new]).text(), "");
}

#[test]
fn a_copy_from_a_url_without_objects_warns_and_creates_no_store() {
    let tmp = TestDir::new();
    let (_, url) = bucket(&tmp);
    let dst = tmp.path("new");
    run(&["copy", &url, &dst]).warned(&[&url, "check the URL"]);
    assert!(!fs::exists(dst).unwrap());
}

#[test]
fn the_size_of_an_empty_url_is_a_number() {
    let tmp = TestDir::new();
    let (_, url) = bucket(&tmp);
    let stat = succeed(&["stat", &url]);
    assert!(stat.text().contains("disk usage  0, "), "{stat:?}");
}
