//! A crash after every single step of the recovery from a crash after every single step.

use std::io::ErrorKind;

use super::commit_failures::{BEFORE, commit};
use super::fixture::{Setting, Tally, settings};
use super::model::Model;
use crate::store::{Durability, Purpose};
use crate::testing::fault_disk::{FaultDisk, Loss, Op};

/// Cuts the power at each step of the recovery of what a crash left, and then recovers.
async fn crash_again(
    setting: Setting,
    left: &FaultDisk,
    model: &Model,
    cuts: u64,
    tally: &mut Tally,
) {
    for steps in 0.. {
        let disk = left.reboot(Loss::None);
        disk.crash_after(steps);
        let opened = setting.begin(&disk, Purpose::Open).await;
        tally.points += 1;
        for seed in 0..cuts {
            let loss = Loss::Some(steps * cuts + seed);
            setting.check(&disk.reboot(loss), model, loss).await;
            tally.survived(loss);
        }
        match opened {
            Ok(_) => return,
            Err(error) => assert!(disk.has_crashed(), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_commit_is_whole_or_absent_after_a_crash_at_any_step_of_its_recovery() {
    let mut tally = Tally::default();
    let safe = settings().filter(|setting| setting.durability == Durability::EveryWrite);
    for setting in safe {
        let base = setting.closed_with(BEFORE).await;
        for steps in 0.. {
            let disk = base.reboot(Loss::None);
            let store = setting.open(&disk).await;
            let mut model = Model::new(setting.durability, BEFORE);
            disk.crash_after(steps);
            match commit().run(&store).await {
                Ok(()) => model.acknowledged(&commit()),
                Err(_) => model.unacknowledged(&commit()),
            }
            // After a power cut all that is found is durable.
            for (first, cuts) in [(Loss::None, 4), (Loss::Some(steps), 1)] {
                crash_again(setting, &disk.reboot(first), &model, cuts, &mut tally).await;
                tally.survived(first);
            }
            if !disk.has_crashed() {
                break;
            }
        }
    }
    tally.print("recovery");
}

#[tokio::test]
async fn a_recovery_that_fails_at_any_step_can_be_tried_again() {
    let mut tally = Tally::default();
    for setting in settings() {
        let (disk, store) = setting.store_with(BEFORE).await;
        let refusal = disk.refuse(|op, path| {
            (op == Op::Rename && path.ends_with("CC1.data")).then_some(ErrorKind::Other)
        });
        commit().run(&store).await.unwrap_err();
        drop((refusal, store));
        let mut model = Model::new(setting.durability, BEFORE);
        model.acknowledged(&commit());
        for steps in 0.. {
            let disk = disk.reboot(Loss::None);
            disk.fail_after(steps, ErrorKind::Other);
            if setting.begin(&disk, Purpose::Open).await.is_ok() {
                break;
            }
            tally.points += 1;
            setting.check(&disk, &model, Loss::None).await;
            tally.survived(Loss::None);
        }
        assert!(tally.points > 0);
    }
    tally.print("recovery, failing");
}
