//! Modules depend downward only: a module uses modules of lower layers, and the modules of a folder do
//! not use each other in a cycle.
//!
//! Code that is compiled for tests alone may use the support for tests, which is the highest layer. The
//! root of the crate re-exports what is public and is in no layer. The compiler checks that the program
//! uses only the public API of the library.

mod modules;
mod uses;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::modules::{Dependency, Modules, sibling_cycles};

/// The modules at the root of the crate, the lowest layer first. The modules of one layer do not use each
/// other.
const LAYERS: &[&[&str]] = &[
    &["key", "sync"],
    &["error"],
    &["query"],
    &["datastore"],
    &["observe"],
    &["format"],
    &["blocking", "cid_key", "detached", "disk", "memory"],
    &["hash", "walk"],
    &["disk_usage"],
    &["store"],
    &["batch"],
    &["dag", "flatfs", "object", "wrappers"],
    &["blockstore", "conformance", "maintenance"],
    &["testing"],
];

/// The modules that any other module above them may use.
const CONTRACT: &[&str] = &["key", "sync", "error", "query", "datastore"];

/// Modules that work with any datastore, and what they use besides the contract.
const CONTRACT_ONLY: &[(&str, &[&str])] = &[
    ("memory", &[]),
    ("conformance", &[]),
    ("dag", &["blocking", "hash"]),
    ("wrappers", &["detached", "hash", "observe"]),
    ("blockstore", &["cid_key", "hash"]),
    (
        "object",
        &["blocking", "detached", "disk", "format", "observe", "store"],
    ),
];

/// Cycles that are allowed.
const ALLOWED_CYCLES: &[&[&str]] = &[];

fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns a message for each use that does not point down.
fn upward_uses(dependencies: &[Dependency]) -> BTreeSet<String> {
    let mut wrong = BTreeSet::new();
    for dependency in dependencies {
        // The root is in no layer: it may use everything.
        let Some(from) = dependency.from.first() else {
            continue;
        };
        let Some(to) = dependency.to.first() else {
            wrong.insert(format!(
                "{}: `{from}` uses the root of the crate",
                dependency.location
            ));
            continue;
        };
        let is_test_support = from == "testing";
        if from == to || (dependency.is_in_tests && !is_test_support) {
            continue;
        }
        let layer = |module: &String| {
            LAYERS
                .iter()
                .position(|layer| layer.contains(&module.as_str()))
        };
        let fault = match (layer(from), layer(to)) {
            (None, _) => format!("`{from}` is in no layer"),
            (_, None) => format!("`{from}` uses `{to}`, which is in no layer"),
            (Some(from_layer), Some(to_layer)) if from_layer < to_layer => {
                format!("`{from}` uses `{to}` of a higher layer")
            }
            (Some(from_layer), Some(to_layer)) if from_layer == to_layer => {
                format!("`{from}` uses `{to}` of its own layer")
            }
            _ if !may_use(from, to) => {
                format!("`{from}` works with any datastore and does not use `{to}`")
            }
            _ => continue,
        };
        wrong.insert(format!("{}: {fault}", dependency.location));
    }
    wrong
}

fn may_use(from: &str, to: &str) -> bool {
    let mut limited = CONTRACT_ONLY.iter().filter(|(module, _)| *module == from);
    limited.all(|(_, besides)| CONTRACT.contains(&to) || besides.contains(&to))
}

/// Returns a description of each cycle of modules inside a folder, with the uses.
fn cycles(dependencies: &[Dependency], allowed: &[&[&str]]) -> Vec<String> {
    let inside_folders = dependencies.iter().filter(|dependency| {
        // The unit tests of a module may use everything. The support for tests is not such a test.
        let both_in_testing = [&dependency.from, &dependency.to]
            .iter()
            .all(|module| module.first().is_some_and(|name| name == "testing"));
        !dependency.is_in_tests || both_in_testing
    });
    let inside_folders: Vec<Dependency> = inside_folders.cloned().collect();
    let cycles = sibling_cycles(&inside_folders).into_iter();
    let is_allowed = |cycle: &[String]| {
        let mut groups = allowed.iter();
        groups.any(|group| cycle.iter().all(|name| group.contains(&name.as_str())))
    };
    let cycles = cycles.filter(|cycle| !is_allowed(cycle));
    let described = cycles.map(|cycle| {
        let is_in_cycle = |module: &[String]| {
            let name = module.join("::") + "::";
            let mut names = cycle
                .iter()
                .filter(|other| name.starts_with(&format!("{other}::")));
            names.next().cloned()
        };
        let uses = inside_folders.iter().filter_map(|dependency| {
            let (from, to) = (is_in_cycle(&dependency.from)?, is_in_cycle(&dependency.to)?);
            (from != to).then(|| format!("\n  {}: `{from}` uses `{to}`", dependency.location))
        });
        let uses: BTreeSet<String> = uses.collect();
        let uses = String::from_iter(uses);
        format!("{} use each other in a cycle:{uses}", cycle.join(", "))
    });
    described.collect()
}

