//! `gc`.

use std::fs;

use serde_json::Value;

use super::cars::raw;
#[cfg(target_os = "linux")]
use super::{Finished, program};
use super::{TestDir, files, fixture, keys, run, run_with_input, succeed};

const SMALL_ROOT: &str = "bafybeigsun6zhi4vrpryig6tfhvrb2ykn5dqg4q5fkm7rjgfyv6uc67xia";
const KUBO_ROOT: &str = "bafybeicgysyofkc6g7oxknhkecicbvaak4vrcaua4imd5g72jedbhbroyu";
/// The block of `hello.car`, which no DAG of `small.car` links to.
const HELLO: &[u8] = b"hello flatfs\n";

/// Creates a store with a DAG and a block of garbage.
fn store(tmp: &TestDir) -> String {
    let store = tmp.store_of("small.car");
    succeed(&["import", &store, &fixture("hello.car")]);
    store
}

#[test]
fn the_dags_of_a_kubo_store_are_kept_and_everything_else_is_removed() {
    let tmp = TestDir::new();
    let store = tmp.kubo_store();
    let before = succeed(&["export", &store, KUBO_ROOT]).stdout;
    let all = keys(&store).len();
    let dry = succeed(&["gc", "-n", &store, "--root", KUBO_ROOT]);
    assert!(dry.text().contains("would be removed"), "{dry:?}");
    assert_eq!(keys(&store).len(), all);
    let done = succeed(&["gc", &store, "--root", KUBO_ROOT]);
    assert!(done.text().contains("6 blocks kept"), "{done:?}");
    assert_eq!(keys(&store).len(), 6);
    assert_eq!(succeed(&["export", &store, KUBO_ROOT]).stdout, before);
    succeed(&["verify", &store]);
}

#[test]
fn every_dag_that_is_kept_of_a_kubo_store_is_exported_as_before() {
    // kubo pins the added directory, and from its first start on an empty one.
    let empty_dir = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";
    let whole = TestDir::new();
    let blocks = succeed(&["ls", "--cids", &whole.kubo_store()]);
    // A direct pin keeps one block, by its CID with the codec raw.
    let mut pins = vec![vec![KUBO_ROOT, empty_dir], vec![KUBO_ROOT], vec![empty_dir]];
    pins.extend(blocks.lines().into_iter().map(|cid| vec![cid]));
    for pins in pins {
        let tmp = TestDir::new();
        let store = tmp.kubo_store();
        let export = |pin: &str| succeed(&["export", &store, pin]).stdout;
        let before: Vec<_> = pins.iter().map(|pin| export(pin)).collect();
        let mut args = vec!["gc", &store];
        args.extend(pins.iter().flat_map(|pin| ["--root", pin]));
        let done = succeed(&args);
        let kept: usize = pins
            .iter()
            .map(|pin| if *pin == KUBO_ROOT { 6 } else { 1 })
            .sum();
        assert_eq!(keys(&store).len(), kept, "{done:?}");
        let after: Vec<_> = pins.iter().map(|pin| export(pin)).collect();
        assert!(after == before, "{pins:?}");
    }
}

#[test]
fn roots_come_from_files_from_standard_input_and_from_arguments() {
    let hello = raw(HELLO).to_string();
    for (file, input) in [
        (format!("\n/ipfs/{SMALL_ROOT}\r\n"), &*hello),
        (format!("{hello}\n"), SMALL_ROOT),
    ] {
        let tmp = TestDir::new();
        let store = store(&tmp);
        let file = tmp.file("roots", file.as_bytes());
        let args = ["gc", &store, "--roots", &file, "-", "--root", &hello];
        let done = run_with_input(&args, input.as_bytes());
        assert_eq!((done.code, done.stderr.as_str()), (0, ""));
        assert_eq!(keys(&store).len(), 52);
        let done = run_with_input(&["gc", &store, "--roots", "-"], SMALL_ROOT.as_bytes());
        assert_eq!(done.code, 0);
        assert_eq!(keys(&store).len(), 51);
    }
}

