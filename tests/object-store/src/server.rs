//! [`Server`]: s3s-fs on a port of the loopback interface.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ds_flatfs::object::{ObjectDatastore, ObjectOptions};
use ds_flatfs::object_store::{BackoffConfig, RetryConfig};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Result, s3_error};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::faults::Faults;
use crate::open::Open;

/// The only bucket.
pub const BUCKET: &str = "bucket";
/// The access key that may do everything, and its secret.
pub const WRITER: [&str; 2] = ["WRITER", "the-writers-secret"];
/// The access key that may read and list, and its secret.
pub const READER: [&str; 2] = ["READER", "the-readers-secret"];

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    pub endpoint: String,
    pub faults: Arc<Faults>,
    open: Arc<Open>,
    dir: TempDir,
    _accept: JoinSet<()>,
}

/// Refuses the writes of [`READER`].
struct ReadersOnlyRead;

#[async_trait::async_trait]
impl S3Access for ReadersOnlyRead {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let access_key = context.credentials().map(|keys| keys.access_key.as_str());
        let is_read = ["Get", "Head", "List"]
            .iter()
            .any(|verb| context.s3_op().name().starts_with(verb));
        match access_key {
            Some(key) if key == WRITER[0] || is_read => Ok(()),
            _ => Err(s3_error!(AccessDenied, "read only")),
        }
    }
}

impl Server {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join(BUCKET)).expect("a bucket");
        let files = FileSystem::new(dir.path()).expect("a store");
        let mut auth = SimpleAuth::new();
        for [key, secret] in [WRITER, READER] {
            auth.register(key.to_owned(), secret.into());
        }
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(auth);
        builder.set_access(ReadersOnlyRead);
        let service = builder.build();

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (faults, open) = (Arc::new(Faults::new()), Arc::new(Open::default()));
        let mut accept = JoinSet::new();
        accept.spawn(serve(
            listener,
            service,
            Arc::clone(&faults),
            Arc::clone(&open),
        ));
        Server {
            endpoint: format!("http://{address}"),
            faults,
            open,
            dir,
            _accept: accept,
        }
    }

    /// Returns the directory that has the objects of the bucket as files.
    #[must_use]
    pub fn bucket_dir(&self) -> PathBuf {
        self.dir.path().join(BUCKET)
    }

    /// Waits until all requests have been served whose clients were dropped before this call. No client may be left.
    pub async fn serve_all(&self) {
        // Connections are accepted in their order.
        let address = self.endpoint.trim_start_matches("http://");
        let mut last = TcpStream::connect(address).await.expect("a connection");
        let request = last.write_all(b"GET / HTTP/1.0\r\n\r\n").await;
        request.expect("a request");
        let mut response = Vec::new();
        last.read_to_end(&mut response).await.expect("a response");
        drop(last);
        self.open.none_is_left().await;
    }

    /// Returns options to open a datastore here with an access key.
    #[must_use]
    pub fn options(&self, key: [&str; 2]) -> ObjectOptions {
        options(&self.endpoint, key)
    }

    /// Opens the datastore below a prefix.
    pub async fn open(&self, prefix: &str) -> ObjectDatastore {
        let url = format!("s3://{BUCKET}/{prefix}");
        let opened = self.options(WRITER).open_url(&url).await;
        opened.expect("the datastore opens")
    }
}

/// Returns options for a server at `endpoint`, with retries that do not wait long.
#[must_use]
pub fn options(endpoint: &str, [key, secret]: [&str; 2]) -> ObjectOptions {
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(20),
            base: 2.0,
        },
        ..RetryConfig::default()
    };
    ObjectDatastore::options()
        .client_option("endpoint", endpoint)
        .client_option("region", "us-east-1")
        .client_option("allow_http", "true")
        .client_option("access_key_id", key)
        .client_option("secret_access_key", secret)
        .retry(retry)
}

async fn serve(listener: TcpListener, service: S3Service, faults: Arc<Faults>, open: Arc<Open>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (service, faults) = (service.clone(), Arc::clone(&faults));
        let (open, connection) = (Arc::clone(&open), open.add());
        connections.spawn(async move {
            let _connection = connection;
            let respond = service_fn(|request: hyper::Request<_>| {
                faults.respond(&service, request.map(Body::from), &open)
            });
            // A connection ends with an error when a fault closes it.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), respond)
                .await;
        });
    }
}
