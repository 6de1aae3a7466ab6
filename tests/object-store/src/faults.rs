//! [`Faults`]: failures of a server, such as errors and closed connections.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use s3s::service::S3Service;
use s3s::{Body, HttpRequest, HttpResponse};

/// Does something to every third request, each time something else.
#[derive(Debug, Default)]
pub struct Faults {
    is_on: AtomicBool,
    requests: AtomicUsize,
    faults: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    InternalError,
    SlowDown,
    /// The connection is closed in the middle of the body of the response.
    CutResponse,
    /// The request takes effect, but the connection is closed instead of a response.
    LoseResponse,
    Delay,
}

const FAULTS: [Fault; 5] = [
    Fault::InternalError,
    Fault::SlowDown,
    Fault::CutResponse,
    Fault::LoseResponse,
    Fault::Delay,
];

impl Faults {
    pub fn begin(&self) {
        self.is_on.store(true, Ordering::SeqCst);
    }

    /// Ends the faults, and returns how many there were.
    pub fn end(&self) -> usize {
        self.is_on.store(false, Ordering::SeqCst);
        self.faults.load(Ordering::SeqCst)
    }

    /// Returns how many requests the server has received.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn next(&self) -> Option<Fault> {
        let request = self.requests.fetch_add(1, Ordering::SeqCst);
        if !self.is_on.load(Ordering::SeqCst) || request % 3 != 0 {
            return None;
        }
        let fault = self.faults.fetch_add(1, Ordering::SeqCst);
        Some(FAULTS[fault % FAULTS.len()])
    }

    /// Responds to a request. An error closes the connection.
    pub(crate) async fn respond(
        &self,
        service: &S3Service,
        request: HttpRequest,
    ) -> io::Result<HttpResponse> {
        let respond = async |request| {
            let response = service.call(request).await;
            response.map_err(|error| io::Error::other(format!("{error:?}")))
        };
        match self.next() {
            None => respond(request).await,
            Some(Fault::InternalError) => Ok(error_response(500, "InternalError")),
            Some(Fault::SlowDown) => Ok(error_response(503, "SlowDown")),
            Some(Fault::CutResponse) => cut(respond(request).await?).await,
            Some(Fault::LoseResponse) => {
                respond(request).await?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Some(Fault::Delay) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                respond(request).await
            }
        }
    }
}

fn error_response(status: u16, code: &str) -> HttpResponse {
    let body = format!("<Error><Code>{code}</Code><Message>a fault</Message></Error>");
    let mut response = HttpResponse::new(Body::from(body));
    *response.status_mut() = status.try_into().expect("a status");
    response
}

/// Returns a response whose body ends in an error after its first half, so that hyper closes the connection.
async fn cut(response: HttpResponse) -> io::Result<HttpResponse> {
    let (mut head, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if body.is_empty() {
        return Ok(HttpResponse::from_parts(head, Body::empty()));
    }
    head.headers.insert("content-length", body.len().into());
    let half: Result<_, io::Error> = Ok(Frame::data(body.slice(..body.len() / 2)));
    let end = Err(io::ErrorKind::ConnectionReset.into());
    let body = StreamBody::new(stream::iter([half, end]));
    Ok(HttpResponse::from_parts(head, Body::http_body_unsync(body)))
}
