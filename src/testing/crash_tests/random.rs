//! Random writes, crashes and reopens, with the datastore in memory as the model.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use tokio::runtime::Builder;

use super::fixture::{Change, Setting, Tally, Write, blocks, counted, settings, usage};
use crate::memory::MemoryDatastore;
use crate::store::{Durability, FlatFs, Purpose};
use crate::testing::fault_disk::{FaultDisk, Loss};

const KEYS: [&str; 6] = ["AA1", "AA2", "BB1", "BB2", "CC1", "DD1"];
const VALUES: [&str; 4] = ["", "1", "two, and longer", "three, as long"];

#[derive(Clone, Debug)]
enum Step {
    Write(Write),
    Reopen,
    /// A crash after so many steps of a write, and what it takes.
    Crash(Write, u64, Loss),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (select(&KEYS[..]), select(&VALUES[..])).prop_map(|(key, value)| Change::Put(key, value)),
        1 => select(&KEYS[..]).prop_map(Change::Delete),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => (select(&KEYS[..]), select(&VALUES[..])).prop_map(|(key, value)| Write::Put(key, value)),
        2 => select(&KEYS[..]).prop_map(Write::Delete),
        3 => prop::collection::vec(change(), 0..8).prop_map(Write::Commit),
        1 => Just(Write::Sync),
    ]
}

/// Any crash where every acknowledged write is durable, else only the kill of the process.
fn step(durability: Durability) -> impl Strategy<Value = Step> {
    let loss = match durability {
        Durability::EveryWrite => prop_oneof![
            Just(Loss::None),
            Just(Loss::All),
            any::<u64>().prop_map(Loss::Some),
        ]
        .boxed(),
        _ => Just(Loss::None).boxed(),
    };
    prop_oneof![
        6 => write().prop_map(Step::Write),
        1 => Just(Step::Reopen),
        3 => (write(), 0..40_u64, loss).prop_map(|(write, steps, loss)| Step::Crash(write, steps, loss)),
    ]
}

fn session() -> impl Strategy<Value = (Setting, Vec<Step>)> {
    let settings: Vec<_> = settings().collect();
    select(settings).prop_flat_map(|setting| {
        let steps = prop::collection::vec(step(setting.durability), 1..20);
        (Just(setting), steps)
    })
}

/// A store and what it should hold.
struct Session {
    setting: Setting,
    disk: FaultDisk,
    store: FlatFs,
    model: MemoryDatastore,
    tally: Tally,
}

impl Session {
    async fn begin(setting: Setting) -> Self {
        let disk = setting.disk();
        Session {
            store: setting.begin(&disk, Purpose::Create).await.unwrap(),
            model: MemoryDatastore::new(),
            tally: Tally::default(),
            setting,
            disk,
        }
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Write(write) => {
                write.run(&self.store).await.unwrap();
                write.run(&self.model).await.unwrap();
            }
            Step::Reopen => {
                self.store.close().await.unwrap();
                self.store = self.setting.open(&self.disk).await;
            }
            Step::Crash(write, steps, loss) => {
                self.crash(write, *steps, *loss).await;
                self.tally.points += 1;
                self.tally.survived(*loss);
            }
        }
        assert_eq!(blocks(&self.store).await, blocks(&self.model).await);
    }

    async fn crash(&mut self, write: &Write, steps: u64, loss: Loss) {
        self.disk.crash_after(steps);
        let written = write.run(&self.store).await;
        self.disk = self.disk.reboot(loss);
        self.store = self.setting.open(&self.disk).await;
        let before = blocks(&self.model).await;
        let is_absent = blocks(&self.store).await == before;
        if written.is_ok() || !is_absent {
            write.run(&self.model).await.unwrap();
        }
        assert_eq!(counted(&self.store).await.bytes, usage(&self.disk));
    }
}

#[test]
fn a_store_holds_what_the_model_holds_whatever_crashes() {
    const CASES: u32 = 96;
    let mut runner = TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let runtime = Builder::new_current_thread().build().unwrap();
    let tally = RefCell::new(Tally::default());
    let ran = runner.run(&session(), |(setting, steps)| {
        runtime.block_on(async {
            let mut session = Session::begin(setting).await;
            for step in &steps {
                session.take(step).await;
            }
            tally.borrow_mut().add(&session.tally);
        });
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    tally.borrow().print("random");
}
