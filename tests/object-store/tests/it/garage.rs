//! A real garage server, if there is one: at the path in `GARAGE`, or as `garage` on the `PATH`.

use std::env;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ds_flatfs::Shard;
use ds_flatfs::conformance::{self, Keys};
use ds_flatfs::object::{ObjectDatastore, ObjectOptions};
use ds_flatfs_object_store::options;

const KEY: [&str; 2] = [
    "GK0123456789abcdef01234567",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
];

/// A server that is killed when the test ends.
struct Garage(Child);

impl Drop for Garage {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts a server with one bucket, or returns `None` if there is no such program.
fn start(dir: &Path, port: u16) -> Option<Garage> {
    let (meta, data) = (dir.join("meta"), dir.join("data"));
    let config = format!(
        "metadata_dir = {meta:?}\ndata_dir = {data:?}\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
         rpc_bind_addr = \"127.0.0.1:{}\"\nrpc_secret = \"{}\"\n\
         [s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"127.0.0.1:{port}\"\n",
        free_port(),
        KEY[1],
    );
    let file = dir.join("garage.toml");
    fs::write(&file, config).unwrap();
    let program = env::var("GARAGE").unwrap_or_else(|_| "garage".to_owned());
    let started = Command::new(&program)
        .arg("-c")
        .arg(&file)
        .args(["server", "--single-node", "--default-bucket"])
        .env("GARAGE_DEFAULT_ACCESS_KEY", KEY[0])
        .env("GARAGE_DEFAULT_SECRET_KEY", KEY[1])
        .env("GARAGE_DEFAULT_BUCKET", "bucket")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Ok(child) => Some(Garage(child)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Unlike println, this is shown when the test passes.
            let _ = writeln!(io::stderr(), "skipped: there is no program {program}");
            None
        }
        Err(error) => panic!("cannot start {program}: {error}"),
    }
}

/// Opens a datastore as soon as the server is ready.
async fn open_when_ready(options: &ObjectOptions) -> ObjectDatastore {
    let mut last = None;
    for _ in 0..300 {
        match options.open_url("s3://bucket/blocks").await {
            Ok(datastore) => return datastore,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("garage does not become ready: {last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_on_garage_with_any_keys_and_with_a_shard_function() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let Some(_garage) = start(dir.path(), port) else {
        return;
    };
    let options = options(&format!("http://127.0.0.1:{port}"), KEY);
    let options = options.client_option("region", "garage");
    let datastore = open_when_ready(&options).await;
    conformance::all(&datastore, Keys::Any).await;
    conformance::closing(&datastore, Keys::Any).await;
    let options = options.shard(Shard::default());
    let sharded = options.create_url("s3://bucket/sharded").await.unwrap();
    conformance::all(&sharded, Keys::Flat).await;
    conformance::closing(&sharded, Keys::Flat).await;
}
