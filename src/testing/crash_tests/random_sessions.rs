//! Random sessions of writes, crashes and reopens, compared with [`MemoryDatastore`].

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use tokio::runtime::Builder;

use super::calls::{BatchWrite, StoreCall};
use super::crashes::CrashCounts;
use super::inspect::{blocks, exact_usage, true_usage};
use super::setup::{StoreSetup, all_setups};
use crate::key::Key;
use crate::memory::MemoryDatastore;
use crate::store::{Durability, FlatFs, Purpose};
use crate::testing::fault_disk::{DataLoss, FaultDisk};
use crate::testing::proptest_config;

const KEYS: [&str; 6] = ["AA1", "AA2", "BB1", "BB2", "CC1", "DD1"];
const VALUES: [&str; 4] = ["", "1", "two, and longer", "three, as long"];

#[derive(Clone, Debug)]
enum SessionStep {
    Write(StoreCall),
    Reopen,
    /// A crash after this number of steps of a call, and what it destroys.
    Crash(StoreCall, u64, DataLoss),
}

fn change() -> impl Strategy<Value = BatchWrite> {
    prop_oneof![
        2 => (select(&KEYS[..]), select(&VALUES[..])).prop_map(|(key, value)| BatchWrite::Put(key, value)),
        1 => select(&KEYS[..]).prop_map(BatchWrite::Delete),
    ]
}

fn write() -> impl Strategy<Value = StoreCall> {
    prop_oneof![
        4 => (select(&KEYS[..]), select(&VALUES[..])).prop_map(|(key, value)| StoreCall::Put(key, value)),
        2 => select(&KEYS[..]).prop_map(StoreCall::Delete),
        3 => prop::collection::vec(change(), 0..8).prop_map(StoreCall::Commit),
        1 => Just(StoreCall::Sync),
    ]
}

/// Any crash if every acknowledged write is durable, otherwise only the kill of the process.
fn step(durability: Durability) -> impl Strategy<Value = SessionStep> {
    let loss = match durability {
        Durability::EveryWrite => prop_oneof![
            Just(DataLoss::None),
            Just(DataLoss::AllUnflushed),
            any::<u64>().prop_map(DataLoss::SomeUnflushed),
        ]
        .boxed(),
        _ => Just(DataLoss::None).boxed(),
    };
    prop_oneof![
        6 => write().prop_map(SessionStep::Write),
        1 => Just(SessionStep::Reopen),
        3 => (write(), 0..40_u64, loss).prop_map(|(write, steps, loss)| SessionStep::Crash(write, steps, loss)),
    ]
}

fn session() -> impl Strategy<Value = (StoreSetup, Vec<SessionStep>)> {
    let setups: Vec<_> = all_setups().collect();
    select(setups).prop_flat_map(|setup| {
        let steps = prop::collection::vec(step(setup.durability), 1..20);
        (Just(setup), steps)
    })
}

/// A store and the model of its contents.
struct RandomSession {
    setup: StoreSetup,
    disk: FaultDisk,
    store: FlatFs,
    model: MemoryDatastore,
    counts: CrashCounts,
}

impl RandomSession {
    async fn begin(setup: StoreSetup) -> Self {
        let disk = setup.disk();
        RandomSession {
            store: setup.open_as(&disk, Purpose::Create).await.unwrap(),
            model: MemoryDatastore::new(),
            counts: CrashCounts::default(),
            setup,
            disk,
        }
    }

    async fn run_step(&mut self, step: &SessionStep) {
        match step {
            SessionStep::Write(write) => {
                write.run(&self.store).await.unwrap();
                write.with_first_values().run(&self.model).await.unwrap();
            }
            SessionStep::Reopen => {
                self.store.close().await.unwrap();
                self.store = self.setup.open(&self.disk).await;
            }
            SessionStep::Crash(write, steps, loss) => {
                self.crash(write, *steps, *loss).await;
                self.counts.crash_points += 1;
                self.counts.survived(*loss);
            }
        }
        let expected = blocks(&self.model).await;
        assert_eq!(blocks(&self.store).await, expected);
        // The store remembers which keys were absent.
        for key in KEYS {
            let found = self.store.get(&Key::new(key)).await.unwrap();
            assert_eq!(found.as_ref(), expected.get(key), "{key}");
        }
    }

    async fn crash(&mut self, write: &StoreCall, steps: u64, loss: DataLoss) {
        self.disk.crash_after(steps);
        let written = write.run(&self.store).await;
        self.disk = self.disk.reboot(loss);
        self.store = self.setup.open(&self.disk).await;
        let before = blocks(&self.model).await;
        let is_absent = blocks(&self.store).await == before;
        if written.is_ok() || !is_absent {
            write.with_first_values().run(&self.model).await.unwrap();
        }
        assert_eq!(exact_usage(&self.store).await.bytes, true_usage(&self.disk));
    }
}

#[test]
fn a_store_equals_its_model_after_any_session() {
    const CASES: u32 = 96;
    let mut runner = TestRunner::new(ProptestConfig {
        cases: CASES,
        ..proptest_config()
    });
    let runtime = Builder::new_current_thread().build().unwrap();
    let counts = RefCell::new(CrashCounts::default());
    let ran = runner.run(&session(), |(setup, steps)| {
        runtime.block_on(async {
            let mut session = RandomSession::begin(setup).await;
            for step in &steps {
                session.run_step(step).await;
            }
            counts.borrow_mut().add(&session.counts);
        });
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    counts.borrow().print("random");
}
