//! `put`, `get`, `has` and `rm`

use std::fs;

use cid::Cid;
use cid::multibase::Base;
use data_encoding::BASE32_NOPAD;

use super::cars::{header, raw, varint};
use super::{Room, files, keys, run, run_with_input, succeed};

const HELLO: &[u8] = b"hello flatfs\n";

#[test]
fn a_put_prints_the_cid_by_which_the_block_is_found() {
    let room = Room::new();
    succeed(&["create", &room.store()]);
    let (a, b) = (room.file("a", b"a"), room.file("b", b""));
    let done = succeed(&["put", &room.store(), &a, &b]);
    assert_eq!(done.lines(), [raw(b"a").to_string(), raw(b"").to_string()]);
    let piped = run_with_input(&["put", &room.store(), "-"], HELLO);
    assert_eq!(piped.lines(), [raw(HELLO).to_string()]);
    for (block, cid) in [(&b"a"[..], raw(b"a")), (b"", raw(b"")), (HELLO, raw(HELLO))] {
        let got = succeed(&["get", &room.store(), &cid.to_string()]);
        assert_eq!(got.stdout, block);
    }
}

#[test]
fn a_block_over_2_mib_is_refused_unless_it_is_allowed() {
    let room = Room::new();
    succeed(&["create", &room.store()]);
    let fits = room.file("fits", &vec![1; 2 << 20]);
    let big = room.file("big", &vec![2; (2 << 20) + 1]);
    succeed(&["put", &room.store(), &fits]);
    run(&["put", &room.store(), &big]).failed(1, &[&big, "2 MiB", "--allow-big-block"]);
    assert_eq!(keys(&room.store()).len(), 1);
    succeed(&["put", "--allow-big-block", &room.store(), &big]);
    assert_eq!(keys(&room.store()).len(), 2);
}

#[test]
fn no_command_takes_a_block_over_1_gib_and_none_advises_what_does_not_help() {
    let room = Room::new();
    succeed(&["create", &room.store()]);
    let over = room.path("over");
    let made = fs::File::create(&over).and_then(|file| file.set_len((1 << 30) + 1));
    made.unwrap();
    let put = run(&["put", "--allow-big-block", &room.store(), &over]);
    put.failed(1, &[&over, "1 GiB"]);
    assert!(!put.stderr.contains("--allow"), "{put:?}");

    let section = [header(&[]), varint((1 << 30) + 1000), vec![1; 100]].concat();
    let car = room.file("over.car", &section);
    for args in [
        &["import", "--allow-big-block", &room.store(), &car][..],
        &["verify", "--repair", "--from", &car, &room.store()],
    ] {
        let done = run(args);
        done.failed(1, &[&car, "1 GiB"]);
        assert!(!done.stderr.contains("--allow"), "{done:?}");
        assert_eq!(done.text(), "");
    }
}

#[test]
fn standard_input_is_put_only_once() {
    let room = Room::new();
    succeed(&["create", &room.store()]);
    run(&["put", &room.store(), "-", "-"]).failed(2, &["standard input"]);
    assert_eq!(keys(&room.store()).len(), 0);
}

#[test]
fn a_backup_with_a_big_block_can_be_restored() {
    let room = Room::new();
    let big = room.file("big", &vec![3; 9 << 20]);
    let (car, copy) = (room.path("backup.car"), room.path("copy"));
    succeed(&["create", &room.store()]);
    succeed(&["put", "--allow-big-block", &room.store(), &big]);
    succeed(&["export", &room.store(), "-o", &car]);
    run(&["import", &copy, &car]).failed(1, &["over the limit", "--allow-big-block"]);
    succeed(&["import", "--allow-big-block", &copy, &car]);
    assert_eq!(keys(&copy), keys(&room.store()));
}

#[test]
fn a_file_that_can_not_be_read_is_named() {
    let room = Room::new();
    succeed(&["create", &room.store()]);
    let missing = room.path("missing");
    run(&["put", &room.store(), &missing]).failed(1, &[&missing]);
    run(&["put", &room.store(), &room.store()]).failed(1, &["directory"]);
    run(&["put", &room.path("no store"), "-"]).failed(1, &["no store"]);
}