#[test]
fn a_list_of_direct_pins_keeps_the_blocks_alone_and_may_be_empty() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    let empty = tmp.file("empty", b"");
    let hello = tmp.file("hello", format!("{}\n", raw(HELLO)).as_bytes());
    let dry = ["gc", "-n", &store, "--root", SMALL_ROOT, "--direct"];
    let done = succeed(&[&dry[..], &[&empty]].concat());
    assert!(done.text().contains("51 blocks kept"), "{done:?}");
    let done = succeed(&[&dry[..], &[&empty, &hello]].concat());
    assert!(done.text().contains("52 blocks kept"), "{done:?}");
    let root = tmp.file("root", SMALL_ROOT.as_bytes());
    let done = succeed(&["gc", &store, "--direct", &root]);
    assert!(done.text().contains("1 block kept"), "{done:?}");
    run(&["gc", &store, "--direct", &empty]).failed(3, &["roots"]);
}

#[test]
fn a_list_without_roots_removes_nothing_even_beside_other_roots() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    let list = tmp.file("pins", b"\n");
    let refused = run(&["gc", &store, "--roots", &list, "--root", SMALL_ROOT]);
    refused.failed(3, &[&list, "has no roots"]);
    assert_eq!(keys(&store).len(), 52);
}

#[test]
fn a_line_that_is_not_a_cid_is_named_and_nothing_is_removed() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    let file = tmp.file("roots", format!("{SMALL_ROOT}\nbafy x\n").as_bytes());
    let refused = run(&["gc", &store, "--roots", &file]);
    refused.failed(3, &["nothing was removed", "line 2", &file, "bafy x"]);
    assert_eq!(
        refused.stderr.matches("not a CID").count(),
        1,
        "{refused:?}"
    );
    assert_eq!(keys(&store).len(), 52);
}

#[test]
fn without_roots_nothing_is_removed_unless_that_is_asked_for() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    run(&["gc", &store]).failed(2, &["--roots FILE", "--root CID", "--remove-everything"]);
    assert_eq!(keys(&store).len(), 52);
    succeed(&["gc", &store, "--remove-everything"]);
    assert_eq!(keys(&store).len(), 0);
}

#[test]
fn a_missing_block_ends_the_command_or_is_reported() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    succeed(&["rm", &store, SMALL_ROOT]);
    let hello = raw(HELLO).to_string();
    let args = ["gc", &store, "--root", SMALL_ROOT, "--root", &hello];
    run(&args).failed(3, &[SMALL_ROOT, "missing", "--allow-missing"]);
    assert_eq!(keys(&store).len(), 51);
    let done = run(&[&args[..], &["--allow-missing"]].concat());
    done.failed(1, &[SMALL_ROOT, "missing"]);
    assert_eq!(keys(&store).len(), 1);
}

#[test]
fn a_missing_block_without_links_ends_the_command_before_anything_is_removed() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    let blocks = succeed(&["ls", "--cids", &store]);
    let root: cid::Cid = SMALL_ROOT.parse().unwrap();
    let blocks = blocks.lines().into_iter();
    let mut blocks = blocks.filter(|cid| {
        let cid: cid::Cid = cid.parse().unwrap();
        cid.hash() != root.hash() && cid != raw(HELLO)
    });
    let missing = blocks.next().unwrap().to_owned();
    succeed(&["rm", &store, &missing]);
    let args = ["gc", &store, "--root", SMALL_ROOT];
    let refused = run(&args);
    refused.failed(
        3,
        &[
            "nothing was removed",
            "missing",
            "--allow-missing",
            SMALL_ROOT,
        ],
    );
    assert_eq!(keys(&store).len(), 51);
    let done = run(&[&args[..], &["--allow-missing"]].concat());
    done.failed(1, &["missing", SMALL_ROOT]);
    assert_eq!(keys(&store).len(), 50);
}

