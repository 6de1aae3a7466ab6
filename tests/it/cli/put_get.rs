//! `put`, `get`, `has` and `rm`.

use std::fs;

use cid::Cid;
use cid::multibase::Base;
use data_encoding::BASE32_NOPAD;

use super::cars::{header, raw, varint};
use super::{TestDir, files, keys, run, run_with_input, succeed};

const HELLO: &[u8] = b"hello flatfs\n";

#[test]
fn a_put_prints_the_cid_by_which_the_block_is_found() {
    let tmp = TestDir::new();
    succeed(&["create", &tmp.store()]);
    let (a, b) = (tmp.file("a", b"a"), tmp.file("b", b""));
    let done = succeed(&["put", &tmp.store(), &a, &b]);
    assert_eq!(done.lines(), [raw(b"a").to_string(), raw(b"").to_string()]);
    // What a stream of text would change on Windows, or take for its end.
    let binary = b"a\r\nb\nc\x1ad\0\xff";
    for block in [HELLO, binary] {
        let piped = run_with_input(&["put", &tmp.store(), "-"], block);
        assert_eq!(piped.lines(), [raw(block).to_string()]);
    }
    for block in [b"a", &b""[..], HELLO, binary] {
        let got = succeed(&["get", &tmp.store(), &raw(block).to_string()]);
        assert_eq!(got.stdout, block);
    }
}

#[test]
fn a_block_over_2_mib_is_refused_unless_it_is_allowed() {
    let tmp = TestDir::new();
    succeed(&["create", &tmp.store()]);
    let fits = tmp.file("fits", &vec![1; 2 << 20]);
    let big = tmp.file("big", &vec![2; (2 << 20) + 1]);
    succeed(&["put", &tmp.store(), &fits]);
    run(&["put", &tmp.store(), &big]).failed(3, &[&big, "2 MiB", "--allow-big-block"]);
    assert_eq!(keys(&tmp.store()).len(), 1);
    succeed(&["put", "--allow-big-block", &tmp.store(), &big]);
    assert_eq!(keys(&tmp.store()).len(), 2);
}

#[test]
fn no_command_accepts_a_block_over_1_gib_or_gives_advice_that_does_not_help() {
    let tmp = TestDir::new();
    succeed(&["create", &tmp.store()]);
    let over = tmp.path("over");
    let made = fs::File::create(&over).and_then(|file| file.set_len((1 << 30) + 1));
    made.unwrap();
    let put = run(&["put", "--allow-big-block", &tmp.store(), &over]);
    put.failed(3, &[&over, "1 GiB"]);
    assert!(!put.stderr.contains("--allow"), "{put:?}");

    let section = [header(&[]), varint((1 << 30) + 1000), vec![1; 100]].concat();
    let car = tmp.file("over.car", &section);
    for args in [
        &["import", "--allow-big-block", &tmp.store(), &car][..],
        &["verify", "--repair", "--from", &car, &tmp.store()],
    ] {
        let done = run(args);
        done.failed(3, &[&car, "1 GiB"]);
        assert!(!done.stderr.contains("--allow"), "{done:?}");
        assert_eq!(done.text(), "");
    }
}

#[test]
fn standard_input_is_put_only_once() {
    let tmp = TestDir::new();
    succeed(&["create", &tmp.store()]);
    run(&["put", &tmp.store(), "-", "-"]).failed(2, &["standard input"]);
    assert_eq!(keys(&tmp.store()).len(), 0);
}

#[test]
fn a_backup_with_a_big_block_can_be_restored() {
    let tmp = TestDir::new();
    let big = tmp.file("big", &vec![3; 9 << 20]);
    let (car, copy) = (tmp.path("backup.car"), tmp.path("copy"));
    succeed(&["create", &tmp.store()]);
    succeed(&["put", "--allow-big-block", &tmp.store(), &big]);
    succeed(&["export", &tmp.store(), "-o", &car]);
    run(&["import", &copy, &car]).failed(3, &["over the limit", "--allow-big-block"]);
    succeed(&["import", "--allow-big-block", &copy, &car]);
    assert_eq!(keys(&copy), keys(&tmp.store()));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let tmp = TestDir::new();
    succeed(&["create", &tmp.store()]);
    let missing = tmp.path("missing");
    run(&["put", &tmp.store(), &missing]).failed(3, &[&missing]);
    run(&["put", &tmp.store(), &tmp.store()]).failed(3, &["directory"]);
    let nowhere = tmp.path("no/store");
    run(&["put", &nowhere, &tmp.file("file", b"x")]).failed(3, &[&nowhere]);
}

#[test]
fn a_put_creates_the_store_but_not_for_a_file_that_cannot_be_read() {
    let tmp = TestDir::new();
    let (file, missing) = (tmp.file("file", HELLO), tmp.path("missing"));
    run(&["put", &tmp.store(), &missing]).failed(3, &[&missing]);
    assert!(!fs::exists(tmp.store()).unwrap());
    let done = run(&["put", &tmp.store(), &file, &missing, &file]);
    done.failed(3, &[&missing]);
    assert_eq!(done.lines(), [raw(HELLO).to_string()], "before the error");
    assert_eq!(
        succeed(&["get", &tmp.store(), &raw(HELLO).to_string()]).stdout,
        HELLO
    );
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
fn a_recursive_put_stores_the_files_of_directories_and_skips_links() {
    let tmp = TestDir::new();
    let dir = tmp.path("dir");
    fs::create_dir_all(format!("{dir}/a/b")).unwrap();
    let mut expected = Vec::new();
    for (name, text) in [("one", "1"), ("a/two", "2"), ("a/b/three", "3")] {
        let path = format!("{dir}/{name}");
        fs::write(&path, text).unwrap();
        expected.push(format!("{}\t{path}", raw(text.as_bytes())));
    }
    run(&["put", &tmp.store(), &dir]).failed(3, &["is a directory", "-r"]);
    crate::platform::symlink("..", format!("{dir}/a/up")).unwrap();
    let done = run(&["put", "-r", &tmp.store(), &dir]);
    done.warned(&["warning", "a/up"]);
    let mut found: Vec<String> = done.lines().into_iter().map(str::to_owned).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);

    let json = succeed(&["put", "--json", &tmp.store(), &format!("{dir}/one")]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["path"], format!("{dir}/one"));
    assert_eq!(json["cid"], raw(b"1").to_string());
    assert_eq!((&json["size"], files(&tmp.store()).len()), (&1.into(), 3));
}

