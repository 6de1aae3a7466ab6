//! `import` and `create`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use cid::Cid;
use cid::multihash::Multihash;
use multihash_codetable::{Code, MultihashDigest as _};

use super::cars::{car, header, parse, raw, section, v2};
use super::{Finished, TestDir, files, fixture, keys, run, run_with_input, start, succeed};
use crate::platform::interrupt;

#[test]
fn create_accepts_the_three_spellings_of_a_shard_function() {
    for spelling in ["prefix/3", "v1/prefix/3", "/repo/flatfs/shard/v1/prefix/3"] {
        let tmp = TestDir::new();
        succeed(&["create", &tmp.store(), spelling]);
        let sharding = fs::read_to_string(tmp.path("store/SHARDING")).unwrap();
        assert_eq!(sharding, "/repo/flatfs/shard/v1/prefix/3\n");
    }
    let tmp = TestDir::new();
    succeed(&["create", &tmp.store()]);
    let sharding = fs::read_to_string(tmp.path("store/SHARDING")).unwrap();
    assert_eq!(sharding, "/repo/flatfs/shard/v1/next-to-last/2\n");
}

#[test]
fn create_refuses_a_directory_that_is_a_store_and_an_invalid_shard_function() {
    let tmp = TestDir::new();
    succeed(&["create", &tmp.store()]);
    run(&["create", &tmp.store()]).failed(3, &["already", &tmp.store()]);
    run(&["create", &tmp.path("other"), "middle/2"]).failed(2, &["middle/2", "--help"]);
    assert!(!fs::exists(tmp.path("other")).unwrap());
}

#[test]
fn an_import_creates_the_store_and_prints_what_it_stored() {
    let tmp = TestDir::new();
    let done = succeed(&["import", &tmp.store(), &fixture("small.car")]);
    let lines = done.lines();
    assert_eq!(lines.len(), 2, "{done:?}");
    assert!(
        lines[0].contains("small.car: 51 blocks, 51 new, 1,002,445 bytes, "),
        "{done:?}"
    );
    assert!(lines[0].ends_with(" s"), "{done:?}");
    assert_eq!(
        lines[1].trim(),
        "root bafybeigsun6zhi4vrpryig6tfhvrb2ykn5dqg4q5fkm7rjgfyv6uc67xia"
    );
    assert_eq!(files(&tmp.store()).len(), 51);
}

#[test]
fn blocks_that_the_store_has_are_not_new() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let done = succeed(&[
        "import",
        &store,
        &fixture("hello.car"),
        &fixture("small.car"),
    ]);
    assert!(
        done.text().contains("hello.car: 1 block, 1 new"),
        "{done:?}"
    );
    assert!(
        done.text().contains("small.car: 51 blocks, 0 new"),
        "{done:?}"
    );
    assert_eq!(keys(&store).len(), 52);
}

#[test]
fn an_import_replaces_a_block_whose_file_was_cut_short() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    let before = files(&store);
    for path in before.keys() {
        fs::write(path, b"hel").unwrap();
    }
    succeed(&["import", &store, &fixture("hello.car")]);
    assert_eq!(files(&store), before);
}

#[test]
fn a_car_is_imported_from_standard_input() {
    let tmp = TestDir::new();
    let car = fs::read(fixture("small.car")).unwrap();
    let done = run_with_input(&["import", &tmp.store(), "-"], &car);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert!(done.text().starts_with("standard input: 51 blocks, 51 new"));
    run(&["import", &tmp.store(), "-", "-"]).failed(2, &["only once"]);
}

#[test]
fn a_carv2_is_read_with_and_without_padding_and_index() {
    let v1 = fs::read(fixture("small.car")).unwrap();
    let expected = {
        let tmp = TestDir::new();
        keys(&tmp.store_of("small.car"))
    };
    for (padding, index) in [(0, ""), (0, "index"), (100, ""), (100, "index")] {
        let tmp = TestDir::new();
        let bytes = v2(&v1, padding, index.as_bytes());
        let file = tmp.file("v2.car", &bytes);
        let done = succeed(&["import", &tmp.store(), &file]);
        assert!(done.text().contains("51 blocks, 51 new"), "{done:?}");
        assert_eq!(keys(&tmp.store()), expected);
        let piped = run_with_input(&["import", &tmp.path("piped"), "-"], &bytes);
        assert_eq!(piped.code, 0, "{piped:?}");
        assert_eq!(keys(&tmp.path("piped")), expected);
    }
}

#[test]
fn no_roots_and_duplicate_and_empty_blocks_are_legal() {
    let tmp = TestDir::new();
    let file = tmp.file("odd.car", &car(&[], &[b"a", b"", b"a", b""]));
    let done = succeed(&["import", &tmp.store(), &file]);
    assert!(done.text().contains("4 blocks, 2 new, 2 bytes"), "{done:?}");
    let empty = succeed(&["get", &tmp.store(), &raw(b"").to_string()]);
    assert_eq!(empty.stdout, b"");
    let file = tmp.file("none.car", &header(&[]));
    let done = succeed(&["import", &tmp.store(), &file]);
    assert!(done.text().contains("0 blocks, 0 new, 0 bytes"), "{done:?}");
}

