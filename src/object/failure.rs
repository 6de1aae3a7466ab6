//! What the errors of object_store mean.

use std::error::Error as StdError;
use std::io;
use std::path::{MAIN_SEPARATOR, PathBuf};

use url::Url;

use super::response::Response;
use crate::error::{Error, ObjectFailure};

/// The codes of S3, Google Cloud Storage and Azure for an object that does not exist.
const ABSENT: &[&str] = &[
    "NoSuchKey",
    "BlobNotFound",
    "ResourceNotFound",
    "PathNotFound",
];

/// Returns the error of a request. `file` is the path of the object if it is known to be a file.
pub(super) fn error(
    action: &'static str,
    location: String,
    file: Option<PathBuf>,
    source: object_store::Error,
) -> Error {
    if file.is_some() || is_of_files(&source) {
        let file = file.unwrap_or_else(|| PathBuf::from(&location));
        if let Some(error) = file_error(action, file, &source) {
            return error;
        }
    }
    let (failure, source) = match Response::of(&source) {
        _ if has_no_credentials(&source) => (ObjectFailure::Unauthenticated, NO_CREDENTIALS.into()),
        Some(response) => (response.failure(), response.to_string().into()),
        None => match connection_error(&source) {
            Some(text) if text.contains("timed out") => (ObjectFailure::TimedOut, text.into()),
            Some(text) => (ObjectFailure::Other, text.into()),
            None => (failure_of(&source), source.into()),
        },
    };
    Error::ObjectStore {
        action,
        location,
        failure,
        source,
    }
}

/// Returns whether an error says that the object does not exist.
///
/// A server also responds with 404 if the bucket does not exist, or if it is not an object store. In these cases it is
/// not known whether the block is absent. The body of the response distinguishes these cases, but the response to a
/// HEAD request has no body.
pub(super) fn is_absent(error: &object_store::Error) -> bool {
    let is_not_found = matches!(error, object_store::Error::NotFound { .. });
    let is_absent = match Response::of(error) {
        None => is_not_found,
        Some(response) => match &response.code {
            Some(code) => (is_not_found || response.is_of_bulk_delete) && ABSENT.contains(&&**code),
            None => is_not_found && response.is_empty,
        },
    };
    is_absent || has_file_as_parent(error)
}

/// Returns whether the store does not support the request.
pub(super) fn is_unsupported(error: &object_store::Error) -> bool {
    matches!(
        error,
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }
    ) || Response::of(error).is_some_and(|response| response.status.starts_with("501"))
}

/// Returns whether there is a local file where the name of the object has a directory. A bucket can have both `a` and
/// `a/b`.
pub(super) fn has_file_as_parent(error: &object_store::Error) -> bool {
    let is_file = |error: &io::Error| error.kind() == io::ErrorKind::NotADirectory;
    is_of_files(error) && io_error(error).is_some_and(is_file)
}

/// Returns whether this is an error of a store of files. Those of other stores can have an I/O error of a connection.
fn is_of_files(error: &object_store::Error) -> bool {
    matches!(
        error,
        object_store::Error::Generic {
            store: "LocalFileSystem",
            ..
        }
    )
}

/// Returns the error of the operating system for the object at `path`, if there is one.
fn file_error(action: &'static str, path: PathBuf, error: &object_store::Error) -> Option<Error> {
    let source = io_error(error)?;
    let copy = match source.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(source.kind(), source.to_string()),
    };
    if let Some(Error::Io { action, path, .. } | Error::Full { action, path, .. }) = own(error) {
        return Some(Error::io(action, path.clone(), copy));
    }
    // The text around the error may name another file, such as a directory below the one that is listed. Otherwise it
    // would only repeat the path.
    let text = causes(error).next()?.to_string();
    let is_of_path = text.contains(&format!("{}: ", path.display()));
    Some(match is_of_path || !text.contains(MAIN_SEPARATOR) {
        true => Error::io(action, path, copy),
        false => Error::io(action, path, io::Error::new(source.kind(), text)),
    })
}

fn io_error(error: &object_store::Error) -> Option<&io::Error> {
    match own(error) {
        Some(error) => error.io_error(),
        None => causes(error).find_map(|cause| cause.downcast_ref()),
    }
}

