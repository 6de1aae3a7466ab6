//! Several processes on one store.

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
        let mut child = Child::start("processes::writer", &[&path.display().to_string()]);
        assert_eq!(child.hear().as_deref(), Some("open"));
        Writer {
            child,
            path,
            _dir: dir,
        }
    }

    /// Lets it `put`, `delete` or `stage` a block, or `commit` what is staged.
    fn tell(&mut self, command: &str) {
        assert_eq!(self.child.ask(command), "done");
    }

    async fn open_beside(&self, options: Options) -> Result<FlatFs> {
        options.open(&self.path).await
    }

    async fn assert_locks_out(&self) {
        let error = self.open_beside(FlatFs::options()).await.unwrap_err();
        assert!(error.is_locked(), "{error:?}");
        assert_eq!(error.path(), Some(&*self.path));
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
        self.open_beside(options).await.expect("readers are let in")
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
        .block_on(obey(Path::new(&arguments[0])))
        .expect("no errors");
}

async fn obey(path: &Path) -> Result<()> {
    let store = FlatFs::options().open_or_create(path).await?;
    let mut batch = store.batch().await?;
    child::say("open");
    while let Some(command) = child::listen() {
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
        child::say("done");
    }
    drop(batch);
    store.close().await
}

#[tokio::test]
async fn a_second_writer_is_locked_out_at_once() {
    let writer = Writer::start();
    writer.assert_locks_out().await;
}

#[tokio::test]
async fn a_reader_sees_what_a_writer_in_another_process_has_acknowledged() {
    let mut writer = Writer::start();
    let reader = writer.open_to_read().await;
    let (first, second) = (Key::new("FIRST"), Key::new("SECOND"));
    assert_eq!(reader.get(&first).await.unwrap(), None);
    writer.tell("put FIRST");
    assert_eq!(reader.get(&first).await.unwrap(), Some(value_of("FIRST")));
    writer.tell("stage SECOND");
    assert_eq!(reader.get(&second).await.unwrap(), None);
    writer.tell("commit");
    assert_eq!(reader.get(&second).await.unwrap(), Some(value_of("SECOND")));
    assert_eq!(support::contents(&reader).await.len(), 2);
    writer.tell("delete FIRST");
    assert_eq!(reader.get(&first).await.unwrap(), None);
}

#[tokio::test]
async fn a_batch_of_a_live_writer_survives_readers_and_writers_that_are_locked_out() {
    let mut writer = Writer::start();
    let names = ["ONE", "TWO", "THREE"];
    for name in names {
        writer.tell(&format!("stage {name}"));
    }
    support::until_staged(&writer.path, names.len()).await;
    let staged = support::tree(&writer.path);
    writer.assert_locks_out().await;
    let reader = writer.open_to_read().await;
    assert!(support::contents(&reader).await.is_empty());
    reader.close().await.unwrap();
    assert_eq!(support::tree(&writer.path), staged);
    writer.tell("commit");
    let reader = writer.open_to_read().await;
    for name in names {
        let found = reader.get(&Key::new(name)).await.unwrap();
        assert_eq!(found, Some(value_of(name)));
    }
}

#[tokio::test]
async fn after_a_writer_is_killed_the_next_one_opens_at_once() {
    let mut writer = Writer::start();
    writer.tell("put KEPT");
    writer.tell("stage LOST");
    support::until_staged(&writer.path, 1).await;
    let Writer { child, path, _dir } = writer;
    child.kill();
    let store = FlatFs::options().open(&path).await.expect("it opens");
    assert_eq!(support::temp_files(&path), [""; 0]);
    let found = support::contents(&store).await;
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [(Key::new("KEPT"), value_of("KEPT"))]
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn after_a_writer_closed_the_next_one_opens_at_once() {
    let mut writer = Writer::start();
    writer.tell("put KEPT");
    let Writer { child, path, _dir } = writer;
    child.passes();
    let store = FlatFs::options().open(&path).await.expect("it opens");
    assert!(store.has(&Key::new("KEPT")).await.unwrap());
    store.close().await.unwrap();
}
