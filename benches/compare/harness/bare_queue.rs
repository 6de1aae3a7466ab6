//! [`QueuedFiles`]: the calls of the floor, awaited by async tasks.

use std::future::ready;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use ds_flatfs::Key;
use tokio::sync::oneshot;

use super::contender::Contender;
use crate::common::{Blocks, Floor};

const THREADS: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// The files of the floor. Two threads take the writes from a queue and wake the tasks that wait for them. This is the
/// least that a write can cost without blocking a worker of the runtime, in a store without checks and bookkeeping.
#[derive(Clone)]
pub(super) struct QueuedFiles {
    floor: Arc<Floor>,
    /// The threads end with the last sender.
    jobs: Sender<Job>,
}

impl QueuedFiles {
    pub(super) fn new(dir: &Path) -> Self {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..THREADS {
            let queue = Arc::clone(&queue);
            thread::spawn(move || run_jobs(&queue));
        }
        QueuedFiles {
            floor: Arc::new(Floor::new(dir)),
            jobs,
        }
    }

    async fn run(&self, work: impl FnOnce(&Floor) + Send + 'static) {
        let (done, result) = oneshot::channel();
        let floor = Arc::clone(&self.floor);
        let job = Box::new(move || {
            work(&floor);
            done.send(()).ok();
        });
        self.jobs.send(job).expect("threads");
        result.await.expect("a job");
    }
}

fn run_jobs(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

/// Only writes are measured.
impl Contender for QueuedFiles {
    async fn get(&self, _: &Key) -> Option<usize> {
        None
    }

    async fn size(&self, _: &Key) -> Option<u64> {
        None
    }

    async fn has(&self, _: &Key) -> bool {
        false
    }

    async fn put(&self, key: &Key, value: Bytes) {
        let name = key.name().to_owned();
        self.run(move |floor| floor.put(&name, &value)).await;
    }

    async fn delete(&self, key: &Key) {
        let name = key.name().to_owned();
        self.run(move |floor| floor.delete(&name)).await;
    }

    async fn batch(&self, blocks: &Blocks) {
        for (index, key) in blocks.keys.iter().enumerate() {
            self.put(key, blocks.value(index)).await;
        }
    }

    fn keys(&self) -> impl Future<Output = usize> + Send {
        ready(0)
    }

    fn get_many(&self, _: &Blocks) -> impl Future<Output = usize> + Send {
        ready(0)
    }

    fn has_many(&self, _: &Blocks) -> impl Future<Output = usize> + Send {
        ready(0)
    }
}
