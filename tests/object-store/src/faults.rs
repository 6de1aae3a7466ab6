//! [`Faults`]: failures of a server, such as errors and closed connections.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::Frame;
use s3s::service::S3Service;
use s3s::{Body, HttpRequest, HttpResponse};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::open::Open;

/// Does something to every third request, each time something else, or the same to many.
#[derive(Debug)]
pub struct Faults {
    is_on: AtomicBool,
    is_throttling: AtomicBool,
    requests: AtomicUsize,
    faults: AtomicUsize,
    puts: watch::Sender<Puts>,
    /// The requests that are served, which end with the server.
    served: Mutex<JoinSet<()>>,
}

/// The PUT requests.
#[derive(Debug)]
struct Puts {
    received: usize,
    /// How many are served. The others wait.
    max: usize,
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
    pub(crate) fn new() -> Self {
        Faults {
            is_on: AtomicBool::new(false),
            is_throttling: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            faults: AtomicUsize::new(0),
            puts: watch::Sender::new(Puts {
                received: 0,
                max: usize::MAX,
            }),
            served: Mutex::default(),
        }
    }

    pub fn begin(&self) {
        self.is_on.store(true, Ordering::SeqCst);
    }

    /// Ends the faults, and returns how many there were.
    pub fn end(&self) -> usize {
        self.is_on.store(false, Ordering::SeqCst);
        self.faults.load(Ordering::SeqCst)
    }

    /// Responds to every request with SlowDown.
    pub fn throttle(&self) {
        self.is_throttling.store(true, Ordering::SeqCst);
    }

    /// Serves this number of PUT requests, and lets all others wait until [`release_puts`](Faults::release_puts).
    pub fn hold_puts_after(&self, count: usize) {
        self.puts
            .send_modify(|puts| puts.max = puts.received + count);
    }

    pub fn release_puts(&self) {
        self.puts.send_modify(|puts| puts.max = usize::MAX);
    }

    /// Waits until a PUT request waits.
    pub async fn put_is_held(&self) {
        let mut puts = self.puts.subscribe();
        let held = puts.wait_for(|puts| puts.received > puts.max).await;
        held.expect("the sender is here");
    }

    /// Returns how many requests the server has received.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn serve(&self, request: impl Future<Output = ()> + Send + 'static) {
        let mut served = self.served.lock().expect("no test has panicked here");
        while served.try_join_next().is_some() {}
        served.spawn(request);
    }

    fn next(&self) -> Option<Fault> {
        let request = self.requests.fetch_add(1, Ordering::SeqCst);
        if self.is_throttling.load(Ordering::SeqCst) {
            return Some(Fault::SlowDown);
        }
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
        open: &Arc<Open>,
    ) -> io::Result<HttpResponse> {
        // A task of its own, because a request that has arrived takes effect even if its client has gone.
        let respond = async |request| {
            let (service, served) = (service.clone(), open.add());
            let (sender, response) = oneshot::channel();
            self.serve(async move {
                let _served = served;
                let _ = sender.send(service.call(request).await);
            });
            let response = response.await.map_err(io::Error::other)?;
            response.map_err(|error| io::Error::other(format!("{error:?}")))
        };
        if request.method() == Method::PUT {
            let mut put = 0;
            self.puts.send_modify(|puts| {
                put = puts.received;
                puts.received += 1;
            });
            let mut puts = self.puts.subscribe();
            let released = puts.wait_for(|puts| put < puts.max).await;
            released.map_err(io::Error::other)?;
        }
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
