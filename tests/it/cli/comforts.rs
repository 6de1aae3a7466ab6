//! What makes the program pleasant: help, completions, manual pages, and how much it says.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::terminal::run_in_terminal;
use super::{Done, Room, fixture, program, run, succeed};

/// All commands, as the help lists them.
fn commands() -> Vec<String> {
    let help = succeed(&["--help"]);
    let lines = help.lines().into_iter();
    let listed = lines
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    names.filter(|name| name != "help").collect()
}

/// Runs it with these variables of the environment.
fn run_with(variables: &[(&str, &str)], args: &[&str]) -> Done {
    let mut command = program(args);
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    Done::of(command.output().expect("the program runs"))
}

/// A store with blocks, one of which stands in a wrong shard, and a file that is no part of it.
fn untidy_store(room: &Room) -> String {
    let store = room.store_of("small.car");
    let (block, bytes) = super::files(&store).pop_first().expect("a block");
    let shard = Path::new(&store).join("__");
    fs::create_dir(&shard).expect("made");
    fs::write(shard.join(block.file_name().expect("a name")), bytes).expect("written");
    fs::write(Path::new(&store).join("junk"), "x").expect("written");
    store
}

#[test]
fn every_command_has_an_example_a_manual_page_and_the_global_options() {
    let commands = commands();
    assert!(commands.len() >= 14, "{commands:?}");
    for command in &commands {
        let help = succeed(&[command, "--help"]);
        for part in [
            "Example:",
            "--quiet",
            "--verbose",
            &format!("  flatfs {command}"),
        ] {
            assert!(help.text().contains(part), "{part} in {}", help.text());
        }
        let page = succeed(&["man", command]);
        let title = format!(".TH flatfs-{command} 1");
        let text = page.text().replace('\\', "");
        assert!(text.contains(&title), "{text}");
    }
    let page = succeed(&["man"]);
    assert!(page.text().contains(".TH flatfs 1"), "{page:?}");
    run(&["man", "nonsense"]).failed(2, &["nonsense"]);
}

#[test]
fn a_manual_page_has_the_usage_and_sections_that_say_what_they_are() {
    let page = succeed(&["man", "import"]);
    let text = page.text().replace('\\', "");
    for part in [
        "fBflatfs import fR[OPTIONS] <DIR> <CAR>...",
        ".SH NOTES",
        ".SH EXAMPLES",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(!text.contains("EXTRA"), "{text}");
}

#[test]
fn the_readme_has_the_commands_in_the_order_of_the_help() {
    let readme = include_str!("../../../README.md");
    let listed = readme.split("```text\n").nth(1).expect("the commands");
    let listed = listed.split("```").next().expect("their end");
    let places: Vec<_> = commands()
        .iter()
        .map(|command| {
            let place = listed.find(&format!("flatfs {command} "));
            place.or(listed.find(&format!(", {command}")))
        })
        .collect();
    assert!(places.iter().all(Option::is_some), "{places:?}");
    assert!(places.is_sorted(), "{:?}: {places:?}", commands());
}

#[test]
fn every_shell_gets_completions_of_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeed(&["completions", shell]);
        for command in commands() {
            assert!(script.text().contains(&command), "{command} in {shell}");
        }
    }
    run(&["completions", "cmd"]).failed(2, &["cmd", "bash"]);
}

#[test]
fn quiet_leaves_out_summaries_and_warnings_but_no_errors_and_no_answers() {
    let room = Room::new();
    let (store, car) = (room.store(), fixture("small.car"));
    let (file, other) = (room.file("file", b"x"), room.path("other"));
    assert_eq!(succeed(&["import", "-q", &store, &car]).text(), "");
    assert_eq!(succeed(&["-q", "du", &store]).text(), "");
    assert_eq!(succeed(&["--quiet", "put", &store, &file]).lines().len(), 1);
    assert_eq!(succeed(&["ls", &store, "--quiet"]).lines().len(), 52);
    run(&["ls", "-q", &other]).failed(1, &[&other]);
    run(&["ls", "-q", "-v", &store]).failed(2, &["--quiet", "--verbose"]);
}

