//! Processes that are killed during their commits.
//!
//! Each writer of the child runs one step after another: a put, a delete, and two batches that put,
//! overwrite and delete. The writer and the number of a step determine what it does, so after a kill the
//! parent knows what the store must have: its blocks after all acknowledged steps, or after one more step,
//! and nothing between the two.

use std::mem;
use std::path::Path;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use ds_flatfs::{Durability, FlatFs, Key};
use tokio::task::JoinSet;

use crate::child::{self, Child};
use crate::platform::repetitions;
use crate::support::{self, Contents};

const WRITERS: u32 = 4;
const NEW_BLOCKS: u32 = 30;
const SLOTS: u32 = 10;

#[tokio::test]
async fn a_killed_process_tears_no_batch_and_loses_no_acknowledged_write() {
    kill_repeatedly("OnSync", repetitions(100), Duration::from_micros(2_500)).await;
}

#[tokio::test]
async fn a_killed_process_tears_and_loses_nothing_if_every_write_is_durable() {
    kill_repeatedly("EveryWrite", repetitions(20), Duration::from_millis(25)).await;
}

/// Kills a process with a store this number of times. `commit` is the approximate duration of a commit.
async fn kill_repeatedly(durability: &str, kills: u32, commit: Duration) {
    // Under Wine a commit takes so long in either mode.
    let commit = if cfg!(windows) {
        Duration::from_millis(100)
    } else {
        commit
    };
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store");
    let store = FlatFs::options().create(&path).await.expect("a new store");
    store.close().await.expect("a close");
    let mut random = fastrand::Rng::with_seed(u64::from(kills));
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let (mut batches, mut in_commits, mut completed) = (0, 0, 0);
    for _ in 0..kills {
        let mut child = start(&path, durability, &writers);
        let mut steps: Vec<Steps> = writers.iter().map(Writer::steps).collect();
        wait_for_commits(&mut child, &mut steps, random.u32(1..8));
        thread::sleep(commit.mul_f64(random.f64()));
        for line in child.kill() {
            record_line(&mut steps, &line);
        }
        let records = support::commit_records(&path);
        in_commits += u32::from(records > 0);
        completed += records;
        let store = FlatFs::options()
            .open(&path)
            .await
            .expect("the store must open");
        assert_eq!(support::temp_files(&path), [""; 0]);
        let mut found = support::contents(&store).await;
        for (writer, steps) in writers.iter_mut().zip(steps) {
            batches += writer.batches_until(steps.acknowledged);
            writer.check(&mut found, steps);
        }
        assert!(found.is_empty(), "no writer put {:?}", found.keys());
        check_disk_usage(&store).await;
        store.close().await.expect("a close");
    }
    eprintln!(
        "{kills} kills with {durability}, {in_commits} of them during commits; {batches} batches \
         acknowledged, {completed} completed by the next open, none torn, none lost"
    );
    // Under Wine there are few kills.
    assert!(
        completed > 0 || cfg!(windows),
        "no kill happened during a commit"
    );
}

/// The progress of a writer, as numbers of steps.
#[derive(Clone, Copy, Debug)]
struct Steps {
    acknowledged: u32,
    begun: u32,
}

