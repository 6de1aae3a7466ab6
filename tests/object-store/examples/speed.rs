//! Copies blocks from a directory to an S3 server and back: by `Copy`, by plain calls of object_store with the same
//! concurrency, and by `rclone copy` if it is installed. The server runs in this process.
//!
//! `cargo run --release --example speed [ROUNDS] [--without-rclone]`
//!
//! `Copy` checks the hash of each block, so both `Copy` and the plain calls are measured with and without that. Each
//! download into a store ends with a sync.
//!
//! The table has the shortest time of ROUNDS rounds, three by default, and its ratio to that of the plain calls. Every
//! time goes to standard error.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ds_flatfs::maintenance::Copy;
use ds_flatfs::object_store::aws::AmazonS3Builder;
use ds_flatfs::object_store::path::Path as ObjectPath;
use ds_flatfs::object_store::{ObjectStore, ObjectStoreExt};
use ds_flatfs::{Datastore, Durability, FlatFs, Key, Query, hash};
use ds_flatfs_object_store::{BUCKET, Server, WRITER};
use futures::stream::{self, StreamExt, TryStreamExt};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const CONCURRENCY: usize = 64;

#[derive(Clone, Copy, Debug)]
enum Contender {
    Plain { is_checked: bool },
    Copy { is_checked: bool },
    Rclone,
}

const CONTENDERS: [Contender; 5] = [
    Contender::Plain { is_checked: false },
    Contender::Plain { is_checked: true },
    Contender::Copy { is_checked: false },
    Contender::Copy { is_checked: true },
    Contender::Rclone,
];

#[tokio::main]
async fn main() -> Result<()> {
    let mut contenders = CONTENDERS.to_vec();
    let mut rounds = 3;
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--without-rclone" => drop(contenders.pop()),
            number => rounds = number.parse()?,
        }
    }
    println!(
        "| blocks | direction | plain object_store | with hashes | Copy unverified | Copy | rclone |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for (count, size) in [(10_000, 4 << 10), (2_000, 256 << 10)] {
        measure(count, size, rounds, &contenders).await?;
    }
    Ok(())
}

async fn measure(count: usize, size: usize, rounds: usize, contenders: &[Contender]) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let source = create(&dir.path().join("source")).await?;
    let puts = (0..count).map(|i| {
        let mut block = vec![i as u8; size];
        block[..8].copy_from_slice(&i.to_le_bytes());
        Ok((Key::for_block(&block), Bytes::from(block)))
    });
    source.put_many(stream::iter(puts).boxed()).await?;
    source.sync().await?;

    // The contenders take turns, each with a server and a store of its own, and another one is first in each round.
    let mut times = [[Duration::MAX; CONTENDERS.len()]; 2];
    for round in 0..rounds {
        for i in 0..contenders.len() {
            let i = (i + round) % contenders.len();
            let target = dir.path().join("target");
            // rclone may not be installed.
            match contenders[i].copy(&source, &target).await {
                Ok(took) => (0..2).for_each(|way| times[way][i] = times[way][i].min(took[way])),
                Err(error) if matches!(contenders[i], Contender::Rclone) => eprintln!("{error}"),
                Err(error) => return Err(error),
            }
            // It does not exist if rclone is not installed.
            let _ = std::fs::remove_dir_all(target);
        }
    }
    for (direction, times) in ["to S3", "from S3"].into_iter().zip(times) {
        let [plain, ..] = times;
        let cells = times.map(|time| match time {
            Duration::MAX => "–".to_owned(),
            time => format!(
                "{time:.2?}, {:.2}",
                time.as_secs_f64() / plain.as_secs_f64()
            ),
        });
        let size = size >> 10;
        println!(
            "| {count} × {size} KiB | {direction} | {} |",
            cells.join(" | ")
        );
    }
    Ok(())
}

impl Contender {
    /// Copies the blocks to a server and from there to a directory, and returns how long each took.
    async fn copy(self, source: &FlatFs, target: &Path) -> Result<[Duration; 2]> {
        let server = Server::start().await;
        let begun = Instant::now();
        let (up, end) = match self {
            Contender::Plain { is_checked } => {
                let client: Arc<dyn ObjectStore> = Arc::new(client(&server)?);
                plain_upload(source, &client, is_checked).await?;
                let up = Instant::now();
                plain_download(&client, &create(target).await?, is_checked).await?;
                (up, Instant::now())
            }
            Contender::Copy { is_checked } => {
                let blocks = server.open("copy").await;
                copy(source, &blocks, true, is_checked).await?;
                let up = Instant::now();
                copy(&blocks, &create(target).await?, false, is_checked).await?;
                (up, Instant::now())
            }
            Contender::Rclone => {
                let remote = format!("s3:{BUCKET}/rclone");
                let path = |path: &Path| path.display().to_string();
                rclone(&server, &path(source.path()), &remote).await?;
                let up = Instant::now();
                rclone(&server, &remote, &path(target)).await?;
                (up, Instant::now())
            }
        };
        let took = [up - begun, end - up];
        eprintln!("{self:?}: {took:.2?}");
        Ok(took)
    }
}

