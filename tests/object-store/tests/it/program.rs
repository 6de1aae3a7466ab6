//! The program `flatfs` against a server: a backup, a copy that is killed, and wrong credentials.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use ds_flatfs_object_store::{READER, Server, WRITER};

const URL: &str = "s3://bucket/blocks";

/// Returns the program: the one in `FLATFS`, or the one that `cargo test --all-features` builds, which is built here if it
/// is not up to date.
fn flatfs() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Some(path) = std::env::var_os("FLATFS") {
            return path.into();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = root.join("target");
        // A test, so that it has the same features of dependencies as in `cargo test`, and nothing is built twice.
        let status = Command::new(env!("CARGO"))
            .args(["test", "--locked", "--all-features", "--no-run"])
            .args(["--bin", "flatfs", "--test", "it", "--manifest-path"])
            .arg(root.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .status()
            .unwrap();
        assert!(status.success());
        target.join("debug").join(format!("flatfs{EXE_SUFFIX}"))
    })
}

fn program(server: &Server, key: [&str; 2], args: &[&str]) -> Command {
    let mut command = Command::new(flatfs());
    command
        .args(args)
        .env("AWS_ENDPOINT", &server.endpoint)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", key[0])
        .env("AWS_SECRET_ACCESS_KEY", key[1])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the program on a thread where it may block, because the server runs in this process.
async fn run(server: &Server, key: [&str; 2], args: &[&str]) -> Output {
    let mut command = program(server, key, args);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

async fn succeed(server: &Server, args: &[&str]) -> String {
    let output = run(server, WRITER, args).await;
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a store with this number of blocks.
async fn store(server: &Server, dir: &Path, blocks: usize) -> String {
    let files = dir.join("files");
    fs::create_dir(&files).unwrap();
    for i in 0..blocks {
        fs::write(files.join(i.to_string()), format!("block {i} ").repeat(i)).unwrap();
    }
    let store = dir.join("store").to_str().unwrap().to_owned();
    succeed(server, &["put", "-r", &store, files.to_str().unwrap()]).await;
    store
}

/// The number of blocks that the server has.
fn stored(server: &Server) -> usize {
    fs::read_dir(server.bucket_dir().join("blocks")).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_is_completed_by_the_same_command_and_comes_back_equal() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&server, dir.path(), 400).await;

    let mut child = program(
        &server,
        WRITER,
        &["copy", "--concurrency", "2", &store, URL],
    )
    .spawn()
    .unwrap();
    while stored(&server) < 20 && child.try_wait().unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        (20..400).contains(&stored(&server)),
        "{} blocks",
        stored(&server)
    );

    let done = succeed(&server, &["copy", &store, URL]).await;
    assert!(done.contains(" already there"), "{done}");
    assert_eq!(succeed(&server, &["diff", &store, URL]).await, "");
    assert!(
        succeed(&server, &["verify", URL])
            .await
            .contains("400 blocks, ")
    );
    let back = dir.path().join("back").to_str().unwrap().to_owned();
    succeed(&server, &["copy", URL, &back]).await;
    assert_eq!(succeed(&server, &["diff", URL, &back]).await, "");
    assert!(
        succeed(&server, &["copy", URL, &back])
            .await
            .contains(": 0 blocks copied")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_only_read_or_is_wrong_is_reported_without_its_secret() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&server, dir.path(), 3).await;
    succeed(&server, &["copy", &store, URL]).await;
    let listed = run(&server, READER, &["ls", URL]).await;
    assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), 3);
    let file = dir.path().join("files/2");
    for (key, args) in [
        (READER, ["put", URL, file.to_str().unwrap()]),
        ([WRITER[0], "a-wrong-secret"], ["stat", URL, "--json"]),
    ] {
        let refused = run(&server, key, &args).await;
        let error = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(3), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(URL) && !error.contains(key[1]), "{error}");
    }
}

/// SIGINT is sent by the program kill, because std has no function for it.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_interrupted_is_completed_by_the_same_command() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&server, dir.path(), 400).await;
    let car = dir.path().join("blocks.car").to_str().unwrap().to_owned();
    succeed(&server, &["export", &store, "-o", &car]).await;

    server.faults.hold_puts_after(20);
    let child = program(&server, WRITER, &["import", URL, &car])
        .spawn()
        .unwrap();
    server.faults.put_is_held().await;
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    let output = output.await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.contains("run the command again"), "{error}");
    assert!(stored(&server) <= 20, "{} blocks", stored(&server));

    server.faults.release_puts();
    succeed(&server, &["import", URL, &car]).await;
    assert_eq!(succeed(&server, &["diff", &store, URL]).await, "");
    succeed(&server, &["verify", URL]).await;
}
