//! `export`.

use std::collections::BTreeMap;
use std::fs;

use cid::Cid;
use ipld_core::ipld;
use ipld_core::ipld::Ipld;
use multihash_codetable::{Code, MultihashDigest as _};

use super::cars::{header, parse, raw, section};
use super::{TestDir, files, fixture, run, succeed};
use crate::mounts::Mount;
use crate::platform::{EVERY, NULL_DEVICE};

const SMALL_ROOT: &str = "bafybeigsun6zhi4vrpryig6tfhvrb2ykn5dqg4q5fkm7rjgfyv6uc67xia";
const KUBO_ROOT: &str = "bafybeicgysyofkc6g7oxknhkecicbvaak4vrcaua4imd5g72jedbhbroyu";

fn set(blocks: Vec<(Cid, Vec<u8>)>) -> BTreeMap<Cid, Vec<u8>> {
    let count = blocks.len();
    let set: BTreeMap<_, _> = blocks.into_iter().collect();
    assert_eq!(set.len(), count, "each block once");
    set
}

#[test]
fn an_exported_dag_equals_the_imported_one() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    succeed(&["import", &store, &fixture("hello.car")]);
    let (roots, blocks) = parse(&succeed(&["export", &store, SMALL_ROOT]).stdout);
    let (expected_roots, expected) = parse(&fs::read(fixture("small.car")).unwrap());
    assert_eq!(roots, expected_roots);
    assert_eq!(blocks[0].0, roots[0], "the root comes first");
    assert_eq!(set(blocks), set(expected));
}

#[test]
fn without_roots_every_block_of_the_store_is_exported_as_raw() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let file = tmp.path("all.car");
    succeed(&["export", &store, "-o", &file]);
    let (roots, blocks) = parse(&fs::read(&file).unwrap());
    assert_eq!(roots, []);
    for (cid, block) in &blocks {
        assert_eq!(*cid, raw(block));
    }
    assert_eq!(set(blocks).len(), 51);
    succeed(&["import", &tmp.path("copy"), &file]);
    let names = |store: &str| files(store).into_values().collect::<Vec<_>>();
    assert_eq!(names(&tmp.path("copy")), names(&store));
}

#[test]
fn a_store_of_kubo_is_exported_from_its_root() {
    let tmp = TestDir::new();
    let store = tmp.kubo_store();
    let before = files(&store);
    let (roots, blocks) = parse(&succeed(&["export", &store, KUBO_ROOT]).stdout);
    assert_eq!(roots[0].to_string(), KUBO_ROOT);
    assert_eq!(blocks.len(), 6);
    for (cid, block) in blocks {
        assert_eq!(Code::Sha2_256.digest(&block), *cid.hash());
    }
    assert_eq!(files(&store), before);
}

/// Creates a store with a DAG of dag-cbor, dag-json, dag-pb and raw, in which two nodes have two links to
/// them. Returns its CIDs, from the root down.
fn mixed_store(tmp: &TestDir) -> (String, Vec<Cid>) {
    let node = |codec, block: &[u8]| Cid::new_v1(codec, Code::Sha2_256.digest(block));
    let leaf = b"leaf".to_vec();
    let leaf_cid = node(0x55, &leaf);
    let pb =
        ipld!({ "Links": [{ "Hash": Ipld::Link(leaf_cid) }, { "Hash": Ipld::Link(leaf_cid) }] });
    let pb = ipld_dagpb::from_ipld(&pb).unwrap();
    let pb_cid = node(0x70, &pb);
    let json = ipld!({ "a": Ipld::Link(pb_cid), "b": { "c": Ipld::Link(leaf_cid) } });
    let json = serde_ipld_dagjson::to_vec(&json).unwrap();
    let json_cid = node(0x0129, &json);
    let cbor = ipld!([Ipld::Link(json_cid), 1, { "x": Ipld::Link(pb_cid) }]);
    let cbor = serde_ipld_dagcbor::to_vec(&cbor).unwrap();
    let cbor_cid = node(0x71, &cbor);
    let bytes = [
        header(&[cbor_cid]),
        section(&cbor_cid, &cbor),
        section(&leaf_cid, &leaf),
        section(&json_cid, &json),
        section(&pb_cid, &pb),
    ];
    let file = tmp.file("mixed.car", &bytes.concat());
    succeed(&["import", &tmp.store(), &file]);
    (tmp.store(), vec![cbor_cid, json_cid, pb_cid, leaf_cid])
}

