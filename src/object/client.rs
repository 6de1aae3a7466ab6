//! [`connect`]: creates the client for a URL.

use std::fmt::Display;
#[cfg(not(any(feature = "s3", feature = "gcs", feature = "azure")))]
use std::sync::Arc;

#[cfg(not(any(feature = "s3", feature = "gcs", feature = "azure")))]
use object_store::ObjectStore;
use object_store::ObjectStoreScheme;
use object_store::path::Path;
use url::Url;

use super::bucket::Bucket;
use super::client_config::ClientConfig;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
use super::remote::client;
use crate::error::{Error, Result};

const FORMS: &str = "it must be s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///path; the address \
    of a server is an option of its own, such as endpoint or AWS_ENDPOINT for s3";

/// Creates the client for a URL, and returns it with the prefix in the URL.
pub(super) fn connect(text: &str, config: &ClientConfig) -> Result<(Bucket, Path)> {
    let url = Url::parse(text).map_err(|error| {
        // The text after the scheme may contain a password, and where that ends is not known.
        let scheme = text
            .split_once("://")
            .map(|(scheme, _)| format!("{scheme}://…"));
        invalid(scheme.as_deref().unwrap_or(text), error)
    })?;
    let shown = without_secrets(url.clone());
    // Of an address it isn't clear whether the bucket is in its host or in its path, and for most servers not even
    // which protocol they speak.
    let is_address = matches!(url.scheme(), "http" | "https");
    let parsed = (!is_address).then(|| ObjectStoreScheme::parse(&url).ok());
    let (scheme, prefix) = parsed.flatten().ok_or_else(|| invalid(&shown, FORMS))?;
    let has_user = !url.username().is_empty() && !has_container_as_user(&url);
    let has_secrets = has_user || url.password().is_some();
    if has_secrets || url.query().is_some() || url.fragment().is_some() {
        let reason = "a user name, a password, a query or a fragment in it is not used: set the environment, or an option of the client";
        return Err(invalid(&shown, reason));
    }
    let invalid = |reason| invalid(&shown, reason);
    if scheme == ObjectStoreScheme::Local {
        return match config.options.first() {
            None => Ok((
                Bucket::of_files(),
                as_listed(prefix).map_err(|reason| invalid(reason.to_owned()))?,
            )),
            Some((name, _)) => Err(invalid(format!("a directory has no option {name:?}"))),
        };
    }
    let store = client(&scheme, &shown, config);
    let store = store.unwrap_or_else(|| Err(no_client(&scheme)));
    let store = store.map_err(invalid)?;
    let name = shown.trim_end_matches('/');
    let name = name.strip_suffix(prefix.as_ref()).unwrap_or(name);
    let name = name.strip_suffix('/').unwrap_or(name);
    let is_ordered = lists_in_order(&scheme, &url);
    let bucket = Bucket::new(store, name.to_owned(), is_ordered);
    Ok((bucket, prefix))
}

/// Returns the path of a directory in the form in which the client lists its files: with an upper-case drive and `:`.
/// Below another form it would find no file.
#[cfg(windows)]
fn as_listed(prefix: Path) -> Result<Path, &'static str> {
    let (drive, rest) = prefix.as_ref().split_at_checked(1).unwrap_or_default();
    let below = rest.strip_prefix([':', '|']);
    let below = below.filter(|below| below.is_empty() || below.starts_with('/'));
    match below {
        Some(below) if drive.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            let path = format!("{}:{below}", drive.to_ascii_uppercase());
            Path::parse(path).map_err(|_| NO_DRIVE)
        }
        _ => Err(NO_DRIVE),
    }
}

#[cfg(windows)]
const NO_DRIVE: &str = "it must have a drive, as in file:///C:/path";

#[cfg(not(windows))]
fn as_listed(prefix: Path) -> Result<Path, &'static str> {
    Ok(prefix)
}

/// Returns whether a store lists objects in the byte order of their names. [S3] does, except for directory buckets,
/// whose names end with `--x-s3`, and so does [Google Cloud Storage]. Azure has kinds of accounts that don't.
///
/// [S3]: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
/// [Google Cloud Storage]: https://cloud.google.com/storage/docs/json_api/v1/objects/list
fn lists_in_order(scheme: &ObjectStoreScheme, url: &Url) -> bool {
    match scheme {
        ObjectStoreScheme::AmazonS3 => !url.as_str().contains("--x-s3"),
        ObjectStoreScheme::GoogleCloudStorage => true,
        _ => false,
    }
}

fn invalid(url: &str, reason: impl Display) -> Error {
    Error::InvalidUrl {
        url: url.to_owned(),
        reason: reason.to_string(),
    }
}

/// Returns whether the container is where other URLs have a user name: `abfss://container@account.host/prefix`.
fn has_container_as_user(url: &Url) -> bool {
    matches!(url.scheme(), "abfs" | "abfss")
}

