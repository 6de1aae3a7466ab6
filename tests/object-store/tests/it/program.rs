//! The program `flatfs` against a server: a backup, a copy that is killed, and wrong credentials.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use ds_flatfs_object_store::{READER, Server, WRITER};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

const URL: &str = "s3://bucket/blocks";

/// Returns the program: the one in `FLATFS`, or the one that `cargo test --all-features` builds, which is built here if it
/// is not up to date.
async fn flatfs() -> &'static Path {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    BUILT
        .get_or_init(async || match std::env::var_os("FLATFS") {
            Some(path) => path.into(),
            None => build().await,
        })
        .await
}

async fn build() -> PathBuf {
    // A test, so that it has the same features of dependencies as in `cargo test`, and nothing is built twice.
    let built = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--all-features", "--no-run"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(["--bin", "flatfs", "--test", "it", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml"))
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    assert!(built.status.success());
    let messages = serde_json::Deserializer::from_slice(&built.stdout).into_iter::<Value>();
    let mut programs = messages.filter_map(|message| {
        let message = message.unwrap();
        // cargo also builds the unit tests of the program.
        let is_program =
            message["target"]["name"] == "flatfs" && message["profile"]["test"] == false;
        let path = message["executable"].as_str().filter(|_| is_program)?;
        Some(path.into())
    });
    programs.next().unwrap()
}

async fn program(server: &Server, key: [&str; 2], args: &[&str]) -> Command {
    let mut command = Command::new(flatfs().await);
    command
        .args(args)
        .env("AWS_ENDPOINT", &server.endpoint)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", key[0])
        .env("AWS_SECRET_ACCESS_KEY", key[1])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(server: &Server, key: [&str; 2], args: &[&str]) -> Output {
    program(server, key, args).await.output().await.unwrap()
}

/// Starts the program, and waits until the server holds one of its PUT requests.
async fn start_until_put_is_held(server: &Server, args: &[&str]) -> Child {
    /// Only a test that fails takes as long.
    const MAX_WAIT: Duration = Duration::from_secs(300);
    let mut child = program(server, WRITER, args).await.spawn().unwrap();
    tokio::select! {
        () = server.faults.put_is_held() => child,
        ended = child.wait() => panic!("{args:?} ended before its PUT requests: {ended:?}"),
        () = tokio::time::sleep(MAX_WAIT) => panic!("{args:?} did not send its PUT requests"),
    }
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

    server.faults.hold_puts_after(20);
    let args = ["copy", "--concurrency", "2", &store, URL];
    let mut child = start_until_put_is_held(&server, &args).await;
    child.kill().await.unwrap();
    assert!(
        (1..=20).contains(&stored(&server)),
        "{} blocks",
        stored(&server)
    );

    server.faults.release_puts();
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

/// SIGINT is sent by a shell, because std has no function for it.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_interrupted_is_completed_by_the_same_command() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(&server, dir.path(), 400).await;
    let car = dir.path().join("blocks.car").to_str().unwrap().to_owned();
    succeed(&server, &["export", &store, "-o", &car]).await;

    server.faults.hold_puts_after(20);
    let child = start_until_put_is_held(&server, &["import", URL, &car]).await;
    let interrupt = Command::new("sh")
        .args(["-c", "kill -INT \"$1\"", "sh"])
        .arg(child.id().unwrap().to_string())
        .status();
    assert!(interrupt.await.unwrap().success());
    let output = child.wait_with_output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.contains("run the command again"), "{error}");
    assert!(stored(&server) <= 20, "{} blocks", stored(&server));

    server.faults.release_puts();
    succeed(&server, &["import", URL, &car]).await;
    assert_eq!(succeed(&server, &["diff", &store, URL]).await, "");
    succeed(&server, &["verify", URL]).await;
}