/// All names under which the block of hello.car can be asked for.
fn names() -> Vec<String> {
    let cid = raw(HELLO);
    let key = BASE32_NOPAD.encode(&cid.hash().to_bytes());
    let v0 = Cid::new_v0(*cid.hash()).unwrap();
    let pb = Cid::new_v1(0x70, *cid.hash());
    vec![
        format!("/{key}"),
        key,
        cid.to_string(),
        pb.to_string(),
        v0.to_string(),
        format!("/ipfs/{v0}"),
        cid.to_string_of_base(Base::Base58Btc).unwrap(),
        cid.to_string_of_base(Base::Base16Upper).unwrap(),
        cid.to_string_of_base(Base::Base36Lower).unwrap(),
    ]
}

#[test]
fn a_block_is_found_by_its_key_and_by_any_of_its_cids() {
    let room = Room::new();
    let store = room.store_of("hello.car");
    for name in names() {
        assert_eq!(succeed(&["get", &store, &name]).stdout, HELLO, "{name}");
        assert_eq!(succeed(&["has", &store, &name]).stdout, b"", "{name}");
    }
}

#[test]
fn a_block_of_an_older_repo_is_found_under_its_whole_cid() {
    let room = Room::new();
    let store = room.store_of("hello.car");
    let cid = raw(HELLO);
    let old = BASE32_NOPAD.encode(&cid.to_bytes());
    let (path, block) = files(&store).pop_first().unwrap();
    fs::remove_file(path).unwrap();
    let dir = format!("{store}/{}", &old[old.len() - 3..old.len() - 1]);
    fs::create_dir_all(&dir).unwrap();
    fs::write(format!("{dir}/{old}.data"), block).unwrap();
    assert_eq!(
        succeed(&["ls", "--cids", &store]).lines(),
        [cid.to_string()]
    );
    assert_eq!(succeed(&["get", &store, &cid.to_string()]).stdout, HELLO);
    succeed(&["export", &store, &cid.to_string()]);
    succeed(&["rm", &store, &cid.to_string()]);
    assert_eq!(files(&store).len(), 0);
}

#[test]
fn what_is_not_there_is_told_by_the_exit_status() {
    let room = Room::new();
    let store = room.store_of("hello.car");
    let (there, absent) = (raw(HELLO).to_string(), raw(b"absent").to_string());
    let done = run(&["has", &store, &there, &absent]);
    assert_eq!((done.code, done.stderr.as_str()), (1, ""), "{done:?}");
    assert_eq!(run(&["has", &store, "/NOPE"]).code, 1);
    run(&["get", &store, &absent]).failed(1, &[&absent, &store]);
    run(&["get", &store, "/NOPE"]).failed(1, &["/NOPE"]);
    run(&["has", &room.path("none"), &there]).failed(2, &["none"]);
}

#[test]
fn a_key_that_is_none_is_wrong_usage() {
    let room = Room::new();
    let store = room.store_of("hello.car");
    for key in ["lower", "/lower", "../../etc", "/A/B", "", "bafkrei"] {
        for command in ["get", "has", "rm"] {
            run(&[command, &store, key]).failed(2, &["KEY", "--help"]);
        }
    }
}

#[test]
fn a_get_into_a_file_writes_all_of_it() {
    let room = Room::new();
    let store = room.store_of("hello.car");
    let (cid, file) = (raw(HELLO).to_string(), room.path("block"));
    succeed(&["get", &store, &cid, "-o", &file]);
    assert_eq!(fs::read(&file).unwrap(), HELLO);
    let nowhere = room.path("no/dir");
    let done = run(&["get", &store, &cid, "-o", &nowhere]);
    done.failed(1, &[&nowhere, "No such file or directory"]);
    assert!(!done.stderr.contains(".flatfs-"), "{done:?}");
}

#[test]
fn a_removed_block_is_gone_by_any_name() {
    for name in names() {
        let room = Room::new();
        let store = room.store_of("hello.car");
        succeed(&["rm", &store, &name]);
        assert_eq!(files(&store).len(), 0, "{name}");
    }
}

#[test]
fn removing_what_is_not_there_is_told_and_the_rest_is_removed() {
    let room = Room::new();
    let store = room.store_of("hello.car");
    let (there, absent) = (raw(HELLO).to_string(), raw(b"absent").to_string());
    run(&["rm", &store, &absent, &there]).failed(1, &[&absent, &store]);
    assert_eq!(files(&store).len(), 0);
    succeed(&["rm", "--force", &store, &absent]);
}
