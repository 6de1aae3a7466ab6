//! `move` and `reshard`.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::terminal::run_in_terminal;
use super::{Finished, TestDir, files, keys, program, run, start, succeed};
use crate::mounts::Mount;

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn reshard_changes_the_shard_function_and_prints_what_it_did() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let before = keys(&store);
    let done = succeed(&["reshard", &store, "prefix/5"]);
    for part in [&store, "next-to-last/2 to prefix/5", "51 blocks moved"] {
        assert!(done.text().contains(part), "{part:?} in {done:?}");
    }
    assert_eq!(keys(&store), before);
    let again = succeed(&["reshard", &store, "prefix/5"]);
    assert!(again.text().contains("nothing to do"), "{again:?}");
    let done = json(&succeed(&["reshard", "--json", &store, "suffix/1"]).stdout);
    assert_eq!(done["from"], "/repo/flatfs/shard/v1/prefix/5");
    assert_eq!(done["to"], "/repo/flatfs/shard/v1/suffix/1");
    assert_eq!(
        (&done["moved"], &done["skipped"]),
        (&51.into(), &Value::Array(Vec::new()))
    );
    assert_eq!(keys(&store), before);
}

#[test]
fn move_moves_all_blocks_and_prints_what_it_did() {
    let tmp = TestDir::new();
    let (old, new) = (tmp.store_of("small.car"), tmp.path("new"));
    let before = keys(&old);
    let done = succeed(&["move", &old, &new]);
    for part in [&new, "51 blocks moved", &old, "empty"] {
        assert!(done.text().contains(part), "{part:?} in {done:?}");
    }
    assert_eq!(fs::read_dir(&old).unwrap().count(), 0);
    assert_eq!(keys(&new), before);
    let done = succeed(&["move", "--json", "--shard", "prefix/4", &new, &old]);
    let done = json(&done.stdout);
    assert_eq!(
        (&done["blocks"], &done["emptied"]),
        (&51.into(), &true.into())
    );
    let sharding = fs::read_to_string(Path::new(&old).join("SHARDING")).unwrap();
    assert_eq!(sharding, "/repo/flatfs/shard/v1/prefix/4\n");
}

#[test]
fn skipped_files_are_reported_and_make_the_exit_status_1() {
    let tmp = TestDir::new();
    let (old, new) = (tmp.store_of("small.car"), tmp.path("new"));
    let foreign = Path::new(&old).join("notes");
    fs::write(&foreign, "x").unwrap();
    let foreign = foreign.to_str().unwrap();
    run(&["reshard", &old, "prefix/5"]).failed(1, &["skipped", foreign]);
    let done = run(&["move", &old, &new]);
    done.failed(1, &["skipped", foreign, "not part of a store"]);
    assert!(done.text().contains("51 blocks moved"), "{done:?}");
    let end = format!("; 1 item was skipped and is still in {old}\n");
    assert!(done.text().ends_with(&end), "{done:?}");
    let done = run(&["move", "--json", &old, &new]);
    assert_eq!((done.code, done.stderr.as_str()), (1, ""));
    let done = json(&done.stdout);
    assert_eq!(done["skipped"][0]["path"], foreign);
    assert_eq!(
        (&done["skipped"][0]["reason"], &done["skipped_count"]),
        (&"foreign".into(), &1.into())
    );
    assert_eq!(keys(&new).len(), 51);
}

#[test]
fn the_quarantine_of_a_repair_stays_where_it_is_and_a_move_reports_it() {
    let tmp = TestDir::new();
    let (old, new) = (tmp.store_of("small.car"), tmp.path("new"));
    let quarantine = Path::new(&old).join(".quarantine");
    fs::create_dir(&quarantine).unwrap();
    fs::write(quarantine.join("LOST.data"), "x").unwrap();
    succeed(&["reshard", &old, "prefix/5"]);
    assert!(quarantine.join("LOST.data").exists());
    let skipped = [quarantine.to_str().unwrap(), "a repair found damaged"];
    run(&["move", &old, &new]).failed(1, &skipped);
    assert!(quarantine.join("LOST.data").exists());

    fs::remove_file(quarantine.join("LOST.data")).unwrap();
    let done = succeed(&["move", &old, &new]);
    let end = format!("; {old} is an empty directory now\n");
    assert!(done.text().ends_with(&end), "{done:?}");
    assert_eq!(fs::read_dir(&old).unwrap().count(), 0);
}

