//! A crash after each step of every kind of write.

use super::calls::{BatchWrite, StoreCall};
use super::crashes::{CrashCounts, data_losses};
use super::inspect::{STORE_PATH, wait_until_idle};
use super::model::StoreModel;
use super::setup::{DURABLE, StoreSetup, WITHOUT_SYNCFS, all_setups, setups_with_all_capabilities};
use crate::batch::FlatBatch;
use crate::disk::Disk;
use crate::key::Key;
use crate::store::{ExistingBlock, FlatFs};
use crate::testing::fault_disk::{Capabilities, DataLoss, DiskOp, FaultDisk};

const INITIAL: &[(&str, &str)] = &[
    ("AA1", "one, as it was"),
    ("AA2", "two, as it was"),
    ("BB1", "three, as it was"),
];

/// Runs some calls in sequence, with a crash after each of their steps.
async fn crash_everywhere(setup: StoreSetup, script: &[StoreCall], counts: &mut CrashCounts) {
    const CUTS: u64 = 3;
    let base = setup.closed_with(INITIAL).await;
    for steps in 0.. {
        let disk = base.reboot(DataLoss::None);
        let store = setup.open(&disk).await;
        let mut model = StoreModel::new(setup.durability, INITIAL);
        disk.crash_after(steps);
        for write in script {
            match write.run(&store).await {
                Ok(()) => model.acknowledged(write),
                Err(error) => {
                    assert!(disk.has_crashed(), "{write:?}: {error}");
                    model.unacknowledged(write);
                    break;
                }
            }
        }
        wait_until_idle(&store).await;
        counts.crash_points += 1;
        for loss in data_losses(steps, CUTS) {
            setup.check(&disk.reboot(loss), &model, loss).await;
            counts.survived(loss);
        }
        if !disk.has_crashed() {
            return;
        }
    }
}

async fn crash_everywhere_in_all_setups(what: &str, scripts: &[&[StoreCall]]) {
    crash_everywhere_in(all_setups(), what, scripts).await;
}

async fn crash_everywhere_in(
    setups: impl Iterator<Item = StoreSetup>,
    what: &str,
    scripts: &[&[StoreCall]],
) {
    let mut counts = CrashCounts::default();
    for setup in setups {
        for script in scripts {
            crash_everywhere(setup, script, &mut counts).await;
        }
    }
    counts.print(what);
}

fn small_commit() -> StoreCall {
    StoreCall::Commit(vec![
        BatchWrite::Put("AA1", "one, in a batch"),
        BatchWrite::Put("CC1", "four, in a batch"),
        BatchWrite::Delete("BB1"),
    ])
}

fn large_commit() -> StoreCall {
    StoreCall::Commit(vec![
        BatchWrite::Put("AA1", "one, in a batch"),
        BatchWrite::Put("AA3", "five, in a batch"),
        BatchWrite::Put("BB2", "six, in a batch"),
        BatchWrite::Put("CC1", "four, in a batch"),
        BatchWrite::Put("CC2", "seven, in a batch"),
        BatchWrite::Put("DD1", "eight, in a batch"),
        BatchWrite::Delete("AA2"),
        BatchWrite::Delete("BB1"),
        BatchWrite::Delete("EE1"),
    ])
}

#[tokio::test]
async fn a_put_survives_a_crash_at_any_step() {
    let new_shard: &[_] = &[StoreCall::Put("CC1", "four")];
    let old_shard: &[_] = &[StoreCall::Put("AA3", "five")];
    let empty: &[_] = &[StoreCall::Put("AA3", "")];
    crash_everywhere_in_all_setups("put", &[new_shard, old_shard, empty]).await;
}

#[tokio::test]
async fn an_overwrite_survives_a_crash_at_any_step() {
    let other: &[_] = &[StoreCall::Put("AA1", "one, but new")];
    let same: &[_] = &[StoreCall::Put("AA1", "one, as it was")];
    let twice: &[_] = &[
        StoreCall::Put("AA1", "one, but new"),
        StoreCall::Put("AA1", "newer"),
    ];
    crash_everywhere_in_all_setups("overwrite", &[other, same, twice]).await;
}

#[tokio::test]
async fn a_delete_survives_a_crash_at_any_step() {
    let delete: &[_] = &[StoreCall::Delete("AA1")];
    let absent: &[_] = &[StoreCall::Delete("CC1")];
    let then_put: &[_] = &[
        StoreCall::Delete("AA1"),
        StoreCall::Put("AA1", "one, but new"),
    ];
    crash_everywhere_in_all_setups("delete", &[delete, absent, then_put]).await;
}

#[tokio::test]
async fn a_commit_of_a_few_blocks_is_whole_or_absent_after_a_crash_at_any_step() {
    crash_everywhere_in_all_setups("small commit", &[&[small_commit()]]).await;
}

#[tokio::test]
async fn a_commit_of_many_blocks_is_whole_or_absent_after_a_crash_at_any_step() {
    crash_everywhere_in_all_setups("large commit", &[&[large_commit()]]).await;
}

/// Returns a batch with these blocks. The first two are written concurrently, so they are in different
/// staging directories.
async fn staged_concurrently(disk: &FaultDisk, store: &FlatFs, puts: &[BatchWrite]) -> FlatBatch {
    let batch = store.batch().await.unwrap();
    let breakpoint = disk.set_breakpoint(|op, path| {
        op == DiskOp::CreateFile && path.to_string_lossy().contains("batch-")
    });
    for change in puts {
        let BatchWrite::Put(key, value) = *change else {
            panic!("{change:?} is not a put");
        };
        batch.put(&Key::new(key), value.into()).await.unwrap();
    }
    breakpoint.reached_by(2).await;
    batch
}