#[test]
fn modules_of_the_library_use_lower_layers_only() {
    let library = Modules::read(&source_dir(), "lib.rs", &["bin"]);
    let wrong = upward_uses(&library.dependencies());
    let report: String = wrong.iter().map(|line| format!("\n{line}")).collect();
    assert!(wrong.is_empty(), "{report}");
}

#[test]
fn modules_of_a_folder_do_not_use_each_other_in_a_cycle() {
    let library = Modules::read(&source_dir(), "lib.rs", &["bin"]);
    let program = Modules::read(&source_dir().join("bin/flatfs"), "main.rs", &[]);
    let found = [library, program]
        .into_iter()
        .flat_map(|modules| cycles(&modules.dependencies(), ALLOWED_CYCLES));
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Parses a crate that consists of these files.
fn parse_crate(files: &[(&str, &str)]) -> Vec<Dependency> {
    let sources = files
        .iter()
        .map(|(file, source)| (PathBuf::from(file), (*source).to_owned()));
    Modules::from_sources(sources, "lib.rs").dependencies()
}

#[test]
fn an_upward_use_is_reported_with_its_location_and_both_modules() {
    let files = [
        (
            "lib.rs",
            "mod key;\nmod store;\npub use crate::store::FlatFs;",
        ),
        (
            "key.rs",
            "pub struct Key;\nfn f() {\n    crate::FlatFs::open();\n}",
        ),
        ("store/mod.rs", "use crate::key::Key;\nmod read;"),
        (
            "store/read.rs",
            "use super::super::{batch::{self, FlatBatch}, key};",
        ),
        (
            "batch.rs",
            "use crate::disk::Kind;\nuse crate::other::Thing;",
        ),
        ("disk.rs", "use crate::blocking as pool;"),
        ("blocking.rs", ""),
        ("other.rs", ""),
        ("memory.rs", "use crate::observe::event;"),
        ("observe.rs", ""),
    ];
    let expected = [
        "batch.rs:2: `batch` uses `other`, which is in no layer",
        "disk.rs:1: `disk` uses `blocking` of its own layer",
        "key.rs:3: `key` uses `store` of a higher layer",
        "memory.rs:1: `memory` works with any datastore and does not use `observe`",
        "store/read.rs:1: `store` uses `batch` of a higher layer",
    ];
    assert_eq!(Vec::from_iter(upward_uses(&parse_crate(&files))), expected);
}

#[test]
fn comments_literals_and_test_code_use_nothing() {
    let source = r####"
        //! See [`crate::store::FlatFs`].
        #[cfg(doc)]
        use crate::store::FlatFs;
        use crate::error::Error; /* crate::store */
        const TEXT: &str = "crate::store::FlatFs \" crate::store";
        const RAW: &str = r#"crate::store::"FlatFs""#;
        const QUOTE: char = '"';
        struct Slice<'a>(&'a str);
        #[cfg(test)]
        #[derive(Debug)]
        struct Pair<A, B>(A, crate::store::FlatFs, B);
        #[cfg(test)]
        mod tests {
            use crate::store::FlatFs;
        }
        #[cfg(test)]
        mod more_tests;
        #[cfg(not(test))]
        fn last() -> crate::batch::FlatBatch {}
    "####;
    let files = [
        ("lib.rs", ""),
        ("query/mod.rs", source),
        ("query/more_tests.rs", "use crate::store::FlatFs;"),
        ("error.rs", ""),
        ("store.rs", ""),
        ("batch.rs", ""),
    ];
    let expected = ["query/mod.rs:20: `query` uses `batch` of a higher layer"];
    assert_eq!(Vec::from_iter(upward_uses(&parse_crate(&files))), expected);
}

#[test]
fn a_cycle_inside_a_folder_is_reported_with_its_uses() {
    let files = [
        ("lib.rs", ""),
        (
            "store/mod.rs",
            "mod open;\n#[path = \"linux.rs\"]\nmod read;\nmod write;\npub use self::write::Write;",
        ),
        ("store/open.rs", "use super::read::Read;"),
        ("store/linux.rs", "use crate::store::Write;"),
        ("store/write/mod.rs", "use super::FlatFs;"),
        ("store/write/pool.rs", "use crate::store::open;"),
        ("store/leaf.rs", "use super::open::Open;"),
    ];
    let dependencies = parse_crate(&files);
    let expected = "store::linux, store::open, store::write use each other in a cycle:\n  \
        store/linux.rs:1: `store::linux` uses `store::write`\n  \
        store/open.rs:1: `store::open` uses `store::linux`\n  \
        store/write/pool.rs:1: `store::write` uses `store::open`";
    assert_eq!(cycles(&dependencies, &[]), [expected]);
    let allowed: &[&[&str]] = &[&["store::linux", "store::open", "store::write"]];
    assert_eq!(cycles(&dependencies, allowed), [""; 0]);
}
