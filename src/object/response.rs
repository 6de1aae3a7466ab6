//! [`Response`]: the response of a server to a request that failed.
//!
//! object_store keeps the type of its HTTP errors private, so the status and the response are taken from their text.
//! The response is shortened to its code and message: the response to a wrong signature repeats the headers of the
//! request, with a session token.

use std::error::Error as _;
use std::fmt;

use crate::error::ObjectFailure;

const CODES: &[(&str, ObjectFailure)] = &[
    ("NoSuchBucket", ObjectFailure::BucketMissing),
    ("ContainerNotFound", ObjectFailure::BucketMissing),
    ("FilesystemNotFound", ObjectFailure::BucketMissing),
    ("AccessDenied", ObjectFailure::PermissionDenied),
    (
        "AuthorizationPermissionMismatch",
        ObjectFailure::PermissionDenied,
    ),
    ("AuthorizationFailure", ObjectFailure::PermissionDenied),
    ("InvalidAccessKeyId", ObjectFailure::Unauthenticated),
    ("SignatureDoesNotMatch", ObjectFailure::Unauthenticated),
    (
        "AuthorizationHeaderMalformed",
        ObjectFailure::Unauthenticated,
    ),
    ("AuthenticationFailed", ObjectFailure::Unauthenticated),
    ("NotSignedUp", ObjectFailure::Unauthenticated),
    ("ExpiredToken", ObjectFailure::Unauthenticated),
    ("InvalidToken", ObjectFailure::Unauthenticated),
    ("InvalidSecurity", ObjectFailure::Unauthenticated),
    ("SlowDown", ObjectFailure::Throttled),
    ("ServerBusy", ObjectFailure::Throttled),
    ("RequestLimitExceeded", ObjectFailure::Throttled),
    ("TooManyRequests", ObjectFailure::Throttled),
    ("RequestTimeout", ObjectFailure::TimedOut),
    ("OperationTimedOut", ObjectFailure::TimedOut),
];

/// The response of the server to a request that failed.
pub(super) struct Response {
    /// The status, such as `404 Not Found`.
    pub(super) status: String,
    pub(super) code: Option<String>,
    message: Option<String>,
    pub(super) is_empty: bool,
    /// Whether it is the result of one key of a request that deletes many.
    pub(super) is_of_bulk_delete: bool,
}

impl Response {
    pub(super) fn of(error: &object_store::Error) -> Option<Self> {
        // The text of the error itself has the key of the block, which can contain any text.
        let text = error.source()?.to_string();
        if let Some(response) = Response::of_bulk_delete(&text) {
            return Some(response);
        }
        let found = text.split_once("Server returned non-2xx status code: ");
        if let Some((_, response)) = found {
            let (status, body) = response.split_once(':').unwrap_or((response, ""));
            return Some(Response::new(status.trim(), body.trim()));
        }
        let (_, body) = text.split_once("Server returned error response: ")?;
        Some(Response::new(WITH_ERROR, body))
    }

    /// Returns the result of one key of a request that deletes many. Its text ends with `KEY: MESSAGE (code: CODE)`,
    /// where the code of Azure is a status.
    fn of_bulk_delete(text: &str) -> Option<Self> {
        let s3 = text.strip_prefix("DeleteObjects request failed for key ");
        let azure = text.strip_prefix("Bulk delete request failed for key ");
        let (message, code) = s3.or(azure)?.rsplit_once(" (code: ")?;
        let code = code.strip_suffix(')').unwrap_or(code).to_owned();
        let (status, code) = match azure {
            Some(_) => (code, None),
            None => (WITH_ERROR.to_owned(), Some(code)),
        };
        Some(Response {
            status,
            code,
            message: Some(message.to_owned()),
            is_empty: true,
            is_of_bulk_delete: true,
        })
    }

    fn new(status: &str, body: &str) -> Self {
        Response {
            status: status.to_owned(),
            code: element(body, "Code"),
            message: element(body, "Message"),
            is_empty: body.is_empty(),
            is_of_bulk_delete: false,
        }
    }

    pub(super) fn failure(&self) -> ObjectFailure {
        let code = self.code.as_deref().unwrap_or("");
        if let Some((_, failure)) = CODES.iter().find(|(known, _)| *known == code) {
            return *failure;
        }
        match self.status.get(..3) {
            Some("401") => ObjectFailure::Unauthenticated,
            Some("403") => ObjectFailure::PermissionDenied,
            Some("429" | "503") => ObjectFailure::Throttled,
            Some("408" | "504") => ObjectFailure::TimedOut,
            _ => ObjectFailure::Other,
        }
    }
}

/// The status of a response that has an error in its body nevertheless.
const WITH_ERROR: &str = "200 OK with an error";

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.status)?;
        for text in self.code.iter().chain(&self.message) {
            write!(f, ": {text}")?;
        }
        Ok(())
    }
}

/// Returns the text of the first XML element with this name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once('<')?;
    Some(text.trim().to_owned())
}
