//! `ls` and `stat`, and what all commands have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::cars::raw;
use super::{Finished, TestDir, files, fixture, program, run, succeed};

const COMMANDS: [&str; 10] = [
    "create", "import", "export", "put", "get", "has", "rm", "ls", "stat", "verify",
];

fn set(listed: &Finished) -> BTreeSet<String> {
    listed.lines().into_iter().map(str::to_owned).collect()
}

#[test]
fn ls_lists_each_block_once_as_key_or_cid() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let stems: BTreeSet<String> = files(&store)
        .keys()
        .map(|path| format!("/{}", path.file_stem().unwrap().to_str().unwrap()))
        .collect();
    let listed = succeed(&["ls", &store]);
    assert_eq!(listed.lines().len(), 51);
    assert_eq!(set(&listed), stems);
    let cids: BTreeSet<String> = files(&store)
        .values()
        .map(|block| raw(block).to_string())
        .collect();
    let listed = succeed(&["ls", "--cids", &store]);
    assert_eq!(set(&listed), cids);
}

#[test]
fn ls_prints_sizes_and_json() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let sizes: BTreeMap<String, u64> = files(&store)
        .values()
        .map(|block| (raw(block).to_string(), block.len() as u64))
        .collect();
    let listed = succeed(&["ls", "--cids", "--sizes", &store]);
    let found: BTreeMap<String, u64> = listed
        .lines()
        .into_iter()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(cid, size)| (cid.to_owned(), size.parse().unwrap()))
        .collect();
    assert_eq!(found, sizes);
    let found: BTreeMap<String, u64> = succeed(&["ls", "--json", &store])
        .lines()
        .into_iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| {
            assert!(line["key"].as_str().unwrap().starts_with("/CIQ"));
            (
                line["cid"].as_str().unwrap().to_owned(),
                line["size"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, sizes);
    run(&["ls", "--json", "--cids", &store]).failed(2, &["--json", "--cids"]);
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
fn a_link_in_a_store_is_a_warning_in_a_listing_unless_it_is_strict_and_makes_a_copy_incomplete() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let block = files(&store).into_keys().next().unwrap();
    crate::platform::symlink(&block, block.with_file_name("LINK.data")).unwrap();
    for command in ["ls", "stat"] {
        let done = run(&[command, &store]);
        done.warned(&["warning", "LINK.data"]);
    }
    let mut copies = vec![tmp.path("copy")];
    if cfg!(feature = "object-store") {
        copies.push(format!("file://{}", tmp.path("objects")));
    }
    for copy in copies {
        let done = run(&["copy", &store, &copy]);
        done.failed(1, &["warning", "LINK.data"]);
        assert!(done.text().contains(", 1 skipped, "), "{done:?}");
    }
    let done = run(&["ls", "--strict", &store]);
    done.failed(1, &["LINK.data"]);
    assert_eq!(done.lines().len(), 51);
    assert_eq!(
        succeed(&["ls", "-q", "--limit", "7", &store]).lines().len(),
        7
    );
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Windows lets only privileged users create symbolic links"
)]
fn a_link_at_the_path_of_a_shard_directory_fails_a_listing_and_a_copy_because_it_may_hide_blocks() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let block = files(&store).into_keys().next().unwrap();
    let (shard, elsewhere) = (block.parent().unwrap(), tmp.path("elsewhere"));
    fs::rename(shard, &elsewhere).unwrap();
    crate::platform::symlink(std::path::Path::new(&elsewhere), shard).unwrap();
    let name = shard.to_str().unwrap();
    for args in [&["ls", &store][..], &["copy", &store, &tmp.path("copy")]] {
        run(args).failed(3, &[name, "symbolic link", "needs a directory"]);
    }
    run(&["ls", "--strict", &store]).failed(3, &[name]);
}

#[test]
fn listings_say_that_an_interrupted_command_has_left_files() {
    let tmp = TestDir::new();
    let store = tmp.store_of("hello.car");
    fs::write(format!("{store}/.temp/left"), "x").unwrap();
    for command in ["ls", "stat"] {
        run(&[command, &store]).warned(&["warning", ".temp", "interrupted"]);
    }
    succeed(&["ls", "-q", &store]);
    succeed(&["du", "--write", &store]);
    succeed(&["ls", &store]);
}