#[test]
fn removed_blocks_are_listed_as_text_or_json() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    let hello = raw(HELLO);
    let args = ["gc", "--list", &store, "--root", SMALL_ROOT];
    let dry = succeed(&[&args[..], &["--dry-run"]].concat());
    let key = ds_flatfs::Key::from_cid(&hello);
    assert_eq!(dry.lines()[0], key.as_str());
    let done = succeed(&[&args[..], &["--json"]].concat());
    let lines = done.lines();
    let objects: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects[0]["cid"], hello.to_string());
    assert_eq!(objects[0]["bytes"], HELLO.len());
    assert_eq!(
        (&objects[1]["removed"], &objects[1]["kept"]),
        (&1.into(), &51.into())
    );
    assert_eq!(objects.len(), 2);
}

#[test]
fn options_that_keep_garbage_are_understood() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    let gc = |args: &[&str]| {
        let done = succeed(&[&["gc", &store, "--root", SMALL_ROOT], args].concat());
        assert!(done.text().contains("1 block of garbage left"), "{done:?}");
    };
    gc(&["--keep-newer", "1h"]);
    gc(&["--target-size", "1TiB"]);
    gc(&["--target-free", "1B"]);
    gc(&["--limit", "0"]);
    let missed = [
        "gc",
        "--dry-run",
        &store,
        "--root",
        SMALL_ROOT,
        "--target-size",
        "0",
    ];
    let done = run(&missed);
    assert_eq!((done.code, done.stderr.as_str()), (1, ""), "{done:?}");
    assert!(done.text().contains("short of the target"), "{done:?}");
    run(&["gc", &store, "--keep-newer", "soon"]).failed(2, &["soon", "7d"]);
    run(&["gc", &store, "--target-size", "1", "--target-free", "1"]).failed(2, &["--target-free"]);
    assert_eq!(keys(&store).len(), 52);
}

#[test]
fn at_most_the_given_number_of_blocks_is_removed() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    let hello = raw(HELLO).to_string();
    let args = ["gc", &store, "--root", &hello, "--limit", "20"];
    let dry = succeed(&[&args[..], &["--dry-run"]].concat());
    assert!(dry.text().contains("20 blocks would be removed"), "{dry:?}");
    for (removed, left) in [(20, 31), (20, 11), (11, 0)] {
        let done = succeed(&args);
        let done = done.text();
        assert!(
            done.contains(&format!("{removed} blocks removed")),
            "{done}"
        );
        assert_eq!(keys(&store).len(), left + 1);
        assert_eq!(
            done.contains(&format!("{left} blocks of garbage left")),
            left > 0,
            "{done}"
        );
    }
}

#[test]
fn keys_that_are_not_those_of_blocks_are_removed_only_if_that_is_asked_for() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    let key = "/NOT-A-BLOCK";
    let file = ds_flatfs::Shard::default().dir(&key[1..]);
    fs::create_dir_all(format!("{store}/{file}")).unwrap();
    fs::write(format!("{store}/{file}{key}.data"), "x").unwrap();
    let args = ["gc", &store, "--root", SMALL_ROOT];
    let done = succeed(&args);
    assert!(
        done.text().contains("1 block removed") && done.text().contains("1 foreign keys left"),
        "{done:?}"
    );
    assert!(keys(&store).contains(&key.to_owned()));
    let done = succeed(&[&args[..], &["--foreign"]].concat());
    assert!(done.text().contains("1 block removed, 1 byte"), "{done:?}");
    assert_eq!(keys(&store).len(), 51);
}

#[test]
fn a_block_of_an_unknown_codec_is_an_error_unless_its_links_are_to_be_ignored() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    let opaque = cid::Cid::new_v1(0x1234, *raw(HELLO).hash()).to_string();
    let args = ["gc", &store, "--root", &opaque];
    run(&args).failed(3, &["nothing was removed", &opaque, "0x1234", "--opaque"]);
    assert_eq!(keys(&store).len(), 52);
    succeed(&[&args[..], &["--opaque"]].concat());
    assert_eq!(
        keys(&store),
        [ds_flatfs::Key::from_cid(&raw(HELLO)).to_string()]
    );
}