#[test]
fn an_absent_root_makes_the_exit_status_1_and_the_blocks_are_imported() {
    let tmp = TestDir::new();
    let root = raw(b"elsewhere");
    let file = tmp.file("rootless.car", &car(&[root], &[b"a"]));
    let done = run(&["import", "-q", &tmp.store(), &file, &fixture("hello.car")]);
    done.failed(1, &[&root.to_string(), "rootless.car", "cut short"]);
    assert_eq!(keys(&tmp.store()).len(), 2);
    succeed(&["import", "--allow-missing-roots", &tmp.store(), &file]);
    let other = tmp.file("root.car", &car(&[], &[b"elsewhere"]));
    succeed(&["import", &tmp.store(), &other]);
    succeed(&["import", &tmp.store(), &file]);
}

#[test]
fn blocks_of_every_known_hash_function_are_checked_and_stored() {
    let codes = [
        Code::Sha2_256,
        Code::Sha2_512,
        Code::Blake2b256,
        Code::Blake2s256,
        Code::Blake3_256,
        Code::Sha3_256,
    ];
    let cids: Vec<Cid> = codes
        .iter()
        .map(|code| Cid::new_v1(0x55, code.digest(b"block")))
        .collect();
    let sections: Vec<Vec<u8>> = cids.iter().map(|cid| section(cid, b"block")).collect();
    let tmp = TestDir::new();
    let file = tmp.file("many.car", &[header(&cids), sections.concat()].concat());
    let done = succeed(&["import", &tmp.store(), &file]);
    assert!(done.text().contains("6 blocks, 6 new"), "{done:?}");
    for cid in cids {
        let got = succeed(&["get", &tmp.store(), &cid.to_string()]);
        assert_eq!(got.stdout, b"block");
    }
}

#[test]
fn an_identity_block_is_checked_and_read_from_its_cid_but_not_stored() {
    let tmp = TestDir::new();
    let cid = Cid::new_v1(0x55, Multihash::wrap(0, b"inline").unwrap());
    let good = [header(&[cid]), section(&cid, b"inline")].concat();
    let good = tmp.file("good.car", &good);
    let done = succeed(&["import", &tmp.store(), &good]);
    assert!(
        done.text()
            .contains("1 block (1 inline in their CIDs), 0 new")
    );
    assert_eq!(files(&tmp.store()).len(), 0);
    let name = cid.to_string();
    assert_eq!(succeed(&["get", &tmp.store(), &name]).stdout, b"inline");
    succeed(&["has", &tmp.store(), &name]);
    let (roots, blocks) = parse(&succeed(&["export", &tmp.store(), &name]).stdout);
    assert_eq!((roots, blocks.len()), (vec![cid], 0));
    let bad = [header(&[cid]), section(&cid, b"other")].concat();
    let bad = tmp.file("bad.car", &bad);
    run(&["import", &tmp.store(), &bad]).failed(3, &["bad.car", "hash"]);
}

#[test]
fn an_unknown_hash_function_must_be_allowed_and_a_wrong_hash_is_still_refused() {
    let tmp = TestDir::new();
    let cid = Cid::new_v1(0x55, Multihash::wrap(0x1234, &[7; 32]).unwrap());
    let start = header(&[]);
    let file = tmp.file(
        "strange.car",
        &[start.clone(), section(&cid, b"x")].concat(),
    );
    let at = format!("at byte {}", start.len());
    let done = run(&["import", &tmp.store(), &file]);
    done.failed(3, &["strange.car", &at, "0x1234", "--unverified"]);
    succeed(&["import", "--unverified", &tmp.store(), &file]);
    assert_eq!(files(&tmp.store()).len(), 1);
    let wrong = tmp.file("wrong.car", &[start, section(&raw(b"x"), b"y")].concat());
    let done = run(&["import", "--unverified", &tmp.store(), &wrong]);
    done.failed(3, &["wrong.car", &at, &raw(b"x").to_string()]);
}

#[test]
fn cars_before_a_refused_one_stay_imported() {
    let tmp = TestDir::new();
    let bad = tmp.file("bad.car", b"no car at all");
    let files = [&fixture("hello.car"), &bad, &fixture("small.car")];
    let done = run(&["import", &tmp.store(), files[0], files[1], files[2]]);
    done.failed(3, &["bad.car"]);
    assert!(
        done.text().contains("hello.car: 1 block, 1 new"),
        "{done:?}"
    );
    assert_eq!(keys(&tmp.store()).len(), 1);
}

#[test]
fn an_import_into_a_directory_that_is_not_a_store_is_refused() {
    let tmp = TestDir::new();
    fs::create_dir(tmp.store()).unwrap();
    tmp.file("store/note.txt", b"mine");
    run(&["import", &tmp.store(), &fixture("hello.car")]).failed(3, &[&tmp.store()]);
    let left: BTreeSet<_> = fs::read_dir(tmp.store())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, BTreeSet::from(["note.txt".into()]));
}

#[test]
#[cfg_attr(windows, ignore = "needs a program that sends Ctrl-C: see .ci/wine")]
fn an_interrupted_import_leaves_the_store_as_it_was() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    let before = files(&store);
    let mut child = start(&["import", &store, "-"], Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(&fs::read(fixture("small.car")).unwrap())
        .unwrap();
    // The pipe may hold all of it, so this waits until the first block is staged. The end of the input never comes.
    let temp = tmp.path("store/.temp");
    while fs::read_dir(&temp).unwrap().count() == 0 {
        assert_eq!(child.try_wait().unwrap(), None);
        std::thread::yield_now();
    }
    interrupt(&child);
    let done = Finished::of(child.wait_with_output().unwrap());
    drop(stdin);
    done.was_interrupted(&["none of standard input was imported: interrupted"]);
    assert_eq!(files(&store), before);
    assert_eq!(fs::read_dir(tmp.path("store/.temp")).unwrap().count(), 0);
}
