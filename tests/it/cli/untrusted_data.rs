//! Data of unknown origin must not cost much time, memory or output, and nothing in it may be missed.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use cid::multihash::Multihash;
use cid::{Cid, CidGeneric};
use ipld_core::ipld;
use ipld_core::ipld::Ipld;
use multihash_codetable::{Code, MultihashDigest as _};
use serde_json::Value;

use super::cars::{header, parse, raw, section, varint};
use super::{TestDir, files, keys, run, succeed};

const DAG_CBOR: u64 = 0x71;
const DAG_JSON: u64 = 0x0129;

/// The most that the program may print about one error, in bytes.
const MAX_LINE: usize = 1000;

fn cid_of(codec: u64, block: &[u8]) -> Cid {
    Cid::new_v1(codec, Code::Sha2_256.digest(block))
}

/// Imports blocks, each with the codec of its CID.
fn import(tmp: &TestDir, blocks: &[(Cid, Vec<u8>)]) {
    let sections: Vec<Vec<u8>> = blocks
        .iter()
        .map(|(cid, block)| section(cid, block))
        .collect();
    let car = tmp.file("blocks.car", &[header(&[]), sections.concat()].concat());
    succeed(&["import", &tmp.store(), &car]);
}

#[test]
fn a_link_text_of_a_mebibyte_is_refused_at_once_in_a_short_line() {
    for base in ["z", "k", "9"] {
        let tmp = TestDir::new();
        let json = format!(r#"{{"/":"{base}{}"}}"#, "2".repeat(1 << 20)).into_bytes();
        let cid = cid_of(DAG_JSON, &json);
        import(&tmp, &[(cid, json)]);
        let started = Instant::now();
        let done = run(&["export", &tmp.store(), &cid.to_string()]);
        assert!(started.elapsed() < Duration::from_secs(30));
        done.failed(3, &[&cid.to_string(), "dag-json", "longer than a CID"]);
        assert!(done.stderr.len() < MAX_LINE, "{done:?}");
    }
}

#[test]
fn bytes_after_the_value_of_a_block_are_refused() {
    let leaf = raw(b"leaf");
    let value = ipld!({ "a": Ipld::Link(leaf) });
    let cbor = serde_ipld_dagcbor::to_vec(&value).unwrap();
    let json = serde_ipld_dagjson::to_vec(&value).unwrap();
    for (codec, value, name) in [(DAG_CBOR, cbor, "dag-cbor"), (DAG_JSON, json, "dag-json")] {
        let tmp = TestDir::new();
        let doubled = value.repeat(2);
        let (good, bad) = (cid_of(codec, &value), cid_of(codec, &doubled));
        let blocks = [(leaf, b"leaf".to_vec()), (good, value), (bad, doubled)];
        import(&tmp, &blocks);
        succeed(&["export", &tmp.store(), &good.to_string()]);
        let done = run(&["export", &tmp.store(), &bad.to_string()]);
        done.failed(3, &[&bad.to_string(), name, "not valid"]);
    }
}

#[test]
fn a_long_field_name_in_a_car_header_is_not_printed_whole() {
    let tmp = TestDir::new();
    let map = BTreeMap::from([("x".repeat(900_000), 1)]);
    let bytes = serde_ipld_dagcbor::to_vec(&map).unwrap();
    let car = tmp.file("bad.car", &[varint(bytes.len() as u64), bytes].concat());
    let done = run(&["import", &tmp.store(), &car]);
    done.failed(3, &["bad.car", "not a CAR header"]);
    assert!(done.stderr.len() < MAX_LINE, "{}", done.stderr.len());
}

#[test]
fn equal_absent_roots_are_reported_once_and_only_some_of_many() {
    let tmp = TestDir::new();
    let equal = tmp.file("equal.car", &header(&vec![raw(b"absent"); 20_000]));
    let done = run(&["import", &tmp.store(), &equal]);
    done.failed(1, &[&raw(b"absent").to_string(), "cut short"]);
    assert_eq!(done.lines().len(), 2, "{done:?}");

    let roots: Vec<Cid> = (0..20_000_u32).map(|i| raw(&i.to_le_bytes())).collect();
    let many = tmp.file("many.car", &header(&roots));
    let done = run(&["import", &tmp.store(), &many]);
    assert_eq!(done.code, 1);
    assert_eq!(done.stderr.lines().count(), 101);
    assert!(done.stderr.contains("19,900 more roots"), "{done:?}");
    assert_eq!(done.lines().len(), 102);
    assert!(done.text().contains("19,900 more roots"), "{done:?}");
}

#[test]
fn a_header_of_many_tiny_roots_is_refused() {
    let tmp = TestDir::new();
    let tiny = Cid::new_v1(0x55, Multihash::wrap(0, b"").unwrap());
    let car = tmp.file("tiny.car", &header(&vec![tiny; 1 << 18]));
    run(&["import", &tmp.store(), &car]).failed(3, &["tiny.car", "header", "limit"]);
    assert!(!fs::exists(tmp.store()).unwrap());
}

/// A CID that contains a block of `len` bytes, and its section in a CAR.
fn long_identity(len: usize) -> (CidGeneric<200>, Vec<u8>) {
    let block = vec![b'x'; len];
    let cid = CidGeneric::<200>::new_v1(0x55, Multihash::wrap(0, &block).unwrap());
    let section = [cid.to_bytes(), block].concat();
    (cid, [varint(section.len() as u64), section].concat())
}

#[test]
fn a_cid_may_contain_a_block_of_128_bytes() {
    let root = raw(b"block");
    for len in [64, 65, 128] {
        let tmp = TestDir::new();
        let (cid, long) = long_identity(len);
        let block = section(&root, b"block");
        let car = [header(&[root]), long.clone(), block].concat();
        let car = tmp.file("long.car", &car);
        let done = succeed(&["import", &tmp.store(), &car]);
        let stats = "2 blocks (1 inline in their CIDs), 1 new";
        assert!(done.text().contains(stats), "{done:?}");
        assert_eq!(keys(&tmp.store()).len(), 1);
        succeed(&["verify", "--repair", "--from", &car, &tmp.store()]);

        // As the root.
        let roots = serde_ipld_dagcbor::to_vec(&(cid,)).unwrap();
        let start = [&b"\xa2\x65roots"[..], &roots, b"\x67version\x01"].concat();
        let car = [varint(start.len() as u64), start, long].concat();
        let car = tmp.file("root.car", &car);
        let done = succeed(&["import", &tmp.store(), &car]);
        assert!(done.text().contains(&format!("root {cid}")), "{done:?}");
    }
    let tmp = TestDir::new();
    let (_, longer) = long_identity(129);
    let car = tmp.file("longer.car", &[header(&[]), longer].concat());
    run(&["import", &tmp.store(), &car]).failed(3, &["longer.car", "CID"]);
    let (_, mut wrong) = long_identity(100);
    *wrong.last_mut().unwrap() = b'y';
    let car = tmp.file("wrong.car", &[header(&[]), wrong].concat());
    run(&["import", &tmp.store(), &car]).failed(3, &["wrong.car", "hash"]);
    // The digest of any other function has at most 64 bytes.
    let digest = CidGeneric::<200>::new_v1(0x55, Multihash::wrap(0x1234, &[7; 65]).unwrap());
    let bytes = digest.to_bytes();
    let bytes = [header(&[]), varint(bytes.len() as u64), bytes].concat();
    let car = tmp.file("digest.car", &bytes);
    run(&["import", "--unverified", &tmp.store(), &car]).failed(3, &["digest.car", "CID"]);
}

#[test]
fn blocks_of_codecs_without_links_are_leaves() {
    let tmp = TestDir::new();
    let leaves = [
        (0x0200, br#"{"a": 1}"#.to_vec()),
        (0x51, b"\xa1\x61a\x01".to_vec()),
        (0x72, b"\x08\x01\x12\x00".to_vec()),
    ];
    let leaves = leaves.map(|(codec, block)| (cid_of(codec, &block), block));
    let links: Vec<Ipld> = leaves.iter().map(|(cid, _)| Ipld::Link(*cid)).collect();
    let node = serde_ipld_dagcbor::to_vec(&links).unwrap();
    let root = cid_of(DAG_CBOR, &node);
    let dag = [&[(root, node)][..], &leaves].concat();
    import(&tmp, &dag);
    let exported = succeed(&["export", &tmp.store(), &root.to_string()]);
    assert_eq!(parse(&exported.stdout), (vec![root], dag));
    let json = leaves[0].0.to_string();
    succeed(&["export", &tmp.store(), &json]);
}

#[test]
fn a_block_of_an_unknown_codec_is_a_leaf_if_that_is_allowed() {
    let tmp = TestDir::new();
    let car = (cid_of(0x0202, b"a CAR"), b"a CAR".to_vec());
    let node = serde_ipld_dagcbor::to_vec(&[Ipld::Link(car.0)]).unwrap();
    let root = cid_of(DAG_CBOR, &node);
    let dag = vec![(root, node), car.clone()];
    import(&tmp, &dag);
    let (store, root) = (tmp.store(), root.to_string());
    let export = ["export", &store, &root];
    run(&export).failed(3, &[&car.0.to_string(), "0x202", "--opaque"]);
    let exported = succeed(&[&export[..], &["--opaque"]].concat());
    assert_eq!(parse(&exported.stdout).1, dag);
    run(&["export", "--opaque", &tmp.store()]).failed(2, &["ROOT"]);
}

#[test]
#[cfg_attr(
    windows,
    ignore = "names of files on Windows have no control characters"
)]
fn file_names_in_json_cannot_control_the_terminal() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    let name = "\u{9b}31m\u{85}\u{202e}";
    let foreign = tmp.file(&format!("store/{name}"), b"x");
    let is_safe = |text: &str| !text.contains(['\u{9b}', '\u{85}', '\u{202e}']);

    let verified = succeed(&["verify", "--json", &store]);
    assert!(is_safe(verified.text()), "{verified:?}");
    let finding: Value = serde_json::from_str(verified.lines()[0]).unwrap();
    assert_eq!(finding["path"], foreign);

    let moved = run(&["move", "--json", &store, &tmp.path("new")]);
    assert!(is_safe(moved.text()), "{moved:?}");
    let moved: Value = serde_json::from_slice(&moved.stdout).unwrap();
    assert_eq!(moved["skipped"][0]["path"], foreign);
}

