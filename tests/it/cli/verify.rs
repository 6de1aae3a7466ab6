//! `verify` and `verify --repair`.

use std::fs;
use std::io;
use std::path::{MAIN_SEPARATOR, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use super::cars::{car, header, parse, section};
use super::{Finished, TestDir, files, fixture, program, run, run_with_input, start, succeed};
use crate::platform::{ODD_NAME, interrupt};

/// Creates a store with the blocks of `small.car`, of which the first is damaged, the second is empty, and
/// the third is in the wrong place, and with a foreign file.
fn damaged_store(tmp: &TestDir) -> (String, Vec<PathBuf>) {
    let store = tmp.store_of("small.car");
    let blocks: Vec<PathBuf> = files(&store).into_keys().collect();
    fs::write(&blocks[0], b"damaged").unwrap();
    fs::write(&blocks[1], b"").unwrap();
    let stray = PathBuf::from(&store).join(blocks[2].file_name().unwrap());
    fs::rename(&blocks[2], stray).unwrap();
    tmp.file(&format!("store/{}", ODD_NAME.0), b"mine");
    (store, blocks)
}

#[track_caller]
fn has_lines(done: &Finished, beginnings: &[&str]) {
    for beginning in beginnings {
        let found = done.lines().iter().any(|line| line.starts_with(beginning));
        assert!(found, "{beginning:?} in {done:?}");
    }
    assert_eq!(done.lines().len(), beginnings.len(), "{done:?}");
}

#[test]
fn nothing_is_wrong_with_a_healthy_store() {
    let tmp = TestDir::new();
    let store = tmp.kubo_store();
    for args in [
        &["verify"][..],
        &["verify", "--quick"],
        &["verify", "--repair"],
    ] {
        let done = succeed(&[args, &[&store]].concat());
        has_lines(&done, &["7 blocks, 1,048,930 bytes, "]);
        let end = "s: nothing found; nothing is wrong";
        assert!(done.lines()[0].ends_with(end), "{done:?}");
    }
}

#[test]
fn each_finding_is_a_line_and_damage_makes_the_exit_status_1() {
    let tmp = TestDir::new();
    let (store, blocks) = damaged_store(&tmp);
    let before = files(&store);
    let done = run(&["verify", &store]);
    assert_eq!((done.code, done.stderr.as_str()), (1, ""), "{done:?}");
    let [corrupt, empty] = [0, 1].map(|index| blocks[index].display().to_string());
    let stray = blocks[2].file_name().unwrap().to_str().unwrap();
    has_lines(
        &done,
        &[
            &format!("corrupt: {corrupt}: its 7 bytes"),
            &format!("empty: {empty}: "),
            &format!("misplaced: {store}{MAIN_SEPARATOR}{stray}: "),
            &format!("foreign: {store}{MAIN_SEPARATOR}{}: ", ODD_NAME.1),
            "51 blocks, ",
        ],
    );
    let end = ": 1 corrupt, 1 empty, 1 foreign, 1 misplaced; 3 wrong\n";
    assert!(done.text().ends_with(end), "{done:?}");
    assert_eq!(files(&store), before);

    let quick = run(&["verify", "--quick", &store]);
    assert_eq!(quick.code, 1);
    let end = ": 1 empty, 1 foreign, 1 misplaced; 2 wrong\n";
    assert!(quick.text().ends_with(end), "{quick:?}");
}

#[test]
fn json_has_a_line_for_each_finding_and_one_for_the_summary() {
    let tmp = TestDir::new();
    let (store, blocks) = damaged_store(&tmp);
    let done = run(&["verify", "--json", &store]);
    assert_eq!(done.code, 1, "{done:?}");
    let lines: Vec<Value> = done
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (last, findings) = lines.split_last().unwrap();
    assert_eq!(findings.len(), 4);
    let corrupt = findings
        .iter()
        .find(|it| it["finding"] == "corrupt")
        .unwrap();
    assert_eq!(corrupt["path"], blocks[0].to_str().unwrap());
    assert!(corrupt["key"].as_str().unwrap().starts_with("/CIQ"));
    let cid = corrupt["cid"].as_str().unwrap();
    assert!(succeed(&["ls", "--cids", &store]).lines().contains(&cid));
    assert_eq!(
        (&corrupt["wrong"], &corrupt["done"]),
        (&true.into(), &Value::Null)
    );
    assert_eq!(last["summary"]["blocks"], 51);
    assert_eq!(last["summary"]["wrong"], 3);
    assert_eq!(last["summary"]["findings"]["foreign"], 1);
    assert!(last["seconds"].is_f64());
}

#[test]
fn a_repair_from_a_car_makes_the_store_whole() {
    let tmp = TestDir::new();
    let whole = files(&tmp.store_of("small.car"));
    fs::remove_dir_all(tmp.store()).unwrap();
    let (store, blocks) = damaged_store(&tmp);
    fs::remove_file(&blocks[3]).unwrap();
    let done = succeed(&[
        "verify",
        "--repair",
        "--all",
        "--from",
        &fixture("small.car"),
        &store,
    ]);
    let end = ": 1 corrupt, 1 empty, 1 foreign, 1 misplaced, 3 missing; nothing is wrong\n";
    assert!(done.text().ends_with(end), "{done:?}");
    has_lines(
        &done,
        &[
            "corrupt: ",
            "empty: ",
            "foreign: ",
            "misplaced: ",
            "restored: 3 blocks",
            "50 blocks, ",
        ],
    );
    let quarantine = tmp.path("store/.quarantine");
    let (quarantined, found): (Vec<_>, Vec<_>) = files(&store)
        .into_iter()
        .partition(|(path, _)| path.starts_with(&quarantine));
    assert_eq!(found, whole.into_iter().collect::<Vec<_>>());
    assert_eq!(quarantined.len(), 2);
    let done = succeed(&["verify", &store]);
    has_lines(&done, &["foreign: ", "51 blocks, "]);
    assert!(
        succeed(&["stat", "--json", &store])
            .text()
            .contains("\"blocks\":51")
    );
}

#[test]
fn a_repair_takes_from_a_car_only_what_was_damaged() {
    let tmp = TestDir::new();
    let (store, blocks) = damaged_store(&tmp);
    // A garbage collection may have removed it since the backup was made.
    fs::remove_file(&blocks[3]).unwrap();
    let car = fixture("small.car");
    let done = succeed(&["verify", "--repair", "--from", &car, &store]);
    let end = ": 1 corrupt, 1 empty, 1 foreign, 1 misplaced, 2 missing; nothing is wrong\n";
    assert!(done.text().ends_with(end), "{done:?}");
    assert!(done.lines().contains(&"restored: 2 blocks"), "{done:?}");
    assert_eq!(super::keys(&store).len(), 50);
    assert!(!blocks[3].exists());

    let done = succeed(&[
        "verify", "--repair", "--json", "--all", "--from", &car, &store,
    ]);
    let restored: Value = serde_json::from_str(done.lines()[1]).unwrap();
    assert_eq!(restored["path"], blocks[3].to_str().unwrap());
    assert_eq!(super::keys(&store).len(), 51);
    run(&["verify", "--repair", "--all", &store]).failed(2, &["--from"]);
}

#[test]
#[cfg_attr(windows, ignore = "the recipe is for a shell of Unix")]
fn a_check_that_finds_something_and_one_that_fails_have_different_exit_statuses() {
    let tmp = TestDir::new();
    let (store, _) = damaged_store(&tmp);
    assert_eq!(run(&["verify", &store]).code, 1);
    run(&["verify", &tmp.path("missing")]).failed(3, &["missing"]);
    let car = fixture("small.car");
    // As the recipe has it: nothing is repaired unless something was found.
    let recipe = |store: &str| {
        let script =
            "\"$0\" verify \"$1\"; [ $? -ne 1 ] || \"$0\" verify --repair --from \"$2\" \"$1\"";
        let mut shell = std::process::Command::new("sh");
        let program = env!("CARGO_BIN_EXE_flatfs");
        let shell = shell.args(["-c", script, program, store, &car]);
        Finished::of(shell.stdin(Stdio::null()).output().unwrap())
    };
    let done = recipe(&store);
    assert!(done.text().contains("restored: 2 blocks"), "{done:?}");
    assert_eq!(recipe(&store).lines().len(), 2);
    let done = recipe(&tmp.path("missing"));
    assert_eq!(
        (done.stderr.lines().count(), done.text()),
        (1, ""),
        "{done:?}"
    );
}

#[test]
fn what_no_car_has_is_lost_until_a_car_has_it() {
    let tmp = TestDir::new();
    let (store, blocks) = damaged_store(&tmp);
    let (_, all) = parse(&fs::read(fixture("small.car")).unwrap());
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let key = |cid: &cid::Cid| ds_flatfs::Key::from_cid(cid).as_str()[1..].to_owned();
    let of = |path: &PathBuf| all.iter().find(|(cid, _)| key(cid) == name(path)).unwrap();
    let (cid, block) = of(&blocks[0]);
    let first = tmp.file("first.car", &[header(&[]), section(cid, block)].concat());
    for _ in 0..2 {
        let done = run(&["verify", "--repair", "--from", &first, &store]);
        assert_eq!(done.code, 1, "{done:?}");
        let lost = done.lines();
        let lost: Vec<_> = lost
            .iter()
            .filter(|line| line.starts_with("lost: "))
            .collect();
        assert_eq!(lost.len(), 1, "{done:?}");
        assert!(lost[0].contains(&name(&blocks[1])), "{done:?}");
        let done = run(&["verify", &store]);
        assert_eq!(done.code, 1, "{done:?}");
        has_lines(&done, &[lost[0], "foreign: ", "50 blocks, "]);
    }
    let (cid, block) = of(&blocks[1]);
    let second = [header(&[]), section(cid, block)].concat();
    let done = run_with_input(&["verify", "--repair", "--from", "-", &store], &second);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    has_lines(&succeed(&["verify", &store]), &["foreign: ", "51 blocks, "]);
}

#[test]
fn a_block_without_a_good_copy_is_reported_as_lost_until_it_is_put_again() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let (path, block) = files(&store).pop_first().unwrap();
    let cid = super::cars::raw(&block).to_string();
    fs::write(&path, b"damaged").unwrap();
    assert_eq!(run(&["verify", "--repair", &store]).code, 1);

    for args in [
        &["verify"][..],
        &["verify", "--quick"],
        &["verify", "--repair"],
    ] {
        let done = run(&[args, &[&store]].concat());
        assert_eq!((done.code, done.stderr.as_str()), (1, ""), "{done:?}");
        has_lines(
            &done,
            &[&format!("lost: {}: ", path.display()), "50 blocks, "],
        );
        for part in [".quarantine", "get it again", &cid] {
            assert!(done.lines()[0].contains(part), "{part:?} in {done:?}");
        }
        assert!(done.text().ends_with(": 1 lost; 1 wrong\n"), "{done:?}");
    }
    let done = run(&["verify", "--json", &store]);
    let lost: Value = serde_json::from_str(done.lines()[0]).unwrap();
    assert_eq!(
        (&lost["finding"], &lost["wrong"]),
        (&"lost".into(), &true.into())
    );
    assert_eq!(
        (&lost["path"], &lost["cid"]),
        (&path.to_str().into(), &cid.into())
    );

    let good = tmp.file("good", &block);
    succeed(&["put", &store, &good]);
    has_lines(&succeed(&["verify", &store]), &["51 blocks, "]);
}

