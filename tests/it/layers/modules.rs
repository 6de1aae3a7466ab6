//! [`Modules`]: the modules of a crate, and which of them use which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::uses::{self, UsedPath};

/// A module path from the crate's root, which is empty.
pub(super) type ModulePath = Vec<String>;

#[derive(Debug)]
struct Module {
    file: PathBuf,
    paths: Vec<UsedPath>,
    /// Whether the module is compiled for tests or documentation alone.
    is_for_tests: bool,
}

/// The modules of a crate that have a file.
#[derive(Debug)]
pub(super) struct Modules {
    modules: BTreeMap<ModulePath, Module>,
    /// Modules whose file has another name, by the path in the code.
    renamed: BTreeMap<ModulePath, ModulePath>,
}

/// One module uses another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    pub(super) from: ModulePath,
    pub(super) to: ModulePath,
    /// The file and line of the use.
    pub(super) location: String,
    pub(super) is_in_tests: bool,
}

impl Modules {
    /// Reads all files below a directory, whose root module is in `root_file`. Directories in `excluded`
    /// belong to another crate.
    pub(super) fn read(dir: &Path, root_file: &str, excluded: &[&str]) -> Self {
        let mut files = Vec::new();
        list_files(dir, Path::new(""), excluded, &mut files);
        let sources = files.into_iter().map(|file| {
            let source = fs::read_to_string(dir.join(&file)).unwrap();
            (file, source)
        });
        Modules::from_sources(sources, root_file)
    }

    /// Parses sources with the paths of their files.
    pub(super) fn from_sources(
        sources: impl IntoIterator<Item = (PathBuf, String)>,
        root_file: &str,
    ) -> Self {
        let mut modules = BTreeMap::new();
        let mut renamed = BTreeMap::new();
        let mut test_roots = Vec::new();
        for (file, source) in sources {
            let module = module_path(&file, root_file);
            let uses = uses::paths(&source);
            renamed.extend(renamed_modules(&module, &source));
            test_roots.extend(
                uses.test_modules
                    .into_iter()
                    .map(|name| child(&module, &name)),
            );
            let paths = uses.paths;
            let is_for_tests = false;
            modules.insert(
                module,
                Module {
                    file,
                    paths,
                    is_for_tests,
                },
            );
        }
        for (path, module) in &mut modules {
            module.is_for_tests = test_roots.iter().any(|root| path.starts_with(root));
        }
        Modules { modules, renamed }
    }

    /// Returns every use of one module by another, including uses of a module's parent and children.
    pub(super) fn dependencies(&self) -> Vec<Dependency> {
        let mut dependencies = Vec::new();
        for (from, module) in &self.modules {
            for used in &module.paths {
                let to = self.resolve(from, &used.segments, &mut BTreeSet::new());
                if let Some(to) = to.filter(|to| to != from) {
                    dependencies.push(Dependency {
                        from: from.clone(),
                        to,
                        location: format!("{}:{}", module.file.display(), used.line),
                        is_in_tests: module.is_for_tests,
                    });
                }
            }
        }
        dependencies
    }

    /// Returns the module that defines what a path names, behind any re-exports; none for a name that
    /// another crate defines.
    fn resolve(
        &self,
        from: &[String],
        path: &[String],
        seen: &mut BTreeSet<ModulePath>,
    ) -> Option<ModulePath> {
        let mut module = from.to_vec();
        let mut names = path.iter().peekable();
        while let Some(name) = names.peek() {
            match name.as_str() {
                "crate" => module.clear(),
                "super" => _ = module.pop(),
                "self" => {}
                name if self.modules.contains_key(&child(&module, name)) => {
                    module = child(&module, name);
                }
                name => match self.renamed.get(&child(&module, name)) {
                    Some(renamed) => module.clone_from(renamed),
                    None => break,
                },
            }
            names.next();
        }
        let Some(name) = names.next() else {
            return Some(module);
        };
        if !seen.insert(child(&module, name)) {
            return None;
        }
        let imports = self.modules.get(&module)?.paths.iter();
        let mut imports = imports.filter(|used| used.imported_as.as_ref() == Some(name));
        match imports.next() {
            Some(import) => self.resolve(&module, &import.segments, seen),
            None => Some(module),
        }
    }
}

fn child(module: &[String], name: &str) -> ModulePath {
    let mut path = module.to_vec();
    path.push(name.to_owned());
    path
}

/// Returns the modules that an attribute `path` gives a file of another name, with the paths of these files.
fn renamed_modules(module: &[String], source: &str) -> Vec<(ModulePath, ModulePath)> {
    let attributes = source.split("#[path = \"").skip(1);
    let renamed = attributes.filter_map(|text| {
        let (file, item) = text.split_once(".rs\"]")?;
        let (_, name) = item.split_once("mod ")?;
        let (name, _) = name.split_once(';')?;
        Some((child(module, name), child(module, file)))
    });
    renamed.collect()
}

fn module_path(file: &Path, root_file: &str) -> ModulePath {
    if file == Path::new(root_file) {
        return Vec::new();
    }
    let path = file.with_extension("");
    let names = path.iter().map(|name| name.to_string_lossy().into_owned());
    let mut path: ModulePath = names.collect();
    if path.last().is_some_and(|name| name == "mod") {
        path.pop();
    }
    path
}

fn list_files(dir: &Path, below: &Path, excluded: &[&str], files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir.join(below)).unwrap() {
        let path = below.join(entry.unwrap().file_name());
        if dir.join(&path).is_dir() {
            if !excluded.iter().any(|name| path == Path::new(name)) {
                list_files(dir, &path, excluded, files);
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// Returns the groups of modules with the same parent that use each other in a cycle.
///
/// A module includes its whole folder. Uses between a module and its parent are ignored.
pub(super) fn sibling_cycles(dependencies: &[Dependency]) -> Vec<Vec<String>> {
    let mut folders: BTreeMap<&[String], BTreeSet<(&str, &str)>> = BTreeMap::new();
    for Dependency { from, to, .. } in dependencies {
        let common = from
            .iter()
            .zip(to)
            .take_while(|(from, to)| from == to)
            .count();
        if let (Some(from_name), Some(to_name)) = (from.get(common), to.get(common)) {
            let edges = folders.entry(&from[..common]).or_default();
            edges.insert((from_name, to_name));
        }
    }
    let mut cycles = Vec::new();
    for (folder, edges) in folders {
        let names: BTreeSet<&str> = edges.iter().flat_map(|(from, to)| [*from, *to]).collect();
        let mut grouped = BTreeSet::new();
        for name in names {
            let reached = reachable(name, &edges);
            let group = reached
                .iter()
                .filter(|other| reachable(other, &edges).contains(name));
            let group: Vec<&str> = group.copied().collect();
            if !group.is_empty() && grouped.insert(group.clone()) {
                cycles.push(
                    group
                        .iter()
                        .map(|name| child(folder, name).join("::"))
                        .collect(),
                );
            }
        }
    }
    cycles
}

fn reachable<'a>(from: &str, edges: &BTreeSet<(&'a str, &'a str)>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut last = vec![from];
    while let Some(name) = last.pop() {
        for (_, to) in edges.iter().filter(|(from, _)| *from == name) {
            if reached.insert(*to) {
                last.push(to);
            }
        }
    }
    reached
}