#[test]
fn stat_counts_what_is_in_a_store() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let stat: Value = serde_json::from_slice(&succeed(&["stat", "--json", &store]).stdout).unwrap();
    let mut sizes: Vec<usize> = files(&store).values().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(stat["shard"], "/repo/flatfs/shard/v1/next-to-last/2");
    assert_eq!(stat["blocks"], 51);
    assert_eq!(stat["bytes"], sizes.iter().sum::<usize>());
    assert_eq!(stat["block_size"]["smallest"], sizes[0]);
    assert_eq!(stat["block_size"]["median"], sizes[25]);
    assert_eq!(stat["block_size"]["largest"], sizes[50]);
    let bins = stat["size_histogram"].as_array().unwrap();
    let binned: u64 = bins.iter().map(|bin| bin["blocks"].as_u64().unwrap()).sum();
    assert_eq!(binned, 51);
    assert_eq!(stat["shards"]["possible"], 1024);
    assert!(stat["disk_usage"]["bytes"].as_u64().unwrap() >= 1_002_445);
    assert!(stat["disk_usage"]["accuracy"].is_string());
}

#[test]
fn stat_draws_charts() {
    let tmp = TestDir::new();
    let done = succeed(&["stat", &tmp.kubo_store()]);
    for part in [
        "/repo/flatfs/shard/v1/next-to-last/2",
        "blocks      7\n",
        "1,048,930",
        "initial-exact",
        "7 of 1,024 used",
        "█",
    ] {
        assert!(done.text().contains(part), "{part:?} in {}", done.text());
    }
    assert!(done.lines().iter().all(|line| line.chars().count() <= 100));
}

#[test]
fn an_empty_store_can_be_listed_and_described() {
    let tmp = TestDir::new();
    succeed(&["create", &tmp.store()]);
    assert_eq!(succeed(&["ls", &tmp.store()]).text(), "");
    let done = succeed(&["stat", &tmp.store()]);
    assert!(done.text().contains("blocks      0\n"), "{done:?}");
    let stat: Value =
        serde_json::from_slice(&succeed(&["stat", "--json", &tmp.store()]).stdout).unwrap();
    assert_eq!(stat["block_size"], Value::Null);
}

#[test]
fn reading_changes_nothing_in_a_store() {
    let tmp = TestDir::new();
    let store = tmp.kubo_store();
    let names = || {
        let entries = fs::read_dir(&store).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name())
            .collect::<BTreeSet<_>>()
    };
    let (before, before_names) = (files(&store), names());
    for args in [
        &["ls", &store][..],
        &["stat", &store],
        &["verify", &store],
        &["export", &store, "-o", "/dev/null"],
        &[
            "get",
            &store,
            "QmPszXJz5nPZSSTUYR7mgNJbTUNd8qEYbGRFiLzCHq5mT5",
        ],
        &["has", &store, "/NOPE"],
        &["du", &store],
    ] {
        run(args);
    }
    assert_eq!((files(&store), names()), (before, before_names));
}

#[test]
fn every_command_stops_quietly_when_the_reader_of_its_output_has_gone() {
    let tmp = TestDir::new();
    let store = tmp.store_of("small.car");
    let cid = succeed(&["ls", "--cids", &store]).lines()[0].to_owned();
    let (hello, file) = (fixture("hello.car"), tmp.file("file", b"x"));
    for args in [
        &["ls", &store][..],
        &["stat", &store],
        &["verify", &store],
        &["export", &store],
        &["get", &store, &cid],
        &["put", &store, &file],
        &["import", &store, &hello],
        &["--help"],
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = program(args).stdin(Stdio::null()).stdout(writer).output();
        let done = Finished::of(output.unwrap());
        let code = if args == ["--help"] { 0 } else { 141 };
        assert_eq!((done.code, done.stderr.as_str()), (code, ""), "{args:?}");
    }
    assert_eq!(
        files(&store).len(),
        53,
        "what was stored before the end of the pipe stays"
    );
}

