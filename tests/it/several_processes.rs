//! Several processes that use one store.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use ds_flatfs::{Error, FlatFs, Key, Options, Result};
use tempfile::TempDir;

use crate::child::{self, Child};
use crate::support;

fn value_of(name: &str) -> Bytes {
    Bytes::from(format!("the value of {name}"))
}

/// Another process that has a new store open as a writer.
struct Writer {
    child: Child,
    path: PathBuf,
    _dir: TempDir,
}

impl Writer {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("store");
        let mut child = Child::start("several_processes::writer", &[&path.display().to_string()]);
        assert_eq!(child.next_line().as_deref(), Some("open"));
        Writer {
            child,
            path,
            _dir: dir,
        }
    }

    /// Makes the process `put`, `delete` or `stage` a block, or `commit` what is staged.
    fn run(&mut self, command: &str) {
        assert_eq!(self.child.request(command), "done");
    }

    async fn open_beside(&self, options: Options) -> Result<FlatFs> {
        options.open(&self.path).await
    }

    async fn assert_other_writers_are_refused(&self) {
        let error = self.open_beside(FlatFs::options()).await.unwrap_err();
        assert!(error.is_locked(), "{error:?}");
        assert_eq!(error.path(), Some(&*self.path));
        assert_names(&error, &self.child);
        let error = FlatFs::options()
            .open_or_create(&self.path)
            .await
            .unwrap_err();
        assert!(error.is_locked(), "{error:?}");
        let error = FlatFs::options().create(&self.path).await.unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error:?}");
    }

    async fn open_to_read(&self) -> FlatFs {
        let options = FlatFs::options().read_only(true);
        self.open_beside(options)
            .await
            .expect("readers must be able to open")
    }
}

/// Checks that an error names a process as the owner of a lock. Not every file system tells.
pub(crate) fn assert_names(error: &Error, process: &Child) {
    let (Error::Locked { owner, .. } | Error::KuboRunning { owner, .. }) = error else {
        panic!("{error:?}");
    };
    if let Some(owner) = owner {
        assert_eq!(*owner, process.id());
        assert!(error.to_string().contains(&format!("(process {owner})")));
    }
}

#[test]
#[ignore = "a process of the tests below"]
fn writer() {
    let Some(arguments) = child::arguments() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(run_commands(Path::new(&arguments[0])))
        .expect("no errors");
}

async fn run_commands(path: &Path) -> Result<()> {
    let store = FlatFs::options().open_or_create(path).await?;
    let mut batch = store.batch().await?;
    child::send("open");
    while let Some(command) = child::receive() {
        let (command, name) = command.split_once(' ').unwrap_or((&command, ""));
        let key = Key::new(name);
        match command {
            "put" => store.put(&key, value_of(name)).await?,
            "delete" => store.delete(&key).await?,
            "stage" => batch.put(&key, value_of(name)).await?,
            "commit" => {
                let next = store.batch().await?;
                std::mem::replace(&mut batch, next).commit().await?;
            }
            _ => panic!("there is no command {command:?}"),
        }
        child::send("done");
    }
    drop(batch);
    store.close().await
}

#[tokio::test]
async fn a_second_writer_is_refused_immediately() {
    let writer = Writer::start();
    writer.assert_other_writers_are_refused().await;
}

#[tokio::test]
async fn a_reader_sees_acknowledged_writes_of_another_process() {
    let mut writer = Writer::start();
    let reader = writer.open_to_read().await;
    let (first, second) = (Key::new("FIRST"), Key::new("SECOND"));
    assert_eq!(reader.get(&first).await.unwrap(), None);
    writer.run("put FIRST");
    assert_eq!(reader.get(&first).await.unwrap(), Some(value_of("FIRST")));
    writer.run("stage SECOND");
    assert_eq!(reader.get(&second).await.unwrap(), None);
    writer.run("commit");
    assert_eq!(reader.get(&second).await.unwrap(), Some(value_of("SECOND")));
    assert_eq!(support::contents(&reader).await.len(), 2);
    writer.run("delete FIRST");
    assert_eq!(reader.get(&first).await.unwrap(), None);
}

#[tokio::test]
async fn readers_and_refused_writers_do_not_affect_a_batch_of_another_process() {
    let mut writer = Writer::start();
    let names = ["ONE", "TWO", "THREE"];
    for name in names {
        writer.run(&format!("stage {name}"));
    }
    support::wait_until_staged(&writer.path, names.len()).await;
    let staged = support::tree(&writer.path);
    writer.assert_other_writers_are_refused().await;
    let reader = writer.open_to_read().await;
    assert!(support::contents(&reader).await.is_empty());
    reader.close().await.unwrap();
    assert_eq!(support::tree(&writer.path), staged);
    writer.run("commit");
    let reader = writer.open_to_read().await;
    for name in names {
        let found = reader.get(&Key::new(name)).await.unwrap();
        assert_eq!(found, Some(value_of(name)));
    }
}

#[tokio::test]
async fn a_writer_opens_immediately_after_another_was_killed() {
    let mut writer = Writer::start();
    writer.run("put PUT");
    writer.run("stage STAGED");
    support::wait_until_staged(&writer.path, 1).await;
    let Writer { child, path, _dir } = writer;
    child.kill();
    let store = FlatFs::options()
        .open(&path)
        .await
        .expect("the store must open");
    assert_eq!(support::temp_files(&path), [""; 0]);
    let found = support::contents(&store).await;
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [(Key::new("PUT"), value_of("PUT"))]
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_writer_opens_immediately_after_another_closed() {
    let mut writer = Writer::start();
    writer.run("put PUT");
    let Writer { child, path, _dir } = writer;
    child.wait_for_success();
    let store = FlatFs::options()
        .open(&path)
        .await
        .expect("the store must open");
    assert!(store.has(&Key::new("PUT")).await.unwrap());
    store.close().await.unwrap();
}
