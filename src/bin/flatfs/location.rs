//! [`StoreArgs`]: the argument DIR, which is a directory or the URL of an object store.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use crate::report;

/// The part of the help that explains URLs.
pub(crate) const URL_HELP: &str = "\
For most commands DIR may also be the URL of an object store: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or \
file:///PATH. There a block is the object PREFIX/KEY, as go-ds-s3 stores it. Credentials, region and endpoint \
are read from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT, \
AWS_ALLOW_HTTP, …; GOOGLE_…, AZURE_…). --store-option KEY=VALUE sets them too, under the names of the crate \
object_store, such as region=eu-west-1 or endpoint=https://host:3900.";

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Dir(PathBuf),
    Url(String),
}

/// An option of the client of an object store. The value may be a secret.
#[derive(Clone)]
pub(crate) struct ClientOption {
    pub(crate) name: String,
    #[cfg_attr(
        not(feature = "object-store"),
        allow(dead_code, reason = "without clients, only tests read it")
    )]
    pub(crate) value: String,
}

/// The store that a command works on.
#[derive(Clone, Debug, Args)]
pub(crate) struct StoreArgs {
    /// The store: a directory, or a URL such as s3://bucket/prefix ('flatfs help' says more)
    #[arg(value_name = "DIR", value_parser = parser())]
    pub(crate) dir: Location,
    #[command(flatten)]
    pub(crate) options: StoreOptions,
}

/// Options for stores whose location is a URL.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct StoreOptions {
    /// Set an option of the client of an object store
    #[arg(long = "store-option", value_name = "KEY=VALUE")]
    pub(crate) client: Vec<ClientOption>,
}

impl StoreOptions {
    /// Returns the arguments of one of several stores, with options of its own.
    pub(crate) fn for_store(&self, dir: &Location, own: &[ClientOption]) -> StoreArgs {
        let mut options = self.clone();
        options.client.extend_from_slice(own);
        StoreArgs {
            dir: dir.clone(),
            options,
        }
    }
}

/// Returns the parser of a directory or a URL.
pub(crate) fn parser() -> impl clap::builder::TypedValueParser<Value = Location> {
    OsStringValueParser::new().map(|text| Location::new(&text))
}

/// Returns the parser of a directory, for commands that work on files alone. A URL is refused for this reason.
pub(crate) fn dir_parser(
    reason: &'static str,
) -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(move |text| match Location::new(&text) {
        Location::Dir(dir) => Ok(dir),
        Location::Url(_) => Err(reason),
    })
}

impl StoreArgs {
    /// The store in a directory.
    pub(crate) fn dir(dir: &Path) -> Self {
        StoreArgs {
            dir: Location::Dir(dir.to_owned()),
            options: StoreOptions::default(),
        }
    }
}

impl Location {
    /// A text that begins as a URL is a URL; `./s3://` is a directory.
    fn new(text: &OsStr) -> Self {
        let scheme = |url: &str| {
            let (scheme, _) = url.split_once("://")?;
            // One letter is a drive of Windows.
            let is_scheme = scheme.len() > 1
                && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            is_scheme.then(|| url.to_owned())
        };
        match text.to_str().and_then(scheme) {
            Some(url) => Location::Url(url),
            None => Location::Dir(text.into()),
        }
    }

    pub(crate) fn dir(&self) -> Option<&Path> {
        match self {
            Location::Dir(dir) => Some(dir),
            Location::Url(_) => None,
        }
    }

    pub(crate) fn is_url(&self) -> bool {
        self.dir().is_none()
    }

    /// Returns the location as JSON objects have it: an absolute path, or the URL without secrets.
    pub(crate) fn absolute(&self) -> String {
        match self {
            Location::Dir(dir) => report::absolute(dir),
            Location::Url(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Dir(dir) => dir.display().fmt(f),
            Location::Url(url) => f.write_str(&without_secrets(url)),
        }
    }
}

/// Returns the path in a URL `file:///PATH`.
#[cfg(feature = "object-store")]
pub(crate) fn path_of_url(url: &str) -> Option<PathBuf> {
    let url = url::Url::parse(url).ok()?;
    let is_file = url.scheme() == "file";
    is_file.then(|| url.to_file_path().ok()).flatten()
}

#[cfg(not(feature = "object-store"))]
pub(crate) fn path_of_url(_: &str) -> Option<PathBuf> {
    None
}

/// Returns a URL without its user, its password and its query, which can be a token.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    // A password may have a slash, so the text up to the last `@` can be one. It begins before the first slash.
    let has_password = |user: &str| user.split('/').next().is_some_and(|it| it.contains(':'));
    let is_container = matches!(scheme, "abfs" | "abfss");
    let begins_with_user = |user: &str| has_password(user) || !(is_container || user.contains('/'));
    match rest.rsplit_once('@') {
        Some((user, _)) if begins_with_user(user) => {
            let rest = rest.get(user.len() + 1..).unwrap_or_default();
            format!("{scheme}://{rest}")
        }
        _ => url.to_owned(),
    }
}

impl FromStr for ClientOption {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("it must be KEY=VALUE")?;
        Ok(ClientOption {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl fmt::Debug for ClientOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=..", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_makes_a_url_and_anything_else_is_a_directory() {
        for url in ["s3://b/p", "file:///tmp/x", "gs://b", "http://h/"] {
            assert!(Location::new(url.as_ref()).is_url(), "{url}");
        }
        for dir in [
            "blocks", "./s3://b", "a/s3://b", "://b", "1s://b", "s3:/b", "c://b",
        ] {
            let expected = Location::Dir(dir.into());
            assert_eq!(Location::new(dir.as_ref()), expected, "{dir}");
        }
    }

    #[test]
    fn a_url_is_shown_without_secrets() {
        let shown = |url: &str| Location::Url(url.to_owned()).to_string();
        assert_eq!(shown("s3://id:secret@b/p?token=secret#x"), "s3://b/p");
        assert_eq!(shown("s3://id:sec/ret@b/p"), "s3://b/p");
        assert_eq!(shown("s3://secret@b/p"), "s3://b/p");
        let container = "abfss://container@account.dfs.core.windows.net/p";
        assert_eq!(shown(container), container);
        assert_eq!(shown("s3://b/a:b@c"), "s3://b/a:b@c");
        let option: ClientOption = "secret_access_key=a=b".parse().unwrap();
        assert_eq!(format!("{option:?}"), "secret_access_key=..");
        assert_eq!(option.value, "a=b");
    }
}