#[test]
fn every_command_names_a_store_that_does_not_exist() {
    let tmp = TestDir::new();
    let missing = tmp.path("missing");
    for args in [
        &["ls", &missing][..],
        &["stat", &missing],
        &["verify", &missing],
        &["verify", "--repair", &missing],
        &["export", &missing, "-o", "/dev/null"],
        &["get", &missing, "/A"],
        &["has", &missing, "/A"],
        &["rm", &missing, "/A"],
    ] {
        run(args).failed(3, &[&missing]);
    }
    assert!(!fs::exists(&missing).unwrap());
}

#[test]
fn json_is_one_object_per_line_with_absolute_paths() {
    let tmp = TestDir::new();
    tmp.store_of("hello.car");
    fs::copy(fixture("hello.car"), tmp.path("new.car")).unwrap();
    for (args, paths) in [
        (&["stat", "--json", "store"][..], &["path"][..]),
        (&["du", "--json", "store"], &["path"]),
        (&["reshard", "--json", "store", "prefix/2"], &["path"]),
        (&["move", "--json", "store", "new"], &["old", "new"]),
        (&["verify", "--json", "new"], &[]),
        (&["import", "--json", "other", "new.car"], &["path"]),
        (&["put", "--json", "other", "new.car"], &["path"]),
        (&["ls", "--json", "new"], &[]),
    ] {
        let output = program(args).current_dir(tmp.path("")).output();
        let done = Finished::of(output.unwrap());
        assert_eq!((done.code, done.lines().len()), (0, 1), "{done:?}");
        let object: Value = serde_json::from_slice(&done.stdout).unwrap();
        for path in paths {
            let named = object[*path].as_str().unwrap();
            assert!(Path::new(named).is_absolute(), "{path} in {done:?}");
        }
    }
}

#[test]
fn wrong_usage_is_one_line_and_exit_status_2() {
    for command in COMMANDS {
        run(&[command]).failed(2, &["<DIR>", "--help"]);
        run(&[command, "--nonsense"]).failed(2, &["--nonsense"]);
    }
    run(&["improt"]).failed(2, &["improt", "import"]);
    run(&["imprt"]).failed(2, &["a similar subcommand exists: 'import'"]);
    let done = run(&["create", "--json", "dir"]);
    done.failed(2, &["unexpected argument '--json'"]);
    assert!(!done.stderr.contains("tip"), "{done:?}");
    assert_eq!(run::<&str>(&[]).code, 2);
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in COMMANDS {
        let help = succeed(&[command, "--help"]);
        let example = format!("flatfs {command} ");
        assert!(help.text().contains("Example:"), "{command}");
        assert!(help.text().contains(&example), "{command}");
    }
    let version = succeed(&["--version"]);
    assert_eq!(
        version.text().trim(),
        format!("flatfs {}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn names_in_errors_cannot_control_the_terminal() {
    let tmp = TestDir::new();
    let done = run(&["ls", &tmp.path("\u{1b}[31mred\nline")]);
    done.failed(3, &["\\u{1b}[31mred\\nline"]);
    assert!(!done.stderr.contains('\u{1b}'));
}

#[test]
fn what_reads_a_whole_store_does_not_succeed_while_a_commit_is_pending() {
    let tmp = TestDir::new();
    let (store, copy) = (tmp.store_of("small.car"), tmp.path("copy"));
    succeed(&["copy", &store, &copy]);
    let batch = Path::new(&store).join(".temp/batch-1-1");
    fs::create_dir_all(&batch).unwrap();
    fs::write(batch.join("COMMIT"), "").unwrap();
    let warning = ["warning", "a commit in"];
    run(&["copy", &store, &copy]).failed(1, &warning);
    run(&["diff", &store, &copy]).failed(2, &warning);
    run(&["diff", &copy, &store]).failed(2, &warning);
    let car = tmp.path("all.car");
    run(&["export", &store, "-o", &car]).failed(1, &warning);
}