/// Returns the error of this crate in it: that of the flush of a delete.
fn own(error: &object_store::Error) -> Option<&Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes(error: &object_store::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

const NO_CREDENTIALS: &str = "there are none in the environment or in the options, and the metadata service, which \
    machines in a cloud have, did not provide any";

/// Returns whether a request to a metadata service failed. The client asks it for credentials if there are no others.
fn has_no_credentials(error: &object_store::Error) -> bool {
    let services = [
        "169.254.169.254",
        "169.254.170.2",
        "metadata.google.internal",
    ];
    server(error).is_some_and(|server| services.contains(&server.split(':').next().unwrap_or("")))
}

/// Returns the host and the port that a request was sent to.
fn server(error: &object_store::Error) -> Option<String> {
    let text = error.to_string();
    // `Error performing GET http://host:port/path in 1ms - …`, maybe after `Error performing token request: `.
    let (_, request) = text.rsplit_once("Error performing ")?;
    let url = Url::parse(request.split(' ').nth(1)?).ok()?;
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// Returns the text of an error of the connection, with the server and without the request.
fn connection_error(error: &object_store::Error) -> Option<String> {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    let http = texts
        .iter()
        .rposition(|text| text.starts_with("HTTP error: "))?;
    let mut texts = texts.into_iter().skip(http + 1).peekable();
    texts.peek()?;
    let server = server(error).map(|server| format!("server {server}"));
    Some(itertools::join(server.into_iter().chain(texts), ": "))
}

fn failure_of(error: &object_store::Error) -> ObjectFailure {
    match error {
        object_store::Error::PermissionDenied { .. } => ObjectFailure::PermissionDenied,
        object_store::Error::Unauthenticated { .. } => ObjectFailure::Unauthenticated,
        _ => ObjectFailure::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::path::MAIN_SEPARATOR_STR;

    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic {
            store: "S3",
            source: text.into(),
        }
    }

    fn not_found(text: &str) -> object_store::Error {
        object_store::Error::NotFound {
            path: "blocks/X".into(),
            source: text.into(),
        }
    }

    fn response(status: &str, body: &str) -> String {
        format!(
            "Error performing GET http://host/b/X in 1ms - Server returned non-2xx status code: {status}: {body}"
        )
    }

    #[test]
    fn a_block_is_absent_only_if_the_server_says_so_of_the_object() {
        let no_key = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>";
        assert!(is_absent(&not_found(&response("404 Not Found", no_key))));
        assert!(is_absent(&not_found(&response("404 Not Found", ""))));
        assert!(is_absent(&not_found("no such file")));
        let no_bucket = "<Error><Code>NoSuchBucket</Code></Error>";
        for other in [no_bucket, "<html>nothing here</html>"] {
            assert!(!is_absent(&not_found(&response("404 Not Found", other))));
        }
        assert!(!is_absent(&generic(&response(
            "503 Service Unavailable",
            ""
        ))));
    }

    #[test]
    fn a_code_or_a_status_tells_what_failed() {
        for (status, code, expected) in [
            (
                "404 Not Found",
                "NoSuchBucket",
                ObjectFailure::BucketMissing,
            ),
            (
                "403 Forbidden",
                "AccessDenied",
                ObjectFailure::PermissionDenied,
            ),
            (
                "403 Forbidden",
                "SignatureDoesNotMatch",
                ObjectFailure::Unauthenticated,
            ),
            (
                "400 Bad Request",
                "ExpiredToken",
                ObjectFailure::Unauthenticated,
            ),
            (
                "503 Service Unavailable",
                "SlowDown",
                ObjectFailure::Throttled,
            ),
            ("403 Forbidden", "", ObjectFailure::PermissionDenied),
            ("429 Too Many Requests", "", ObjectFailure::Throttled),
            ("504 Gateway Timeout", "", ObjectFailure::TimedOut),
            (
                "500 Internal Server Error",
                "InternalError",
                ObjectFailure::Other,
            ),
        ] {
            let body = format!("<Error><Code>{code}</Code><Message>text</Message></Error>");
            let error = error(
                "read",
                "s3://b/X".into(),
                None,
                generic(&response(status, &body)),
            );
            assert_eq!(error.object_failure(), Some(expected), "{status} {code}");
        }
    }

    #[test]
    fn an_error_of_a_file_is_reported_once() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let source = object_store::Error::Generic {
            store: "LocalFileSystem",
            source: io::Error::new(full.kind(), full).into(),
        };
        let error = error("write", "file:///b/X".into(), None, source);
        assert!(error.is_full());
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        assert_eq!(causes.count(), 1, "{error:?}");
    }

    #[test]
    fn an_error_of_a_file_names_the_file_that_failed() {
        let message = |text: &str| {
            let denied = io::Error::from(io::ErrorKind::PermissionDenied);
            let source = object_store::Error::Generic {
                store: "LocalFileSystem",
                source: io::Error::new(denied.kind(), text.to_owned()).into(),
            };
            let path: PathBuf = [MAIN_SEPARATOR_STR, "b", "X"].iter().collect();
            let error = error("read", "file:///b/X".into(), Some(path), source);
            assert!(error.is_permission_denied());
            let reason = StdError::source(&error).unwrap().to_string();
            format!("{error}: {reason}").replace(MAIN_SEPARATOR, "/")
        };
        assert!(message("denied").starts_with("cannot read /b/X: "));
        let other =
            format!("cannot open {MAIN_SEPARATOR}b{MAIN_SEPARATOR}X{MAIN_SEPARATOR}Y: denied");
        assert!(message(&other).ends_with(": cannot open /b/X/Y: denied"));
    }

    #[test]
    fn an_io_error_of_a_connection_is_not_one_of_a_file() {
        let source = object_store::Error::Generic {
            store: "S3",
            source: io::Error::from(io::ErrorKind::NotADirectory).into(),
        };
        assert!(!has_file_as_parent(&source) && !is_absent(&source));
        let error = error("read", "s3://b/X".into(), None, source);
        assert_eq!(error.object_failure(), Some(ObjectFailure::Other));
    }

    #[test]
    fn missing_credentials_are_distinguished_from_a_server_that_refuses_them() {
        let text = "Error performing token request: Error performing PUT http://169.254.169.254/latest/api/token in 1s, after 10 retries, \
            max_retries: 10, retry_timeout: 180s  - HTTP error: error sending request";
        let error = error("read", "s3://b/X".into(), None, generic(text));
        assert!(error.is_unauthenticated());
        let reason = StdError::source(&error).unwrap().to_string();
        assert_eq!(reason, NO_CREDENTIALS);
    }

    #[test]
    fn the_result_of_one_key_of_a_bulk_delete_is_known_by_its_code() {
        let result = |code| {
            let text = "DeleteObjects request failed for key blocks/X: Access Denied (code: ";
            generic(&format!("{text}{code})"))
        };
        let error = error(
            "delete objects in",
            "s3://b".into(),
            None,
            result("AccessDenied"),
        );
        assert!(error.is_permission_denied());
        let reason = StdError::source(&error).unwrap().to_string();
        let expected = "200 OK with an error: AccessDenied: blocks/X: Access Denied";
        assert_eq!(reason, expected);
        assert!(is_absent(&result("NoSuchKey")));
        assert!(!is_absent(&result("AccessDenied")));
    }

    #[test]
    fn the_result_of_one_key_of_a_bulk_delete_in_azure_is_known_by_its_status() {
        let text =
            |code| format!("Bulk delete request failed for key blocks/X: Why (code: {code})");
        let failure = |code| error("delete", "az://b".into(), None, generic(&text(code)));
        assert!(failure("403").is_permission_denied());
        assert!(failure("503").is_throttled());
        assert!(!is_absent(&generic(&text("403"))));
        assert!(is_absent(&not_found(&text("404"))));
    }

    /// The error of an object that is not found has its key.
    #[test]
    fn a_key_cannot_pretend_to_be_a_response() {
        let no_bucket = "<Error><Code>NoSuchBucket</Code></Error>";
        let forged = object_store::Error::NotFound {
            path: response("404 Not Found", "<Code>NoSuchKey</Code>"),
            source: response("404 Not Found", no_bucket).into(),
        };
        assert!(!is_absent(&forged));
    }

    #[test]
    fn an_error_keeps_the_message_of_the_server_and_not_the_headers_that_it_repeats() {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>It does not match.</Message>\
            <CanonicalRequest>x-amz-security-token:TOPSECRET</CanonicalRequest></Error>";
        let source = generic(&response("403 Forbidden", body));
        let error = error("read", "s3://b/X".into(), None, source);
        let reason = StdError::source(&error).unwrap().to_string();
        assert_eq!(
            reason,
            "403 Forbidden: SignatureDoesNotMatch: It does not match."
        );
        assert!(!format!("{error:?}").contains("TOPSECRET"));
        assert!(
            error
                .to_string()
                .starts_with("cannot read s3://b/X: the credentials")
        );
    }
}
