//! What the program does differently on Windows.

use std::fs;
use std::os::windows::process::CommandExt as _;
use std::process::Stdio;

use super::{Finished, TestDir, fixture, keys, program, run, succeed};

#[test]
fn wildcards_are_expanded_unless_they_are_in_quotes_or_match_nothing() {
    let tmp = TestDir::new();
    for name in ["hello.car", "small.car"] {
        fs::copy(fixture(name), tmp.path(name)).expect("copied");
    }
    let (pattern, one) = (tmp.path("*.car"), tmp.path("sm?ll.car"));
    succeed(&["import", &tmp.path("all"), &pattern]);
    succeed(&["import", &tmp.path("one"), &one]);
    succeed(&["import", &tmp.path("one"), &tmp.path("hello.car")]);
    assert_eq!(keys(&tmp.path("all")), keys(&tmp.path("one")));

    let mut quoted = program(&["import", &tmp.path("all")]);
    quoted
        .raw_arg(format!("\"{pattern}\""))
        .stdin(Stdio::null());
    let quoted = Finished::of(quoted.output().expect("the program runs"));
    quoted.failed(3, &[&pattern]);
    let unmatched = tmp.path("*.none");
    run(&["import", &tmp.path("all"), &unmatched]).failed(3, &[&unmatched]);
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
    ] {
        assert_eq!(keys(&other), keys(&url), "{other}");
    }
}