#[test]
fn a_store_with_blocks_that_cannot_be_checked_is_not_called_healthy() {
    let tmp = TestDir::new();
    let strange = Cid::new_v1(0x55, Multihash::wrap(0x1234, &[7; 32]).unwrap());
    let sections = [section(&strange, b"x"), section(&raw(b"y"), b"y")].concat();
    let car = tmp.file("strange.car", &[header(&[]), sections].concat());
    let store = tmp.store();
    succeed(&["import", "--unverified", &store, &car]);
    let before = files(&store);
    let unchecked = "; 1 block could not be checked (by hash function: 0x1234: 1)\n";
    for args in [&["verify"][..], &["verify", "--repair"]] {
        let done = run(&[args, &[&store]].concat());
        assert_eq!((done.code, done.stderr.as_str()), (1, ""), "{done:?}");
        assert!(done.text().ends_with(unchecked), "{done:?}");
        assert!(!done.text().contains("nothing is wrong"), "{done:?}");
    }
    let done = succeed(&["verify", "--allow-unchecked", &store]);
    assert!(done.text().ends_with(unchecked), "{done:?}");
    let done = run(&["verify", "--json", &store]);
    let summary: Value = serde_json::from_str(done.lines().last().unwrap()).unwrap();
    let summary = &summary["summary"];
    assert_eq!((done.code, &summary["unchecked"]), (1, &1.into()));
    assert_eq!(summary["unchecked_functions"]["0x1234"], 1);
    assert_eq!(files(&store), before);
}