#[tokio::test]
async fn blocks_in_several_staging_directories_are_whole_or_absent_after_a_crash_at_any_step() {
    let all = [
        BatchWrite::Put("AA1", "one, in a batch"),
        BatchWrite::Put("CC1", "four, in a batch"),
        BatchWrite::Put("AA3", "five, in a batch"),
        BatchWrite::Put("BB2", "six, in a batch"),
        BatchWrite::Put("CC2", "seven, in a batch"),
        BatchWrite::Put("DD1", "eight, in a batch"),
    ];
    let mut counts = CrashCounts::default();
    for (setup, puts) in all_setups().flat_map(|setup| [(setup, &all[..2]), (setup, &all)]) {
        let commit = StoreCall::Commit(puts.to_vec());
        let base = setup.closed_with(INITIAL).await;
        for steps in 0.. {
            let disk = base.reboot(DataLoss::None);
            let store = setup.open(&disk).await;
            let batch = staged_concurrently(&disk, &store, puts).await;
            disk.crash_after(steps);
            let committed = batch.commit().await;
            let mut model = StoreModel::new(setup.durability, INITIAL);
            match committed {
                Ok(()) => model.acknowledged(&commit),
                Err(_) => model.unacknowledged(&commit),
            }
            wait_until_idle(&store).await;
            counts.crash_points += 1;
            for loss in data_losses(steps, 3) {
                setup.check(&disk.reboot(loss), &model, loss).await;
                counts.survived(loss);
            }
            if !disk.has_crashed() {
                assert!(store.has(&Key::new("CC1")).await.unwrap());
                break;
            }
        }
    }
    counts.print("blocks in several staging directories");
}

#[tokio::test]
async fn commits_of_the_same_keys_survive_a_crash_at_any_step() {
    let second = StoreCall::Commit(vec![
        BatchWrite::Put("AA1", "one, in another batch"),
        BatchWrite::Put("BB1", "three, back again"),
        BatchWrite::Delete("CC1"),
    ]);
    let script = [small_commit(), second];
    crash_everywhere_in_all_setups("two commits", &[&script]).await;
}

#[tokio::test]
async fn a_write_after_a_commit_of_its_key_is_not_undone_by_a_crash_at_any_step() {
    let puts: &[_] = &[small_commit(), StoreCall::Put("BB1", "three, back again")];
    let deletes: &[_] = &[small_commit(), StoreCall::Delete("CC1")];
    crash_everywhere_in_all_setups("writes after a commit", &[puts, deletes]).await;
}

#[tokio::test]
async fn a_sync_makes_all_earlier_writes_durable() {
    let puts: &[_] = &[
        StoreCall::Put("CC1", "four"),
        StoreCall::Delete("BB1"),
        StoreCall::Sync,
        StoreCall::Put("CC1", "four, but new"),
    ];
    let commits: &[_] = &[small_commit(), StoreCall::Sync, small_commit()];
    crash_everywhere_in_all_setups("sync", &[puts, commits]).await;
}

#[tokio::test]
async fn a_close_survives_a_crash_at_any_step() {
    let puts: &[_] = &[
        StoreCall::Put("CC1", "four"),
        StoreCall::Delete("BB1"),
        StoreCall::Close,
    ];
    let commit: &[_] = &[small_commit(), StoreCall::Close];
    crash_everywhere_in(setups_with_all_capabilities(), "close", &[puts, commit]).await;
}

#[tokio::test]
async fn an_existing_block_that_a_put_skips_is_as_durable_as_a_new_one() {
    let put: &[_] = &[
        StoreCall::Put("CC1", "existing"),
        StoreCall::Put("CC1", "existing"),
    ];
    let commit: &[_] = &[
        StoreCall::Put("CC1", "existing"),
        StoreCall::Commit(vec![
            BatchWrite::Put("CC1", "existing"),
            BatchWrite::Delete("AA1"),
        ]),
    ];
    let keeping = setups_with_all_capabilities().map(|setup| StoreSetup {
        existing_block: ExistingBlock::Keep,
        ..setup
    });
    crash_everywhere_in(keeping, "keep", &[put, commit]).await;
}

/// Unlike a session of this crate, another program leaves no mark that the store was open for writing.
#[tokio::test]
async fn a_block_that_a_put_skips_is_durable_even_if_another_program_did_not_flush_it() {
    let put = StoreCall::Put("AA3", "existing");
    let commit = StoreCall::Commit(vec![BatchWrite::Put("AA3", "existing")]);
    for (write, capabilities) in [
        (&put, Capabilities::ALL),
        (&put, WITHOUT_SYNCFS),
        (&commit, Capabilities::ALL),
        (&commit, WITHOUT_SYNCFS),
    ] {
        let setup = StoreSetup {
            existing_block: ExistingBlock::Keep,
            capabilities,
            ..DURABLE
        };
        let disk = setup.closed_with(INITIAL).await;
        let block = format!("{STORE_PATH}/AA/AA3.data");
        disk.write_new(block.as_ref(), b"existing", 0o600, false)
            .unwrap();
        let store = setup.open(&disk).await;
        write.run(&store).await.unwrap();
        let mut model = StoreModel::new(setup.durability, INITIAL);
        model.acknowledged(write);
        let found = disk.reboot(DataLoss::AllUnflushed);
        setup.check(&found, &model, DataLoss::AllUnflushed).await;
    }
}
