//! A crash while four tasks write to a store.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;

use super::calls::{BatchWrite, StoreCall};
use super::crashes::{CrashCounts, data_losses};
use super::inspect::BlockMap;
use super::model::StoreModel;
use super::setup::{StoreSetup, all_setups};
use crate::store::{Durability, FlatFs};
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk};

/// Each writer has its own keys, new and existing ones, in the same shards as the other writers.
const KEYS: [[&str; 3]; 4] = [
    ["1AA1", "1BB1", "1CC1"],
    ["2AA1", "2BB1", "2CC1"],
    ["3AA1", "3BB1", "3CC1"],
    ["4AA1", "4BB1", "4CC1"],
];

const INITIAL: &[(&str, &str)] = &[
    ("1AA1", "as it was"),
    ("2AA1", "as it was"),
    ("3AA1", "as it was"),
    ("4AA1", "as it was"),
];

fn script([first, second, third]: [&'static str; 3]) -> [StoreCall; 3] {
    [
        StoreCall::Commit(vec![
            BatchWrite::Put(first, "in a batch"),
            BatchWrite::Put(second, "in a batch"),
        ]),
        StoreCall::Put(third, "put alone"),
        StoreCall::Commit(vec![
            BatchWrite::Delete(first),
            BatchWrite::Put(second, "in another batch"),
            BatchWrite::Put(third, "in another batch"),
        ]),
    ]
}

/// Writes until the crash, and returns the model of these keys.
async fn write(
    store: &FlatFs,
    disk: &FaultDisk,
    mut model: StoreModel,
    keys: [&'static str; 3],
) -> StoreModel {
    for write in script(keys) {
        match write.run(store).await {
            Ok(()) => model.acknowledged(&write),
            Err(error) => {
                assert!(disk.has_crashed(), "{write:?}: {error}");
                model.unacknowledged(&write);
                break;
            }
        }
    }
    model
}

fn of_writer(blocks: &BlockMap, keys: [&str; 3]) -> BlockMap {
    let blocks = blocks
        .iter()
        .filter(|(key, _)| keys.contains(&key.as_str()));
    blocks
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

async fn crash(setup: StoreSetup, base: &FaultDisk, steps: u64, counts: &mut CrashCounts) -> bool {
    let disk = base.reboot(DataLoss::None);
    let store = setup.open(&disk).await;
    disk.crash_after(steps);
    let writers = KEYS.into_iter().enumerate().map(|(writer, keys)| {
        let model = StoreModel::new(setup.durability, &INITIAL[writer..=writer]);
        write(&store, &disk, model, keys)
    });
    let models = join_all(writers).await;
    counts.crash_points += 1;
    for loss in data_losses(steps, 2) {
        let found = setup.recover(&disk.reboot(loss)).await;
        for (model, keys) in models.iter().zip(KEYS) {
            let checked = model.check(&of_writer(&found, keys), loss);
            checked.unwrap_or_else(|wrong| panic!("{setup:?} {loss:?}: {wrong}"));
        }
        counts.survived(loss);
    }
    disk.has_crashed()
}

#[tokio::test]
async fn batches_of_four_writers_are_whole_or_absent_after_a_crash() {
    /// The order of steps differs from run to run, so there is no need to try every step.
    const STRIDE: usize = 4;
    let mut counts = CrashCounts::default();
    let safe = all_setups().filter(|setup| setup.durability != Durability::OnSync);
    for setup in safe {
        let base = setup.closed_with(INITIAL).await;
        for steps in (0..).step_by(STRIDE) {
            if !crash(setup, &base, steps, &mut counts).await {
                break;
            }
        }
    }
    counts.print("four writers");
}

#[tokio::test]
async fn a_commit_is_durable_in_a_directory_that_another_write_has_just_created() {
    let commits = all_setups().filter(|setup| setup.durability == Durability::Commits);
    for setup in commits {
        let (disk, store) = setup.store_with(INITIAL).await;
        // The put stops when it looks at the size of the directory that it has created.
        let seen = AtomicUsize::new(0);
        let breakpoint = disk.set_breakpoint(move |op, path| {
            let before = match op {
                DiskOp::CreateDir => 0,
                DiskOp::Stat => 1,
                _ => return false,
            };
            let advance = |from| {
                seen.compare_exchange(from, from + 1, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok()
            };
            path.ends_with("ZZ") && advance(before) && op == DiskOp::Stat
        });
        let put = tokio::spawn({
            let store = store.clone();
            async move { StoreCall::Put("ZZ1", "put alone").run(&store).await }
        });
        breakpoint.reached().await;
        let commit = StoreCall::Commit(vec![BatchWrite::Put("ZZ2", "in a batch")]);
        commit.run(&store).await.unwrap();
        for loss in data_losses(0, 8) {
            let found = setup.recover(&disk.reboot(loss)).await;
            assert!(found.contains_key("ZZ2"), "{setup:?} {loss:?}");
        }
        drop(breakpoint);
        put.await.unwrap().unwrap();
    }
}