#[test]
fn a_block_that_is_in_no_dag_is_kept_as_raw() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    // The root of the DAG under the codec raw: its links are not followed.
    let root: cid::Cid = SMALL_ROOT.parse().unwrap();
    let as_raw = cid::Cid::new_v1(0x55, *root.hash()).to_string();
    succeed(&["gc", &store, "--root", &as_raw]);
    assert_eq!(keys(&store), [ds_flatfs::Key::from_cid(&root).to_string()]);
    assert_eq!(files(&store).len(), 1);
    assert!(fs::exists(&store).unwrap());
}

#[test]
fn what_is_skipped_is_reported_and_makes_the_exit_status_1() {
    let tmp = TestDir::new();
    let store = store(&tmp);
    fs::create_dir(format!("{store}/ZZ")).unwrap();
    fs::write(format!("{store}/ZZ/note.txt"), "").unwrap();
    let args = ["gc", &store, "--root", SMALL_ROOT];
    let done = run(&args);
    done.failed(1, &["skipped", "note.txt", "not part of a store"]);
    assert!(done.text().contains(", 1 skipped,"), "{done:?}");
    let done = run(&[&args[..], &["--json"]].concat());
    assert_eq!(done.code, 1, "{done:?}");
    let object: Value = serde_json::from_str(done.text()).unwrap();
    assert_eq!(object["skipped_count"], 1);
    assert_eq!(object["skipped"][0]["reason"], "foreign");
}

#[cfg(feature = "object-store")]
#[test]
fn an_object_store_is_collected_by_its_url() {
    let tmp = TestDir::new();
    fs::create_dir(tmp.path("bucket")).unwrap();
    let url = format!("file://{}", tmp.path("bucket"));
    for car in ["small.car", "hello.car"] {
        succeed(&["import", &url, &fixture(car)]);
    }
    let args = ["gc", &url, "--root", SMALL_ROOT];
    run(&[&args[..], &["--target-size", "0"]].concat()).failed(2, &["--target-size"]);
    assert_eq!(keys(&url).len(), 52);
    let done = succeed(&args);
    assert!(
        done.text().contains("1 block removed, 13 bytes"),
        "{done:?}"
    );
    assert_eq!(keys(&url).len(), 51);
    let dag = succeed(&["dag", &url, SMALL_ROOT]);
    assert!(dag.text().contains("complete, 51 blocks"), "{dag:?}");
}

/// Writes blocks of garbage into the files of a store.
#[cfg(target_os = "linux")]
fn add_garbage(store: &str, blocks: u64) {
    for number in 0..blocks {
        let key = ds_flatfs::Key::for_block(&number.to_le_bytes());
        let name = &key.as_str()[1..];
        let dir = format!("{store}/{}", ds_flatfs::Shard::default().dir(name));
        fs::create_dir_all(&dir).unwrap();
        fs::write(format!("{dir}/{name}.data"), number.to_le_bytes()).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_list_that_cannot_be_written_stops_the_removal() {
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let tmp = TestDir::new();
    let store = store(&tmp);
    let args = ["-q", "gc", "--list", "--json", &store, "--root", SMALL_ROOT];
    let gc = |args: &[&str]| {
        let output = program(args).stdout(full()).output();
        Finished::of(output.expect("the program runs"))
    };
    // More than the buffer of the list has room for.
    add_garbage(&store, 3_000);
    let all = keys(&store).len();
    gc(&[&args[..], &["-n"]].concat()).failed(3, &["cannot write standard output"]);
    assert_eq!(keys(&store).len(), all);
    let done = gc(&args);
    let left = keys(&store).len();
    assert!((52..all).contains(&left), "{left} of {all} left");
    let removed = match all - left {
        thousands @ 1_000.. => format!("{},{:03}", thousands / 1_000, thousands % 1_000),
        removed => removed.to_string(),
    };
    let stopped = format!("stopped after the removal of {removed} blocks");
    done.failed(3, &[&stopped, "cannot write standard output"]);
    // A list that is written at the end.
    succeed(&["gc", &store, "--root", SMALL_ROOT]);
    add_garbage(&store, 1);
    gc(&args).failed(
        3,
        &["1 block removed", "not all of them listed", "cannot write"],
    );
    assert_eq!(keys(&store).len(), 51);
}
