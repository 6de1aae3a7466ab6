//! `copy` and `diff`.

use std::fs;

use cid::Cid;
use ds_flatfs::Key;
use serde_json::Value;

use super::{Finished, TestDir, files, fixture, keys, run, succeed};

const EMPTY: &str = "/CIQOHMGEIKMPYHAUTL57JSEZN64SIJ5OIHSGJG4TJSSJLGI3PBJLQVI";

fn json(done: &Finished) -> Value {
    serde_json::from_slice(&done.stdout).expect("JSON")
}

/// The contents of the blocks, whatever their directories.
fn blocks(store: &str) -> Vec<Vec<u8>> {
    let mut blocks: Vec<_> = files(store).into_values().collect();
    blocks.sort();
    blocks
}

#[test]
fn a_copy_is_equal_and_a_second_one_finds_everything_there() {
    let tmp = TestDir::new();
    let (store, copy) = (tmp.store_of("small.car"), tmp.path("copy"));
    succeed(&["create", &copy, "prefix/4"]);
    let done = succeed(&["copy", &store, &copy]);
    assert!(done.text().contains(": 51 blocks copied to "), "{done:?}");
    assert_eq!(blocks(&copy), blocks(&store));
    assert_eq!(succeed(&["diff", &store, &copy]).text(), "");

    succeed(&["put", &store, &fixture("hello.car")]);
    let done = json(&succeed(&["copy", "--json", &store, &copy]));
    assert_eq!((&done["blocks"], &done["present"]), (&1.into(), &51.into()));
    assert_eq!(done["failed"], Value::Array(Vec::new()));
    assert_eq!(done["dst"], copy);
    assert_eq!(blocks(&copy), blocks(&store));
}

#[test]
fn a_damaged_block_is_reported_and_the_others_are_copied() {
    let tmp = TestDir::new();
    let (store, copy) = (tmp.store_of("small.car"), tmp.path("copy"));
    let damaged = files(&store).into_keys().next().expect("a block");
    fs::write(&damaged, "damaged").expect("written");
    let key = damaged
        .file_stem()
        .and_then(|stem| stem.to_str())
        .expect("a key");
    run(&["copy", "-q", &store, &copy]).failed(1, &[key, "was not copied", "is corrupt"]);
    assert_eq!(keys(&copy).len(), 50);
    let done = run(&["copy", "--json", &store, &copy]);
    assert_eq!(done.code, 1);
    assert_eq!(json(&done)["failed"][0]["key"], format!("/{key}"));

    let difference = run(&["diff", &store, &copy]);
    assert_eq!(
        (difference.code, difference.text()),
        (1, &*format!("only-in-a\t/{key}\t7\n"))
    );
    succeed(&["copy", "--unverified", &store, &copy]);
    assert_eq!(blocks(&copy), blocks(&store));
}

#[test]
fn a_missing_source_creates_no_destination_and_a_missing_store_has_no_differences() {
    let tmp = TestDir::new();
    let (missing, store) = (tmp.path("missing"), tmp.store_of("small.car"));
    run(&["copy", &missing, &tmp.path("copy")]).failed(3, &["missing"]);
    assert!(!fs::exists(tmp.path("copy")).expect("a look"));
    run(&["diff", &missing, &store]).failed(2, &["missing"]);
    run(&["diff", &store, &missing]).failed(2, &["missing"]);
}

#[test]
fn a_diff_has_a_line_for_each_key_in_the_order_of_the_keys() {
    let tmp = TestDir::new();
    let (a, b) = (tmp.path("a"), tmp.path("b"));
    let file = |text: &str| tmp.file(text, text.as_bytes());
    let cid = |store: &str, text: &str| {
        let put = succeed(&["put", "--json", store, &file(text)]);
        json(&put)["key"].as_str().expect("a key").to_owned()
    };
    let (one, two) = (cid(&a, "one"), cid(&b, "two"));
    succeed(&["put", &a, &tmp.file("empty", b"")]);
    succeed(&["put", &b, &tmp.path("empty")]);
    for (path, _) in files(&b)
        .into_iter()
        .filter(|(path, _)| path.ends_with(format!("{}.data", &EMPTY[1..])))
    {
        fs::write(path, "12345").expect("written");
    }
    let done = run(&["diff", &a, &b]);
    let mut expected = [
        (&*one, format!("only-in-a\t{one}\t3")),
        (&*two, format!("only-in-b\t{two}\t3")),
        (EMPTY, format!("other-size\t{EMPTY}\t0\t5")),
    ];
    expected.sort();
    assert_eq!(done.code, 1);
    assert_eq!(done.lines(), expected.map(|(_, line)| line));

    let done = run(&["diff", "--json", &a, &b]);
    let lines: Vec<Value> = done
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let other_size = lines
        .iter()
        .find(|line| line["key"] == EMPTY)
        .expect("a line");
    assert_eq!(other_size["difference"], "other-size");
    assert_eq!(
        (&other_size["size_a"], &other_size["size_b"]),
        (&0.into(), &5.into())
    );
    assert!(
        other_size["cid"]
            .as_str()
            .expect("a CID")
            .starts_with("bafkrei")
    );
    assert!(lines.iter().any(|line| line["size_b"].is_null()));
}

#[test]
fn a_command_for_directories_refuses_a_url_in_one_line() {
    let tmp = TestDir::new();
    let (url, dir) = ("s3://bucket/blocks", tmp.path("dir"));
    for args in [
        &["move", url, &dir][..],
        &["move", &dir, url],
        &["reshard", url, "prefix/3"],
        &["upgrade", url, "3"],
        &["downgrade", url],
        &["du", url],
        &["verify", "--limit-rate", "1MiB", url],
        &["verify", "--repair", url],
        &["verify", "--quick", url],
    ] {
        run(args).failed(2, &["URL"]);
    }
}

const SMALL_ROOT: &str = "bafybeigsun6zhi4vrpryig6tfhvrb2ykn5dqg4q5fkm7rjgfyv6uc67xia";

#[test]
fn a_copy_of_a_root_has_the_blocks_of_its_dag_alone() {
    let tmp = TestDir::new();
    let (store, copy) = (tmp.store_of("small.car"), tmp.path("copy"));
    succeed(&["put", &store, &fixture("hello.car")]);
    let done = json(&succeed(&["copy", "--json", &store, &copy, SMALL_ROOT]));
    assert_eq!((&done["blocks"], &done["present"]), (&51.into(), &0.into()));
    let reference = tmp.path("reference");
    succeed(&["import", &reference, &fixture("small.car")]);
    assert_eq!(blocks(&copy), blocks(&reference));
    let again = json(&succeed(&["copy", "--json", &store, &copy, SMALL_ROOT]));
    assert_eq!(
        (&again["blocks"], &again["present"]),
        (&0.into(), &51.into())
    );
}

#[test]
fn a_block_that_the_source_lacks_is_named_and_the_rest_of_the_dag_is_copied() {
    let tmp = TestDir::new();
    let (store, copy) = (tmp.store_of("small.car"), tmp.path("copy"));
    let root = Key::from_cid(&SMALL_ROOT.parse::<Cid>().expect("a CID"));
    let mut below = keys(&store).into_iter().filter(|key| key != root.as_str());
    let missing = below.next().expect("a block");
    succeed(&["rm", &store, &missing]);
    let done = run(&["copy", &store, &copy, SMALL_ROOT]);
    done.failed(1, &["was not copied", "missing"]);
    let done = run(&["copy", "--json", &store, &copy, SMALL_ROOT]);
    assert_eq!(json(&done)["failed"][0]["key"], missing);
}
