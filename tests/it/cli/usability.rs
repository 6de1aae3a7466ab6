//! Help, completions, manual pages, verbosity, and what goes to a terminal.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::terminal::run_in_terminal;
use super::{Finished, TestDir, fixture, program, run, succeed};

/// Returns the names of the commands in the order of the help.
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

/// Runs the program with these environment variables.
fn run_with(variables: &[(&str, &str)], args: &[&str]) -> Finished {
    let mut command = program(args);
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    Finished::of(command.output().expect("the program runs"))
}

/// Creates a store with a block in the wrong shard and a foreign file.
fn untidy_store(tmp: &TestDir) -> String {
    let store = tmp.store_of("small.car");
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
    // clap's own command, which has no version.
    let page = succeed(&["man", "help"]);
    assert!(page.text().contains(".TH"), "{page:?}");
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
    let script = succeed(&["completions", "bash"]);
    assert!(script.text().contains("next-to-last/3"), "{script:?}");
    let tmp = TestDir::new();
    succeed(&["create", &tmp.store(), "prefix/7"]);
    run(&["completions", "cmd"]).failed(2, &["cmd", "bash"]);
}

#[test]
fn quiet_hides_summaries_and_warnings_but_not_errors_and_results() {
    let tmp = TestDir::new();
    let (store, car) = (tmp.store(), fixture("small.car"));
    let (file, other) = (tmp.file("file", b"x"), tmp.path("other"));
    assert_eq!(succeed(&["import", "-q", &store, &car]).text(), "");
    assert_eq!(succeed(&["-q", "du", &store]).text(), "");
    assert_eq!(succeed(&["--quiet", "put", &store, &file]).lines().len(), 1);
    assert_eq!(succeed(&["ls", &store, "--quiet"]).lines().len(), 52);
    run(&["ls", "-q", &other]).failed(3, &[&other]);
    run(&["ls", "-q", "-v", &store]).failed(2, &["--quiet", "--verbose"]);
}

#[test]
fn verbose_logs_the_warnings_of_the_library() {
    let tmp = TestDir::new();
    let store = untidy_store(&tmp);
    let logged = run(&["ls", "-v", &store]);
    assert_eq!(logged.stderr.lines().count(), 2, "{logged:?}");
    for part in ["flatfs: warn: ", "junk", "__"] {
        assert!(logged.stderr.contains(part), "{part} in {logged:?}");
    }
    assert_eq!(logged.lines().len(), 51);
    succeed(&["ls", &store]);
}

#[test]
fn rust_log_selects_what_is_logged() {
    let tmp = TestDir::new();
    let store = untidy_store(&tmp);
    let stderr = |log, args: &[&str]| run_with(&[("RUST_LOG", log)], args).stderr;
    assert!(stderr("ds_flatfs=warn", &["ls", &store]).contains("junk"));
    assert_eq!(stderr("ds_flatfs=error", &["ls", "-v", &store]), "");
    assert_eq!(stderr("ds_flatfs=warn", &["ls", "-q", &store]), "");
}

#[test]
fn stat_counts_ignored_files() {
    let tmp = TestDir::new();
    let store = untidy_store(&tmp);
    let stat = succeed(&["stat", &store]);
    assert!(stat.text().contains("ignored     2, "), "{stat:?}");
    let json: Value = serde_json::from_slice(&succeed(&["stat", "--json", &store]).stdout).unwrap();
    assert_eq!(json["ignored"], 2);
    let tidy = succeed(&["stat", &tmp.kubo_store()]);
    assert!(!tidy.text().contains("ignored"), "{tidy:?}");
}

#[test]
fn colors_are_for_terminals_unless_the_environment_says_otherwise() {
    let tmp = TestDir::new();
    let missing = tmp.path("missing");
    let colors = |variables: &[(&str, &str)]| {
        let done = run_with(variables, &["ls", &missing]);
        assert_eq!(done.code, 3);
        done.stderr.contains('\x1b')
    };
    assert!(!colors(&[]));
    assert!(colors(&[("CLICOLOR_FORCE", "1")]));
    assert!(!colors(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
#[cfg_attr(windows, ignore = "a test cannot be the other side of a console")]
fn an_error_in_a_terminal_has_colors() {
    let tmp = TestDir::new();
    let seen = run_in_terminal(program(&["ls", &tmp.path("missing")]), 80);
    assert!(seen.text.contains('\x1b'), "{seen:?}");
}

#[test]
#[cfg_attr(windows, ignore = "a test cannot be the other side of a console")]
fn help_fits_the_width_of_the_terminal() {
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
#[cfg_attr(windows, ignore = "a test cannot be the other side of a console")]
fn get_writes_only_text_to_a_terminal() {
    let tmp = TestDir::new();
    let (text, binary) = (
        tmp.file("text", b"hello\n"),
        tmp.file("binary", b"\x1b]0;\0"),
    );
    let store = tmp.store();
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
fn a_tip_of_the_parser_is_separated_from_the_error() {
    run(&["improt"]).failed(2, &["'improt'; tip: ", "'import'; try --help"]);
}

#[test]
fn a_locked_store_is_named_without_advice_for_programmers() {
    let tmp = TestDir::new();
    succeed(&["create", &tmp.store()]);
    let lock = fs::File::open(Path::new(&tmp.store()).join(".lock")).expect("the lock");
    lock.lock().expect("locked");
    let done = run(&["du", "--write", &tmp.store()]);
    done.failed(3, &["locked", &tmp.store()]);
    let owner = format!("(process {})", std::process::id());
    let is_unknown = !done.stderr.contains("(process");
    assert!(is_unknown || done.stderr.contains(&owner), "{done:?}");
    assert!(!done.stderr.contains("read-only"), "{done:?}");
}

#[test]
fn a_closed_output_never_makes_a_bad_result_a_good_one() {
    let tmp = TestDir::new();
    let (store, other) = (tmp.store_of("small.car"), tmp.path("other"));
    succeed(&["create", &other]);
    let root = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    for args in [
        &["diff", &store, &other][..],
        &["verify", &store],
        &["verify", "--quick", &store],
        &["dag", &other, root],
        &["ls", "--strict", &store],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program(args).stdin(Stdio::null()).stdout(writer).output();
        let done = Finished::of(output.unwrap());
        assert_eq!((done.code, done.stderr.as_str()), (141, ""), "{args:?}");
    }
}