#[test]
fn verbose_tells_what_the_library_warns_of() {
    let room = Room::new();
    let store = untidy_store(&room);
    let told = run(&["ls", "-v", &store]);
    assert_eq!(told.stderr.lines().count(), 2, "{told:?}");
    for part in ["flatfs: warn: ", "junk", "__"] {
        assert!(told.stderr.contains(part), "{part} in {told:?}");
    }
    assert_eq!(told.lines().len(), 51);
    succeed(&["ls", &store]);
}

#[test]
fn rust_log_chooses_what_is_told() {
    let room = Room::new();
    let store = untidy_store(&room);
    let told = |log, args: &[&str]| run_with(&[("RUST_LOG", log)], args).stderr;
    assert!(told("ds_flatfs=warn", &["ls", &store]).contains("junk"));
    assert_eq!(told("ds_flatfs=error", &["ls", "-v", &store]), "");
    assert_eq!(told("ds_flatfs=warn", &["ls", "-q", &store]), "");
}

#[test]
fn stat_hints_at_what_is_ignored() {
    let room = Room::new();
    let store = untidy_store(&room);
    let stat = succeed(&["stat", &store]);
    assert!(stat.text().contains("ignored     2, "), "{stat:?}");
    let json: Value = serde_json::from_slice(&succeed(&["stat", "--json", &store]).stdout).unwrap();
    assert_eq!(json["ignored"], 2);
    let tidy = succeed(&["stat", &room.kubo_store()]);
    assert!(!tidy.text().contains("ignored"), "{tidy:?}");
}

#[test]
fn colours_are_for_terminals_unless_the_environment_says_otherwise() {
    let room = Room::new();
    let missing = room.path("missing");
    let colours = |variables: &[(&str, &str)]| {
        let done = run_with(variables, &["ls", &missing]);
        assert_eq!(done.code, 1);
        done.stderr.contains('\x1b')
    };
    assert!(!colours(&[]));
    assert!(colours(&[("CLICOLOR_FORCE", "1")]));
    assert!(!colours(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    let seen = run_in_terminal(program(&["ls", &missing]), 80);
    assert!(seen.text.contains('\x1b'), "{seen:?}");
}

#[test]
fn help_keeps_to_the_width_of_the_terminal() {
    for command in commands() {
        let seen = run_in_terminal(program(&[&command, "--help"]), 60);
        let plain = console::strip_ansi_codes(&seen.text);
        let text = plain.split("Example:").next().unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= 60, "{command}: {line}");
        }
    }
}

#[test]
fn get_writes_to_a_terminal_only_what_it_can_show() {
    let room = Room::new();
    let (text, binary) = (
        room.file("text", b"hello\n"),
        room.file("binary", b"\x1b]0;\0"),
    );
    let store = room.store();
    succeed(&["create", &store]);
    let put = succeed(&["put", &store, &text, &binary]);
    let cids = put.lines();
    let get = |args: &[&str]| {
        let args = [&["get", store.as_str()][..], args].concat();
        run_in_terminal(program(&args), 80)
    };
    let seen = get(&[cids[0]]);
    assert_eq!((seen.code, seen.text.as_str()), (0, "hello\r\n"));
    let seen = get(&[cids[1]]);
    assert_eq!(seen.code, 2, "{seen:?}");
    assert!(
        seen.text.contains("-o -") && !seen.text.contains('\0'),
        "{seen:?}"
    );
    let seen = get(&[cids[1], "-o", "-"]);
    assert_eq!((seen.code, seen.text.as_str()), (0, "\x1b]0;\0"));
    let piped = succeed(&["get", &store, cids[1]]);
    assert_eq!(piped.stdout, b"\x1b]0;\0");
}

#[test]
fn a_tip_of_the_parser_stands_apart() {
    run(&["improt"]).failed(2, &["'improt'; tip: ", "'import'; try --help"]);
}

#[test]
fn a_locked_store_is_named_without_advice_for_programmers() {
    let room = Room::new();
    succeed(&["create", &room.store()]);
    let lock = fs::File::open(Path::new(&room.store()).join(".lock")).expect("the lock");
    lock.lock().expect("locked");
    let done = run(&["du", &room.store()]);
    done.failed(1, &["locked", &room.store()]);
    assert!(!done.stderr.contains("read-only"), "{done:?}");
}
