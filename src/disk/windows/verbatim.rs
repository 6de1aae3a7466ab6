//! Paths in verbatim form, `\\?\C:\dir\file`. They may be longer than 260 characters, and their components may
//! have the names of devices, such as `CON`, which is a shard directory like any other.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf, Prefix};

/// Returns an absolute path in verbatim form. Any other path, and one with `..` in it, stays as it is.
pub(super) fn verbatim(path: &Path) -> Cow<'_, Path> {
    let mut components = path.components();
    let Some(Component::Prefix(prefix)) = components.next() else {
        return path.into();
    };
    let mut text = OsString::with_capacity(path.as_os_str().len() + 8);
    match prefix.kind() {
        Prefix::Disk(_) => {
            text.push(r"\\?\");
            text.push(prefix.as_os_str());
        }
        Prefix::UNC(server, share) => {
            text.push(r"\\?\UNC\");
            text.push(server);
            text.push(r"\");
            text.push(share);
        }
        _ => return path.into(),
    }
    if components.next() != Some(Component::RootDir) {
        return path.into();
    }
    let mut is_root = true;
    for component in components {
        let Component::Normal(name) = component else {
            return path.into();
        };
        text.push(r"\");
        text.push(name);
        is_root = false;
    }
    if is_root {
        text.push(r"\");
    }
    PathBuf::from(text).into()
}

/// Returns a path in the form that users know, without `\\?\`.
pub(super) fn without_verbatim(path: PathBuf) -> PathBuf {
    let mut components = path.components();
    let Some(Component::Prefix(prefix)) = components.next() else {
        return path;
    };
    let mut text = OsString::new();
    match prefix.kind() {
        Prefix::VerbatimDisk(letter) => {
            text.push(String::from(char::from(letter)));
            text.push(":");
        }
        Prefix::VerbatimUNC(server, share) => {
            text.push(r"\\");
            text.push(server);
            text.push(r"\");
            text.push(share);
        }
        _ => return path,
    }
    text.push(components.as_path());
    text.into()
}