#[test]
fn links_are_followed_through_all_codecs_depth_first_and_each_block_once() {
    let tmp = TestDir::new();
    let (store, cids) = mixed_store(&tmp);
    let done = succeed(&["export", &store, &cids[0].to_string(), &cids[2].to_string()]);
    let (roots, blocks) = parse(&done.stdout);
    assert_eq!(roots, [cids[0], cids[2]]);
    let found: Vec<Cid> = blocks.into_iter().map(|(cid, _)| cid).collect();
    assert_eq!(found, cids);
}

#[test]
fn a_missing_block_is_an_error_that_names_it_and_leaves_no_file() {
    let tmp = TestDir::new();
    let (store, cids) = mixed_store(&tmp);
    let root = cids[0].to_string();
    succeed(&["rm", &store, &cids[3].to_string()]);
    let done = run(&["export", &store, &root, "-o", &tmp.path("dag.car")]);
    done.failed(3, &["missing", &cids[3].to_string(), &cids[2].to_string()]);
    assert!(!fs::exists(tmp.path("dag.car")).unwrap());
    let left = fs::read_dir(tmp.0.path()).unwrap().count();
    assert_eq!(left, 2, "the store and the imported CAR");
}

#[test]
fn a_failed_export_leaves_the_file_that_was_there() {
    let tmp = TestDir::new();
    let (store, cids) = mixed_store(&tmp);
    succeed(&["rm", &store, &cids[3].to_string()]);
    let file = tmp.file("dag.car", b"before");
    assert_eq!(
        run(&["export", &store, &cids[0].to_string(), "-o", &file]).code,
        3
    );
    assert_eq!(fs::read(&file).unwrap(), b"before");
    succeed(&["export", &store, "-o", &file]);
    assert_eq!(parse(&fs::read(&file).unwrap()).1.len(), 3);
}

#[test]
fn an_absent_root_is_an_error_before_anything_is_written() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    let done = run(&["export", &store, SMALL_ROOT]);
    done.failed(3, &[SMALL_ROOT, "root", &store]);
    assert_eq!(done.stdout, b"");
    run(&["export", &store, "NOCID"]).failed(2, &["NOCID"]);
}

#[test]
fn a_damaged_block_is_an_error_that_names_it() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    let cid = raw(b"hello flatfs\n").to_string();
    for path in files(&store).keys() {
        fs::write(path, b"hello fl4tfs\n").unwrap();
    }
    for args in [&["export", &store][..], &["export", &store, &cid]] {
        run(args).failed(3, &[&cid, "damaged", "flatfs verify --repair"]);
    }
}

#[test]
fn a_car_of_an_export_that_failed_is_refused_as_cut_short() {
    let tmp = TestDir::new();
    let (store, copy) = (tmp.store_of("small.car"), tmp.path("copy"));
    for path in files(&store).into_keys().step_by(EVERY) {
        let whole = fs::read(&path).unwrap();
        fs::write(&path, b"damaged").unwrap();
        let done = run(&["export", &store]);
        done.failed(3, &["damaged"]);
        let half = tmp.file("half.car", &done.stdout);
        run(&["import", &copy, &half]).failed(3, &["none of", "cut short"]);
        fs::write(&path, whole).unwrap();
    }
}

#[test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
fn an_export_to_a_full_disk_names_the_file_that_was_asked_for() {
    let Some(mount) = Mount::tmpfs("size=300k") else {
        return;
    };
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let car = mount.path().join("all.car").display().to_string();
    let done = run(&["export", &store, "-o", &car]);
    done.failed(3, &[&car, "No space left"]);
    assert!(!done.stderr.contains(".flatfs-"), "{done:?}");
    assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 0);
}

#[test]
fn an_unknown_codec_is_an_error_that_names_it() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    let cid = Cid::new_v1(0x1234, *raw(b"hello flatfs\n").hash());
    run(&["export", &store, &cid.to_string()]).failed(3, &["0x1234", "codec", &cid.to_string()]);
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    succeed(&["export", &store, "-o", NULL_DEVICE]);
    assert!(!fs::metadata(NULL_DEVICE).is_ok_and(|found| found.is_file()));
    // It is read as an empty file.
    run(&["import", &store, NULL_DEVICE]).failed(3, &[NULL_DEVICE, "empty"]);
}