#[test]
fn an_invalid_car_is_refused_before_anything_is_changed() {
    let tmp = TestDir::new();
    let (store, _) = damaged_store(&tmp);
    let before = files(&store);
    let bad = tmp.file("bad.car", b"no car at all");
    run(&["verify", "--repair", "--from", &bad, &store]).failed(3, &["bad.car"]);
    run(&["verify", "--from", &bad, &store]).failed(2, &["--repair"]);
    assert_eq!(files(&store), before);

    let whole = car(&[], &[b"one", b"two"]);
    let cut = tmp.file("cut.car", &whole[..whole.len() - 1]);
    let done = run(&["verify", "--repair", "--all", "--from", &cut, &store]);
    done.failed(3, &["cut.car", "at byte", "cut short"]);
    let got = succeed(&["get", &store, &super::cars::raw(b"one").to_string()]);
    assert_eq!(got.stdout, b"one");
}

#[test]
fn a_repair_continues_when_the_reader_of_its_output_has_gone() {
    let tmp = TestDir::new();
    let (store, _) = damaged_store(&tmp);
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut command = program(&[
        "verify",
        "--repair",
        "--from",
        &fixture("small.car"),
        &store,
    ]);
    let done = Finished::of(
        command
            .stdin(Stdio::null())
            .stdout(writer)
            .output()
            .unwrap(),
    );
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    has_lines(&succeed(&["verify", &store]), &["foreign: ", "51 blocks, "]);
}

#[test]
#[cfg_attr(windows, ignore = "needs a program that sends Ctrl-C: see .ci/wine")]
fn a_repair_that_is_interrupted_is_completed_by_the_same_command() {
    let tmp = TestDir::new();
    let (store, blocks) = damaged_store(&tmp);
    let mut child = start(
        &["verify", "--repair", "--from", "-", &store],
        Stdio::piped(),
    );
    // It has read the header, and waits for blocks after it has moved the damaged ones.
    let stdin = child.stdin.as_mut().unwrap();
    io::Write::write_all(stdin, &header(&[])).unwrap();
    while fs::exists(&blocks[0]).unwrap() || !fs::exists(&blocks[2]).unwrap() {
        std::thread::yield_now();
    }
    interrupt(&child);
    let stdin = child.stdin.take();
    let done = Finished::of(child.wait_with_output().unwrap());
    drop(stdin);
    done.was_interrupted(&["interrupted"]);
    succeed(&[
        "verify",
        "--repair",
        "--from",
        &fixture("small.car"),
        &store,
    ]);
    has_lines(&succeed(&["verify", &store]), &["foreign: ", "51 blocks, "]);
}
