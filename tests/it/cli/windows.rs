//! What the program does differently on Windows.

use std::fs;
use std::os::windows::process::CommandExt as _;
use std::process::Stdio;

use super::{Finished, TestDir, files, fixture, keys, program, run, succeed};
use crate::platform::open_exclusively;

#[test]
fn wildcards_are_expanded_unless_they_match_nothing() {
    let tmp = TestDir::new();
    for name in ["hello.car", "small.car"] {
        fs::copy(fixture(name), tmp.path(name)).expect("copied");
    }
    let (pattern, one) = (tmp.path("*.car"), tmp.path("sm?ll.car"));
    succeed(&["import", &tmp.path("all"), &pattern]);
    succeed(&["import", &tmp.path("one"), &one]);
    succeed(&["import", &tmp.path("one"), &tmp.path("hello.car")]);
    assert_eq!(keys(&tmp.path("all")), keys(&tmp.path("one")));

    let mut quoted = program(&["import", &tmp.path("quoted")]);
    quoted
        .raw_arg(format!("\"{pattern}\""))
        .stdin(Stdio::null());
    let quoted = Finished::of(quoted.output().expect("the program runs"));
    assert_eq!(quoted.code, 0, "{quoted:?}");
    assert_eq!(keys(&tmp.path("quoted")), keys(&tmp.path("one")));
    let unmatched = tmp.path("*.none");
    let failed = run(&["import", &tmp.path("all"), &unmatched]);
    failed.failed(3, &[&unmatched, "no file matches"]);
}

#[test]
fn brackets_are_characters_of_names() {
    let tmp = TestDir::new();
    for name in ["b1.bin", "b[1].bin", "b[1]x.bin"] {
        tmp.file(name, name.as_bytes());
    }
    let (one, other) = (tmp.path("d1"), tmp.path("d[1]"));
    succeed(&["create", &one]);
    succeed(&["put", &other, &tmp.path("b[1].bin")]);
    assert_eq!((keys(&one).len(), keys(&other).len()), (0, 1));
    succeed(&["put", &one, &tmp.path("b[1]*.bin")]);
    assert_eq!(keys(&one).len(), 2);
}

#[test]
fn files_whose_names_only_the_verbatim_form_allows_are_put_as_they_are() {
    let tmp = TestDir::new();
    let dir = tmp.path("dir");
    fs::create_dir(&dir).expect("created");
    let names = ["aux", "x", "x ", "x."];
    for name in names {
        let path = format!(r"\\?\{dir}\{name}");
        fs::write(path, format!("contents of {name:?}")).expect("written");
    }
    let store = tmp.path("store");
    let put = succeed(&["put", "-r", &store, &dir]);
    assert_eq!(keys(&store).len(), names.len());
    for line in put.lines() {
        let (cid, path) = line.split_once('\t').expect("a path");
        let name = path.rsplit('\\').next().expect("a name");
        assert!(names.contains(&name) && path.starts_with(&dir), "{put:?}");
        let block = succeed(&["get", &store, cid]).stdout;
        assert_eq!(block, format!("contents of {name:?}").as_bytes());
    }
    let json = succeed(&["put", "-r", "--json", &store, &dir]);
    for name in names {
        let path = format!(r"{dir}\{name}").replace('\\', r"\\");
        assert!(json.text().contains(&format!("\"{path}\"")), "{json:?}");
    }
}

#[test]
fn shard_directories_with_the_names_of_devices_hold_blocks() {
    let tmp = TestDir::new();
    let store = tmp.path("store");
    succeed(&["create", &store, "next-to-last/3"]);
    for (dir, contents) in [("NUL", "10635"), ("CON", "31687")] {
        let file = tmp.file("block", contents.as_bytes());
        let put = succeed(&["put", &store, &file]);
        let cid = put.text().trim();
        let shard = format!(r"\\?\{store}\{dir}");
        assert_eq!(fs::read_dir(&shard).expect("a directory").count(), 1);
        let got = succeed(&["get", &store, cid]);
        assert_eq!(got.text(), contents);
        assert_eq!(keys(&store).len(), 1);
        succeed(&["verify", &store]);
        succeed(&["rm", &store, cid]);
        assert_eq!(keys(&store).len(), 0);
    }
}

#[test]
fn a_store_with_the_name_of_a_device_is_refused() {
    for name in ["CON", "NUL"] {
        run(&["create", name]).failed(3, &[name, "device", r"\\?\"]);
    }
}

#[test]
fn a_file_in_use_is_reported_with_what_to_do() {
    let tmp = TestDir::new();
    let store = tmp.path("store");
    let file = tmp.file("block", b"block");
    let put = succeed(&["put", &store, &file]);
    let cid = put.text().trim();
    let block = files(&store).into_keys().next();
    let block = block.expect("a block");
    let open = open_exclusively(&block).expect("opened");
    let advice = "close that program, then run the command again";
    let block = block.display().to_string();
    run(&["rm", &store, cid]).failed(3, &[&block, advice]);
    // The batch of the command before is not taken for one of this command.
    let other = tmp.file("other", b"other");
    let failed = run(&["put", &store, &other]);
    failed.failed(3, &["a batch is committed", advice]);
    assert!(!failed.stderr.contains("the batch"), "{failed:?}");
    drop(open);
    succeed(&["put", &store, &other]);
    assert_eq!(keys(&store).len(), 1);
}

#[test]
fn paths_are_shown_without_the_verbatim_prefix() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let stat = succeed(&["stat", "--json", &store]);
    let stat: serde_json::Value = serde_json::from_slice(&stat.stdout).expect("JSON");
    assert_eq!(stat["path"], store.as_str());
    fs::write(tmp.path("store/SHARDING"), "nonsense").expect("written");
    let failed = run(&["du", &store]);
    failed.failed(3, &[&tmp.path("store/SHARDING")]);
    assert!(!failed.stderr.contains(r"\\?\"), "{failed:?}");
}

#[cfg(feature = "object-store")]
#[test]
fn a_file_url_has_a_drive_after_two_or_three_slashes_and_any_separator() {
    let tmp = TestDir::new();
    let dir = tmp.path("bucket");
    let slashes = dir.replace('\\', "/");
    let url = format!("file:///{slashes}");
    succeed(&["import", &url, &fixture("small.car")]);
    assert_eq!(fs::read_dir(&dir).expect("a directory").count(), 51);
    for other in [
        format!("file:///{dir}"),
        format!("file://{slashes}"),
        format!("file://{dir}"),
        format!(
            "file:///{}",
            with_drive(&slashes, ":", char::to_ascii_lowercase)
        ),
        format!(
            "file:///{}",
            with_drive(&slashes, "|", char::to_ascii_uppercase)
        ),
    ] {
        assert_eq!(keys(&other), keys(&url), "{other}");
    }
    // Otherwise a backup would be empty.
    let lower = format!(
        "file:///{}",
        with_drive(&slashes, ":", char::to_ascii_lowercase)
    );
    let exported = succeed(&["export", &lower]).stdout;
    assert_eq!(exported, succeed(&["export", &url]).stdout);
    run(&["ls", "file:///tmp/x"]).failed(2, &["file:///C:/path"]);
}

/// Returns a path with its drive in another form.
#[cfg(feature = "object-store")]
fn with_drive(path: &str, colon: &str, case: fn(&char) -> char) -> String {
    let (drive, rest) = path.split_once(':').expect("a drive");
    let drive: String = drive.chars().map(|c| case(&c)).collect();
    format!("{drive}{colon}{rest}")
}