fn start(path: &Path, durability: &str, writers: &[Writer]) -> Child {
    let mut arguments = vec![path.display().to_string(), durability.to_owned()];
    arguments.extend(writers.iter().map(|writer| writer.done.to_string()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Child::start("killed_writers::child", &arguments)
}

/// Reads lines of the child until this number of commits has begun.
fn wait_for_commits(child: &mut Child, steps: &mut [Steps], mut commits: u32) {
    while commits > 0 {
        let line = child
            .next_line()
            .expect("the child must write until it is killed");
        record_line(steps, &line);
        commits -= u32::from(line.starts_with("commit"));
    }
}

/// Records a line of the child: `begin`, `commit` or `done`, the writer and the step.
fn record_line(steps: &mut [Steps], line: &str) {
    let [word, writer, step] = line.split(' ').collect::<Vec<_>>()[..] else {
        panic!("the child sent {line:?}");
    };
    let steps = &mut steps[writer.parse::<usize>().expect("a writer")];
    let number = step.parse::<u32>().expect("a step") + 1;
    match word {
        "begin" => steps.begun = number,
        "done" => steps.acknowledged = number,
        _ => {}
    }
}

/// The blocks of a writer that the store must have.
struct Writer {
    number: u32,
    done: u32,
    contents: Contents,
}

impl Writer {
    fn new(number: u32) -> Self {
        Writer {
            number,
            done: 0,
            contents: Contents::new(),
        }
    }

    fn steps(&self) -> Steps {
        Steps {
            acknowledged: self.done,
            begun: self.done,
        }
    }

    fn batches_until(&self, step: u32) -> usize {
        (self.done..step).filter(|step| is_batch(*step)).count()
    }

    fn take_step(&mut self) {
        for (key, value) in changes(self.number, self.done) {
            match value {
                Some(value) => self.contents.insert(key, value),
                None => self.contents.remove(&key),
            };
        }
        self.done += 1;
    }

    /// Removes this writer's blocks from those that were found, and checks them.
    fn check(&mut self, found: &mut Contents, steps: Steps) {
        let is_own = |key: &Key| key.as_str().starts_with(&format!("/W{}", self.number));
        let (own, others): (Contents, Contents) = mem::take(found)
            .into_iter()
            .partition(|(key, _)| is_own(key));
        *found = others;
        while self.done < steps.acknowledged {
            self.take_step();
        }
        if own != self.contents && steps.begun > steps.acknowledged {
            self.take_step();
        }
        let unexpected = own
            .iter()
            .filter(|(key, _)| !self.contents.contains_key(*key));
        let unexpected: Vec<_> = unexpected.map(|(key, _)| key).collect();
        let missing = self.contents.keys().filter(|key| !own.contains_key(*key));
        let missing: Vec<_> = missing.collect();
        assert!(
            own == self.contents,
            "writer {}, {steps:?}: the last step was applied in part, \
             unexpected: {unexpected:?}, missing: {missing:?}",
            self.number
        );
    }
}

/// Waits for the count after the crash, which runs in the background, and checks its result.
async fn check_disk_usage(store: &FlatFs) {
    let figure = support::exact_usage(store).await;
    let slack = support::dir_size_slack(store.path());
    let counted = support::true_usage(store.path());
    assert!(figure.abs_diff(counted) <= slack, "{figure}, not {counted}");
}

fn is_batch(step: u32) -> bool {
    step % 4 >= 2
}

type KeyWrite = (Key, Option<Bytes>);

/// Returns the writes of a step: a batch, or a single write.
fn changes(writer: u32, step: u32) -> Vec<KeyWrite> {
    let key = |name: String| Key::new(format!("W{writer}{name}"));
    let value = |number: u32| {
        let text = format!("{writer} {step} {number} ");
        Some(Bytes::from(text.repeat(1 + number as usize * 5)))
    };
    let round = step / 4;
    if !is_batch(step) {
        let value = if step.is_multiple_of(4) {
            value(round % 7)
        } else {
            None
        };
        return vec![(key(format!("SINGLE{}", (round + step % 4) % 3)), value)];
    }
    let batch = 2 * round + step % 2;
    let new = (0..NEW_BLOCKS).map(|i| (key(format!("BATCH{batch}-{i}")), value(i)));
    let old = batch.checked_sub(2).into_iter();
    let old = old.flat_map(|old| (0..NEW_BLOCKS).map(move |i| format!("BATCH{old}-{i}")));
    let slots = (0..SLOTS).map(|i| {
        let is_put = !(batch + i).is_multiple_of(3);
        (key(format!("SLOT{i}")), value(i).filter(|_| is_put))
    });
    let deletes = old.map(|old| (key(old), None));
    new.chain(deletes).chain(slots).collect()
}

#[test]
#[ignore = "a process that the tests above kill"]
fn child() {
    child::run(async |arguments| {
        let durability = match arguments[1].as_str() {
            "EveryWrite" => Durability::EveryWrite,
            _ => Durability::OnSync,
        };
        let options = FlatFs::options().durability(durability);
        let store = options
            .open(&arguments[0])
            .await
            .expect("the store must open");
        let mut writers = JoinSet::new();
        for (writer, first) in (0..).zip(&arguments[2..]) {
            let first = first.parse().expect("the number of a step");
            writers.spawn(write_forever(store.clone(), writer, first));
        }
        writers
            .join_next()
            .await
            .expect("a writer")
            .expect("no writer panics");
    });
}

async fn write_forever(store: FlatFs, writer: u32, first: u32) {
    for step in first.. {
        let changes = changes(writer, step);
        child::send(&format!("begin {writer} {step}"));
        if is_batch(step) {
            let batch = store.batch().await.expect("a batch");
            for (key, value) in changes {
                match value {
                    Some(value) => batch.put(&key, value).await.expect("a put"),
                    None => batch.delete(&key).await.expect("a delete"),
                }
            }
            child::send(&format!("commit {writer} {step}"));
            batch.commit().await.expect("a commit");
        } else {
            for (key, value) in changes {
                match value {
                    Some(value) => store.put(&key, value).await.expect("a put"),
                    None => store.delete(&key).await.expect("a delete"),
                }
            }
        }
        child::send(&format!("done {writer} {step}"));
    }
}