#[test]
#[cfg_attr(windows, ignore = "Wine and Windows mount no file systems for a test")]
fn a_move_onto_a_full_disk_says_what_is_moved_and_what_to_do() {
    let Some(mount) = Mount::tmpfs("size=512k") else {
        return;
    };
    let tmp = TestDir::new();
    let old = tmp.store_of("small.car");
    let new = mount.path().join("new").to_str().unwrap().to_owned();
    let done = run(&["move", &old, &new]);
    let moved = files(&new).len();
    let moved = if moved == 1 {
        "1 block was moved".to_owned()
    } else {
        format!("{moved} blocks were moved")
    };
    let rest = format!("the rest is safe in {old}");
    let advice = format!("free some space at {new}, then run the same command again");
    done.failed(3, &["no space left", &moved, &rest, &advice]);
    assert!(!done.stderr.contains("deleted"), "{done:?}");
    mount.grow("size=16m");
    succeed(&["move", &old, &new]);
    assert_eq!(keys(&new).len(), 51);
}

#[test]
fn a_refused_move_changes_nothing() {
    let tmp = TestDir::new();
    let old = tmp.store_of("small.car");
    succeed(&["du", "--write", &old]);
    let usage = || json(&succeed(&["stat", "--json", &old]).stdout)["disk_usage"].clone();
    let before = usage();
    assert_eq!(before["accuracy"], "initial-exact");
    run(&["move", &old, &tmp.path("no/parent")]).failed(3, &["parent directory is missing"]);
    assert_eq!(usage(), before);
    assert!(!Path::new(&old).join(".unclean").exists());
}

#[test]
fn wrong_stores_and_functions_are_refused() {
    let tmp = TestDir::new();
    let (store, missing) = (tmp.store_of("small.car"), tmp.path("missing"));
    let before = files(&store);
    run(&["move", &store, &store]).failed(3, &["same directory"]);
    run(&["move", &missing, &store]).failed(3, &[&missing]);
    run(&["reshard", &missing, "prefix/2"]).failed(3, &[&missing]);
    run(&["reshard", &store, "prefix/0"]).failed(2, &["prefix/0", "--help"]);
    run(&["move", &store]).failed(2, &["<NEW>", "--help"]);
    run(&["reshard", &store]).failed(2, &["<SHARD>", "--help"]);
    assert_eq!(files(&store), before);
}

#[test]
fn the_error_for_a_store_between_two_functions_says_how_to_complete_the_change() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let before = keys(&store);
    let sharding = Path::new(&store).join("SHARDING");
    let under_way = "/repo/flatfs/shard/resharding/1 from next-to-last/2 to prefix/3; x\n";
    fs::write(sharding, under_way).unwrap();
    let advice = format!("flatfs reshard {store} prefix/3");
    for command in ["ls", "stat", "export"] {
        run(&[command, &store]).failed(3, &[&advice]);
    }
    succeed(&["reshard", &store, "prefix/3"]);
    assert_eq!(keys(&store), before);
}

/// The obstacle can't be seen before the change begins.
#[test]
fn a_reshard_that_fails_half_way_says_how_to_complete_and_how_to_revert_it() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let before = keys(&store);
    let obstacle = tmp.file("store/CIQ", b"a file");
    let complete = format!("flatfs reshard {store} prefix/3");
    let undo = format!("flatfs reshard {store} next-to-last/2");
    let done = run(&["reshard", &store, "prefix/3"]);
    done.failed(3, &[&obstacle, "no program can open", &complete, &undo]);
    run(&["ls", &store]).failed(3, &[&complete]);
    fs::remove_file(obstacle).unwrap();
    let undone = succeed(&["reshard", &store, "next-to-last/2"]);
    assert!(
        undone.text().contains(": back to next-to-last/2, "),
        "{undone:?}"
    );
    assert_eq!(keys(&store), before);
}