#[test]
fn many_blocks_are_put_and_removed_in_several_batches() {
    const COUNT: usize = 9000;
    let tmp = TestDir::new();
    fs::create_dir(tmp.path("dir")).unwrap();
    for number in 0..COUNT {
        tmp.file(&format!("dir/{number}"), number.to_string().as_bytes());
    }
    let put = succeed(&["put", "-r", &tmp.store(), &tmp.path("dir")]);
    assert_eq!(put.lines().len(), COUNT);
    assert_eq!(files(&tmp.store()).len(), COUNT);
    let listed = succeed(&["ls", &tmp.store(), "--limit", "8500"]);
    assert_eq!(listed.lines().len(), 8500);
    let done = run_with_input(&["rm", &tmp.store(), "-"], &listed.stdout);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let left = keys(&tmp.store());
    assert_eq!(left.len(), COUNT - 8500);
    assert!(!listed.lines().contains(&left[0].as_str()));
}

/// Returns all names of the block of hello.car.
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
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    for name in names() {
        assert_eq!(succeed(&["get", &store, &name]).stdout, HELLO, "{name}");
        assert_eq!(succeed(&["has", &store, &name]).stdout, b"", "{name}");
    }
}

#[test]
fn a_block_of_an_older_repo_is_found_under_its_whole_cid() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
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
fn an_absent_block_is_reported_by_the_exit_status() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    let (there, absent) = (raw(HELLO).to_string(), raw(b"absent").to_string());
    let done = run(&["has", &store, &there, &absent]);
    assert_eq!((done.code, done.stderr.as_str()), (1, ""), "{done:?}");
    assert_eq!(run(&["has", &store, "/NOPE"]).code, 1);
    run(&["get", &store, &absent]).failed(1, &[&absent, &store]);
    run(&["get", &store, "/NOPE"]).failed(1, &["/NOPE"]);
    run(&["has", &tmp.path("none"), &there]).failed(3, &["none"]);
}

#[test]
fn an_invalid_key_is_wrong_usage() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    for key in ["lower", "/lower", "../../etc", "/A/B", "", "bafkrei"] {
        for command in ["get", "has", "rm"] {
            run(&[command, &store, key]).failed(2, &["KEY", "--help"]);
        }
    }
}

#[test]
fn get_writes_the_whole_block_to_a_file() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    let (cid, file) = (raw(HELLO).to_string(), tmp.path("block"));
    succeed(&["get", &store, &cid, "-o", &file]);
    assert_eq!(fs::read(&file).unwrap(), HELLO);
    let nowhere = tmp.path("no/dir");
    let done = run(&["get", &store, &cid, "-o", &nowhere]);
    done.failed(3, &[&nowhere, crate::platform::NOT_FOUND]);
    assert!(!done.stderr.contains(".flatfs-"), "{done:?}");
}

#[test]
fn a_removed_block_is_gone_by_any_name() {
    for name in names() {
        let tmp = TestDir::new();
        let store = tmp.store_of("hello.car");
        succeed(&["rm", &store, &name]);
        assert_eq!(files(&store).len(), 0, "{name}");
    }
}

#[test]
fn removing_an_absent_block_is_reported_and_the_others_are_removed() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    let (there, absent) = (raw(HELLO).to_string(), raw(b"absent").to_string());
    // The second time it is not there either.
    let again = run(&["rm", &store, &absent, &there, &there]);
    assert_eq!(
        (again.code, again.stderr.lines().count()),
        (1, 2),
        "{again:?}"
    );
    assert!(
        again.stderr.contains(&absent) && again.stderr.contains(&there),
        "{again:?}"
    );
    assert_eq!(files(&store).len(), 0);
    succeed(&["rm", "--force", &store, &absent]);
}

#[test]
fn keys_to_remove_are_read_from_standard_input_line_by_line() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let before = keys(&store);
    let (absent, cid) = (
        raw(b"absent").to_string(),
        raw(&files(&store).into_values().next().unwrap()),
    );
    let input = format!("{}\n\n{absent}\r\n  {cid}", before[10]);
    let done = run_with_input(&["rm", &store, "-", &before[11]], input.as_bytes());
    done.failed(1, &[&absent, &store]);
    assert_eq!(keys(&store).len(), before.len() - 3);

    let input = format!("{}\nno key\n{}\n", before[20], before[21]);
    run_with_input(&["rm", &store, "-"], input.as_bytes()).failed(3, &["standard input", "no key"]);
    let after = keys(&store);
    assert!(!after.contains(&before[20]) && after.contains(&before[21]));
    run(&["rm", &store, "-", "-"]).failed(2, &["standard input"]);
}
