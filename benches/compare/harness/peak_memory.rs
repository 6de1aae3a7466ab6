//! The peak memory of one task: a child process of this program runs it and nothing else, and prints its
//! peak.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use ds_flatfs::{Datastore, Key, Query};
use tokio::runtime::Builder;

use super::args::CHILD;
use super::contender::count as count_entries;
use super::environment::MIB;
use super::stores::options;
use crate::common::name;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemoryTask {
    /// Opens the store.
    Idle,
    /// Commits a batch of blocks of 1 MiB.
    Batch,
    /// Lists all keys.
    List,
    /// Collects garbage, without removing any.
    #[cfg(feature = "dag")]
    Gc,
}

const TASKS: &[(&str, MemoryTask)] = &[
    ("idle", MemoryTask::Idle),
    ("batch", MemoryTask::Batch),
    ("list", MemoryTask::List),
    #[cfg(feature = "dag")]
    ("gc", MemoryTask::Gc),
];

/// Returns the peak memory, in bytes, of a process that runs this task with `count` blocks.
pub(super) fn peak(task: MemoryTask, root: &Path, count: usize) -> f64 {
    let word = TASKS.iter().find(|(_, one)| *one == task);
    let (word, _) = word.expect("a task");
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args([CHILD, word]).arg(root).arg(count.to_string());
    let output = command.output().expect("a child");
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let kib: f64 = printed.trim().parse().expect("a number of KiB");
    kib * 1024.0
}

/// Runs the task of a child process.
pub(super) fn run_child(args: &[String]) {
    let [word, root, count] = args else {
        panic!("{CHILD} TASK DIR COUNT");
    };
    let task = TASKS.iter().find(|(one, _)| one == word);
    let (_, task) = task.expect("a task");
    let count = count.parse().expect("a number");
    let runtime = Builder::new_multi_thread().worker_threads(2).build();
    runtime
        .expect("a runtime")
        .block_on(work(*task, Path::new(root), count));
    println!("{}", peak_of_this_process());
}

async fn work(task: MemoryTask, root: &Path, count: usize) {
    #[cfg(feature = "dag")]
    if task == MemoryTask::Gc {
        super::workloads::dry_run(root, count).await;
        return;
    }
    let store = options().open_or_create(root).await.expect("a store");
    let store: Arc<dyn Datastore> = Arc::new(store);
    match task {
        MemoryTask::Idle => {}
        MemoryTask::Batch => {
            let batch = store.batch().await.expect("a batch");
            for number in 0..count {
                let value = Bytes::from(vec![number as u8; MIB]);
                let put = batch.put(&Key::new(name(number)), value).await;
                put.expect("a put");
            }
            batch.commit().await.expect("a commit");
        }
        MemoryTask::List => {
            let query = Query::new().keys_only();
            assert_eq!(count_entries(&store, query).await, count);
        }
        #[cfg(feature = "dag")]
        MemoryTask::Gc => {}
    }
    store.close().await.expect("a close");
}

/// Returns the peak memory of this process in KiB.
fn peak_of_this_process() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kib = kib.and_then(|kib| kib.trim().parse().ok());
    kib.expect("a peak")
}