#[test]
fn an_interrupted_reversal_is_reported_as_one() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let under_way = "/repo/flatfs/shard/resharding/1 from prefix/2 to prefix/2; x\n";
    fs::write(Path::new(&store).join("SHARDING"), under_way).unwrap();
    for command in ["ls", "verify"] {
        let done = run(&[command, &store]);
        let said = [done.text(), &done.stderr].concat();
        for part in ["re-sharded back to prefix/2", "flatfs reshard"] {
            assert!(said.contains(part), "{part:?} in {said}");
        }
    }
}

#[test]
fn a_move_from_an_empty_directory_is_already_done_if_the_new_store_exists_and_else_an_error() {
    let tmp = TestDir::new();
    let (old, new) = (tmp.store_of("small.car"), tmp.path("new"));
    succeed(&["move", &old, &new]);
    let again = succeed(&["move", &old, &new]);
    assert!(again.text().contains("nothing to move"), "{again:?}");
    let again = json(&succeed(&["move", "--json", &old, &new]).stdout);
    assert_eq!(
        (&again["was_done"], &again["blocks"]),
        (&true.into(), &0.into())
    );

    let file = tmp.file("file", b"x");
    run(&["move", &old, &file]).failed(3, &[&file, "not a directory"]);
    let foreign = tmp.path("");
    run(&["move", &old, &foreign]).failed(3, &["same directory"]);
    for missing in [tmp.path("absent"), tmp.path("no/parent")] {
        run(&["move", &old, &missing]).failed(3, &[&old, "empty directory"]);
        assert!(!Path::new(&missing).exists());
    }
}

#[test]
fn help_has_an_example() {
    for command in ["move", "reshard"] {
        let help = succeed(&[command, "--help"]);
        assert!(
            help.text()
                .contains(&format!("Example:\n  flatfs {command} "))
        );
    }
}

#[test]
#[cfg_attr(windows, ignore = "a test cannot be the other side of a console")]
fn a_terminal_shows_a_bar_and_quiet_hides_all_but_what_was_skipped() {
    let tmp = TestDir::new();
    let (old, new) = (tmp.store_of("small.car"), tmp.path("new"));
    let foreign = tmp.file("store/notes", b"x");
    let seen = |args: &[&str]| {
        let seen = run_in_terminal(program(args), 120);
        assert_eq!(seen.code, 1, "{seen:?}");
        assert!(seen.text.contains(&foreign), "{seen:?}");
        seen.text
    };
    assert!(seen(&["reshard", &old, "prefix/4"]).contains("re-sharding ["));
    assert_eq!(
        seen(&["-q", "reshard", &old, "prefix/3"]).lines().count(),
        1
    );
    assert!(seen(&["move", &old, &new]).contains("moving ["));
    assert_eq!(seen(&["move", "-q", &old, &new]).lines().count(), 1);
}

/// The program stops after its current step, and the same command completes the work.
#[test]
#[cfg_attr(windows, ignore = "needs a program that sends Ctrl-C: see .ci/wine")]
fn an_interrupted_command_says_that_nothing_is_lost_and_is_completed_by_the_same_one() {
    let tmp = TestDir::new();
    let store = tmp.store();
    succeed(&["create", &store]);
    for number in 0..20_000 {
        let name = format!("{number:05}");
        let dir = Path::new(&store).join(&name[2..4]);
        if !dir.exists() {
            fs::create_dir(&dir).unwrap();
        }
        fs::write(dir.join(name + ".data"), "").unwrap();
    }
    let mut child = start(&["reshard", &store, "prefix/1"], Stdio::null());
    // SHARDING says when the change has begun.
    let sharding = Path::new(&store).join("SHARDING");
    while !fs::read_to_string(&sharding)
        .unwrap()
        .contains("resharding")
    {
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "it is interrupted before its end"
        );
    }
    crate::platform::interrupt(&child);
    let done = Finished::of(child.wait_with_output().unwrap());
    let complete = format!("no program can open {store} until 'flatfs reshard {store} prefix/1'");
    done.was_interrupted(&[&complete, "interrupted: ", "run the same command again"]);
    assert!(
        fs::read_to_string(&sharding)
            .unwrap()
            .contains("resharding")
    );
    succeed(&["reshard", &store, "prefix/1"]);
    assert_eq!(keys(&store).len(), 20_000);
}