async fn create(path: &Path) -> Result<FlatFs> {
    let options = FlatFs::options().durability(Durability::OnSync);
    Ok(options.create(path).await?)
}

fn client(server: &Server) -> Result<impl ObjectStore + use<>> {
    let builder = AmazonS3Builder::new()
        .with_endpoint(&server.endpoint)
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(BUCKET)
        .with_access_key_id(WRITER[0])
        .with_secret_access_key(WRITER[1]);
    Ok(builder.build()?)
}

async fn plain_upload(
    source: &FlatFs,
    client: &Arc<dyn ObjectStore>,
    is_checked: bool,
) -> Result<()> {
    let keys = source.query(Query::new().keys_only()).await?;
    let uploads = keys.map_err(Box::from).map(|entry: Result<_>| async move {
        let key: Key = entry?.key;
        let block = source.get(&key).await?.ok_or("a block is gone")?;
        check(&key, &block, is_checked).await?;
        let path = ObjectPath::parse(format!("plain{key}"))?;
        client.put(&path, block.into()).await?;
        Ok(())
    });
    uploads.buffer_unordered(CONCURRENCY).try_collect().await
}

async fn plain_download(
    client: &Arc<dyn ObjectStore>,
    target: &FlatFs,
    is_checked: bool,
) -> Result<()> {
    let objects = client.list(Some(&ObjectPath::from("plain")));
    let blocks = objects.map(|object| async move {
        let failed = |error: ds_flatfs::object_store::Error| std::io::Error::other(error);
        let path = object.map_err(failed)?.location;
        let block = client.get(&path).await.map_err(failed)?.bytes().await;
        let (key, block) = (
            Key::new(path.filename().unwrap_or_default()),
            block.map_err(failed)?,
        );
        check(&key, &block, is_checked).await?;
        Ok::<_, std::io::Error>((key, block))
    });
    let blocks = blocks
        .buffer_unordered(CONCURRENCY)
        .map_err(|error| ds_flatfs::Error::Backend {
            message: "a download failed".into(),
            source: Some(error.into()),
        });
    target.put_many(blocks.boxed()).await?;
    // As a copy ends.
    Ok(target.sync().await?)
}

/// Checks a block, if that is wanted, without blocking a worker of the runtime for long.
async fn check(key: &Key, block: &Bytes, is_wanted: bool) -> std::io::Result<()> {
    if !is_wanted {
        return Ok(());
    }
    let hash = key.to_multihash().ok_or(std::io::ErrorKind::InvalidData)?;
    let block = block.clone();
    let checked = match block.len() {
        ..=16_384 => hash::check(&hash, &block),
        _ => tokio::task::spawn_blocking(move || hash::check(&hash, &block)).await?,
    };
    checked.map_err(std::io::Error::other)
}

/// Copies as the program does.
async fn copy(
    source: &dyn Datastore,
    target: &dyn Datastore,
    to_s3: bool,
    is_checked: bool,
) -> Result<()> {
    let copy = Copy::new(source, target)
        .verified(is_checked)
        .compare_listings(to_s3);
    let report = copy.batches(!to_s3).run().await?;
    if report.failed_count > 0 {
        return Err(format!("{} blocks were not copied", report.failed_count).into());
    }
    Ok(())
}

async fn rclone(server: &Server, from: &str, to: &str) -> Result<()> {
    let mut command = Command::new("rclone");
    command
        .args(["copy", from, to, "--transfers", "64", "--checkers", "64"])
        // rclone refuses to start with it, and the server speaks HTTP.
        .env_remove("AWS_CA_BUNDLE")
        .env("RCLONE_CONFIG_S3_TYPE", "s3")
        .env("RCLONE_CONFIG_S3_PROVIDER", "Other")
        .env("RCLONE_CONFIG_S3_ENDPOINT", &server.endpoint)
        .env("RCLONE_CONFIG_S3_REGION", "us-east-1")
        .env("RCLONE_CONFIG_S3_ACCESS_KEY_ID", WRITER[0])
        .env("RCLONE_CONFIG_S3_SECRET_ACCESS_KEY", WRITER[1])
        .stdin(Stdio::null());
    let status = tokio::task::spawn_blocking(move || command.status()).await?;
    match status {
        Ok(status) if !status.success() => Err(format!("rclone failed: {status}").into()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("rclone cannot be run: {error}").into()),
    }
}
