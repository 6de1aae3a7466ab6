//! A crash after each step of the recovery from a crash after each step of a commit.

use std::io::ErrorKind;

use super::commit_failures::{INITIAL, commit};
use super::crashes::CrashCounts;
use super::inspect::wait_until_idle;
use super::model::StoreModel;
use super::setup::{DURABLE, StoreSetup, all_setups};
use crate::store::{Durability, Purpose};
use crate::testing::fault_disk::{DataLoss, DiskOp, FaultDisk};

/// Cuts the power at each step of the recovery from a crash, and then recovers again.
async fn crash_again(
    setup: StoreSetup,
    left: &FaultDisk,
    model: &StoreModel,
    cuts: u64,
    counts: &mut CrashCounts,
) {
    for steps in 0.. {
        let disk = left.reboot(DataLoss::None);
        disk.crash_after(steps);
        let opened = setup.open_as(&disk, Purpose::Open).await;
        counts.crash_points += 1;
        for seed in 0..cuts {
            let loss = DataLoss::SomeUnflushed(steps * cuts + seed);
            setup.check(&disk.reboot(loss), model, loss).await;
            counts.survived(loss);
        }
        match opened {
            Ok(_) => return,
            Err(error) => assert!(disk.has_crashed(), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_commit_is_whole_or_absent_after_a_crash_at_any_step_of_its_recovery() {
    let mut counts = CrashCounts::default();
    let safe = all_setups().filter(|setup| setup.durability == Durability::EveryWrite);
    for setup in safe {
        let base = setup.closed_with(INITIAL).await;
        for steps in 0.. {
            let disk = base.reboot(DataLoss::None);
            let store = setup.open(&disk).await;
            let mut model = StoreModel::new(setup.durability, INITIAL);
            disk.crash_after(steps);
            match commit().run(&store).await {
                Ok(()) => model.acknowledged(&commit()),
                Err(_) => model.unacknowledged(&commit()),
            }
            // Everything that is found after a power cut is durable.
            for (first, cuts) in [(DataLoss::None, 4), (DataLoss::SomeUnflushed(steps), 1)] {
                crash_again(setup, &disk.reboot(first), &model, cuts, &mut counts).await;
                counts.survived(first);
            }
            if !disk.has_crashed() {
                break;
            }
        }
    }
    counts.print("recovery");
}

#[tokio::test]
async fn a_recovery_that_fails_at_any_step_can_be_repeated() {
    let mut counts = CrashCounts::default();
    for setup in all_setups() {
        let (disk, store) = setup.store_with(INITIAL).await;
        let refusal = disk.refuse(|op, path| {
            (op == DiskOp::Rename && path.ends_with("CC1.data")).then_some(ErrorKind::Other)
        });
        commit().run(&store).await.unwrap_err();
        drop((refusal, store));
        let mut model = StoreModel::new(setup.durability, INITIAL);
        model.acknowledged(&commit());
        for steps in 0.. {
            let disk = disk.reboot(DataLoss::None);
            disk.fail_after(steps, ErrorKind::Other);
            if setup.open_as(&disk, Purpose::Open).await.is_ok() {
                break;
            }
            counts.crash_points += 1;
            setup.check(&disk, &model, DataLoss::None).await;
            counts.survived(DataLoss::None);
        }
        assert!(counts.crash_points > 0);
    }
    counts.print("recovery, failing");
}

/// Without a flush, a power cut can keep the record of a commit and lose the contents of its blocks.
#[tokio::test]
async fn a_recovery_does_not_replace_a_durable_block_with_lost_contents() {
    const CUTS: u64 = 1000;
    let setup = StoreSetup {
        durability: Durability::OnSync,
        ..DURABLE
    };
    let base = setup.closed_with(INITIAL).await;
    for steps in 0.. {
        let disk = base.reboot(DataLoss::None);
        let store = setup.open(&disk).await;
        let mut model = StoreModel::new(setup.durability, INITIAL);
        disk.crash_after(steps);
        let committed = commit().run(&store).await;
        assert!(committed.is_err(), "no crash left the record");
        model.unacknowledged(&commit());
        wait_until_idle(&store).await;
        if !disk.tree().iter().any(|path| path.ends_with("/COMMIT")) {
            continue;
        }
        for seed in 0..CUTS {
            let loss = DataLoss::SomeUnflushed(seed);
            setup.check(&disk.reboot(loss), &model, loss).await;
        }
        return;
    }
}
