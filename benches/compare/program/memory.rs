//! Peak memory of one work: a child of this program does it and nothing else, and says its peak.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use ds_flatfs::{Datastore, Key, Query};
use tokio::runtime::Builder;

use super::args::CHILD;
use super::bench::MIB;
use super::stores::options;
use super::subject::count;
use crate::common::name;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Opens the store.
    Idle,
    /// Commits a batch of so many blocks of 1 MiB.
    Batch,
    /// Lists so many keys.
    List,
}

const TASKS: [(&str, Task); 3] = [
    ("idle", Task::Idle),
    ("batch", Task::Batch),
    ("list", Task::List),
];

/// The most memory, in bytes, that a process has in use which does this.
pub(super) fn peak(task: Task, root: &Path, many: usize) -> f64 {
    let word = TASKS.iter().find(|(_, one)| *one == task);
    let (word, _) = word.expect("a task");
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args([CHILD, word]).arg(root).arg(many.to_string());
    let output = command.output().expect("a child");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    let kib: f64 = said.trim().parse().expect("a number of KiB");
    kib * 1024.0
}

/// What the child does.
pub(super) fn run_child(args: &[String]) {
    let [word, root, many] = args else {
        panic!("{CHILD} TASK DIR COUNT");
    };
    let task = TASKS.iter().find(|(one, _)| one == word);
    let (_, task) = task.expect("a task");
    let many = many.parse().expect("a number");
    let runtime = Builder::new_multi_thread().worker_threads(2).build();
    runtime
        .expect("a runtime")
        .block_on(work(*task, Path::new(root), many));
    println!("{}", peak_of_this_process());
}

async fn work(task: Task, root: &Path, many: usize) {
    let store = options().open_or_create(root).await.expect("a store");
    let store: Arc<dyn Datastore> = Arc::new(store);
    match task {
        Task::Idle => {}
        Task::Batch => {
            let batch = store.batch().await.expect("a batch");
            for number in 0..many {
                let value = Bytes::from(vec![number as u8; MIB]);
                let put = batch.put(&Key::new(name(number)), value).await;
                put.expect("a put");
            }
            batch.commit().await.expect("a commit");
        }
        Task::List => {
            let query = Query::new().keys_only();
            assert_eq!(count(&store, query).await, many);
        }
    }
    store.close().await.expect("a close");
}

/// In KiB.
fn peak_of_this_process() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kib = kib.and_then(|kib| kib.trim().parse().ok());
    kib.expect("a peak")
}