/// Returns the text of a URL without its user, its password and its query, which can be a token.
fn without_secrets(mut url: Url) -> String {
    // These fail only for URLs that cannot have a password.
    if !has_container_as_user(&url) {
        let _ = url.set_username("");
    }
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(not(any(feature = "s3", feature = "gcs", feature = "azure")))]
fn client(
    _: &ObjectStoreScheme,
    _: &str,
    _: &ClientConfig,
) -> Option<Result<Arc<dyn ObjectStore>, String>> {
    None
}

/// Returns why there is no client for a scheme.
fn no_client(scheme: &ObjectStoreScheme) -> String {
    match feature(scheme) {
        Some(feature) => format!("this program was built without the feature `{feature}`"),
        None => FORMS.to_owned(),
    }
}

/// Returns the feature that has the client for a scheme.
fn feature(scheme: &ObjectStoreScheme) -> Option<&'static str> {
    match scheme {
        ObjectStoreScheme::AmazonS3 => Some("s3"),
        ObjectStoreScheme::GoogleCloudStorage => Some("gcs"),
        ObjectStoreScheme::MicrosoftAzure => Some("azure"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, config: &ClientConfig) -> String {
        match connect(url, config) {
            Ok((_, prefix)) => panic!("{url} was accepted, with the prefix {prefix}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_url_names_the_bucket_and_the_prefix() {
        let config = ClientConfig::default();
        let (bucket, prefix) = connect("file:///C:/a-b/blocks/", &config).unwrap();
        assert_eq!(prefix.as_ref(), "C:/a-b/blocks");
        assert_eq!(bucket.location(&Path::from("tmp")), "file:///tmp");
    }

    #[cfg(windows)]
    #[test]
    fn the_path_of_a_directory_begins_with_an_upper_case_drive() {
        let config = ClientConfig::default();
        for url in [
            "file:///c:/a",
            "file:///C|/a",
            "file://c:/a",
            "file:///c%3A/a",
        ] {
            let (_, prefix) = connect(url, &config).unwrap();
            assert_eq!(prefix.as_ref(), "C:/a", "{url}");
        }
        for url in ["file:///tmp/a", "file:///", "file:///cd:/a"] {
            assert!(refused(url, &config).contains("file:///C:/path"), "{url}");
        }
    }

    #[test]
    fn urls_of_no_store_are_refused_and_show_no_secret() {
        let config = ClientConfig::default();
        for url in [
            "blocks",
            "ftp://id:secret@host/x?t=secret",
            "memory:///",
            "s3:///x",
            "file://host/x",
            "https://bucket.s3.eu-west-1.amazonaws.com/blocks",
            "https://account.blob.core.windows.net/container/blocks",
            "http://localhost:9000/bucket",
        ] {
            let message = refused(url, &config);
            assert!(!message.contains("secret"), "{message}");
            let is_url = url.contains("://");
            assert!(
                !is_url || message.contains("s3://bucket/prefix"),
                "{message}"
            );
        }
    }

    /// They would be ignored otherwise.
    #[test]
    fn secrets_in_a_url_are_refused_and_not_shown() {
        let config = ClientConfig::default();
        for url in [
            "s3://id:secret@bucket/x",
            "s3://secret@bucket/x",
            "gs://secret@bucket/x",
            "s3://bucket/x?token=secret",
            "file:///tmp/x#secret",
        ] {
            let message = refused(url, &config);
            assert!(message.contains("is not used"), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn an_unknown_client_option_is_refused() {
        let mut config = ClientConfig::default();
        config.options.push(("colour".into(), "green".into()));
        assert!(refused("file:///tmp", &config).contains("no option \"colour\""));
        #[cfg(feature = "s3")]
        assert!(refused("s3://bucket", &config).contains("no option \"colour\""));
    }

    #[test]
    fn a_missing_feature_is_named() {
        for (url, feature) in [("s3://b", "s3"), ("gs://b", "gcs"), ("az://b", "azure")] {
            let (scheme, _) = ObjectStoreScheme::parse(&Url::parse(url).unwrap()).unwrap();
            let expected = format!("this program was built without the feature `{feature}`");
            assert_eq!(no_client(&scheme), expected);
        }
    }

    #[cfg(feature = "s3")]
    #[test]
    fn the_messages_name_the_bucket() {
        let config = ClientConfig {
            options: vec![("region".into(), "r".into())],
            ..ClientConfig::default()
        };
        let (bucket, prefix) = connect("s3://bucket/blocks", &config).unwrap();
        assert_eq!(prefix.as_ref(), "blocks");
        assert_eq!(bucket.location(&prefix.join("X")), "s3://bucket/blocks/X");
    }
}
