//! Copies blocks from a directory to an S3 server and back: by `Copy`, by plain calls of object_store with the same
//! concurrency, and by `rclone copy` if it is installed. The server runs in this process.
//!
//! `cargo run --release --example speed [ROUNDS]`
//!
//! `Copy` also checks the hash of each block; the others do not. Each download into a store ends with a sync.
//!
//! The table has the shortest time of three rounds, or of this number. Every time goes to standard error.

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
use ds_flatfs::{Datastore, Durability, FlatFs, Key, Query};
use ds_flatfs_object_store::{BUCKET, Server, WRITER};
use futures::stream::{self, StreamExt, TryStreamExt};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const CONCURRENCY: usize = 64;

#[tokio::main]
async fn main() -> Result<()> {
    let rounds = env::args().nth(1).map_or(Ok(3), |rounds| rounds.parse())?;
    println!("| blocks | direction | plain object_store | Copy | ratio | rclone | ratio |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for (count, size) in [(10_000, 4 << 10), (2_000, 256 << 10)] {
        measure(count, size, rounds).await?;
    }
    Ok(())
}

async fn measure(count: usize, size: usize, rounds: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let source = create(&dir.path().join("source")).await?;
    let puts = (0..count).map(|i| {
        let mut block = vec![i as u8; size];
        block[..8].copy_from_slice(&i.to_le_bytes());
        Ok((Key::for_block(&block), Bytes::from(block)))
    });
    source.put_many(stream::iter(puts).boxed()).await?;
    source.sync().await?;

    // The contenders take turns, each with a server of its own in each round.
    let mut times = [[Duration::MAX; 3]; 2];
    for round in 0..rounds {
        let server = Server::start().await;
        let path = |name: &str| dir.path().join(format!("{name}{round}"));

        let client: Arc<dyn ObjectStore> = Arc::new(client(&server)?);
        let [up, down] = &mut times;
        best(&mut up[0], plain_upload(&source, &client)).await?;
        let target = create(&path("plain")).await?;
        best(&mut down[0], plain_download(&client, &target)).await?;

        let blocks = server.open("copy").await;
        best(&mut up[1], copy(&source, &blocks, true)).await?;
        let target = create(&path("copy")).await?;
        best(&mut down[1], copy(&blocks, &target, false)).await?;

        let remote = format!("s3:{BUCKET}/rclone");
        let source = dir.path().join("source").display().to_string();
        let target = path("rclone").display().to_string();
        // It may not be installed.
        if let Err(error) = best(&mut up[2], rclone(&server, &source, &remote)).await {
            eprintln!("{error}");
        } else {
            best(&mut down[2], rclone(&server, &remote, &target)).await?;
        }
        for name in ["plain", "copy", "rclone"] {
            remove(&path(name));
        }
    }
    for (direction, [plain, copy, rclone]) in ["to S3", "from S3"].into_iter().zip(times) {
        let cells = |time: Duration| match time {
            Duration::MAX => "– | –".to_owned(),
            time => format!(
                "{time:.2?} | {:.2}",
                time.as_secs_f64() / plain.as_secs_f64()
            ),
        };
        println!(
            "| {count} × {} KiB | {direction} | {plain:.2?} | {} | {} |",
            size >> 10,
            cells(copy),
            cells(rclone),
        );
    }
    Ok(())
}

async fn create(path: &Path) -> Result<FlatFs> {
    let options = FlatFs::options().durability(Durability::OnSync);
    Ok(options.create(path).await?)
}

fn remove(path: &Path) {
    // The directory of rclone does not exist if it is not installed.
    let _ = std::fs::remove_dir_all(path);
}

/// Keeps the shortest time.
async fn best(time: &mut Duration, work: impl Future<Output = Result<()>>) -> Result<()> {
    let begun = Instant::now();
    work.await?;
    let took = begun.elapsed();
    eprintln!("{took:.2?}");
    *time = took.min(*time);
    Ok(())
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

async fn plain_upload(source: &FlatFs, client: &Arc<dyn ObjectStore>) -> Result<()> {
    let keys = source.query(Query::new().keys_only()).await?;
    let uploads = keys.map_err(Box::from).map(|entry: Result<_>| async move {
        let key: Key = entry?.key;
        let block = source.get(&key).await?.ok_or("a block is gone")?;
        let path = ObjectPath::parse(format!("plain{key}"))?;
        client.put(&path, block.into()).await?;
        Ok(())
    });
    uploads.buffer_unordered(CONCURRENCY).try_collect().await
}

async fn plain_download(client: &Arc<dyn ObjectStore>, target: &FlatFs) -> Result<()> {
    let objects = client.list(Some(&ObjectPath::from("plain")));
    let blocks = objects.map(|object| async move {
        let failed = |error: ds_flatfs::object_store::Error| std::io::Error::other(error);
        let path = object.map_err(failed)?.location;
        let block = client.get(&path).await.map_err(failed)?.bytes().await;
        let name = path.filename().unwrap_or_default();
        Ok::<_, std::io::Error>((Key::new(name), block.map_err(failed)?))
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

/// Copies as the program does.
async fn copy(source: &dyn Datastore, target: &dyn Datastore, to_s3: bool) -> Result<()> {
    let copy = Copy::new(source, target).compare_listings(to_s3);
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
