//! [`WholeStoreTool`]: crashes and failures at every step of a tool for whole stores.

use std::io::ErrorKind;

use super::crashes::{CrashCounts, data_losses};
use super::inspect::is_flush_failure;
use crate::error::Result;
use crate::testing::fault_disk::{DataLoss, FaultDisk};

/// A tool for whole stores, and what must be true of a disk on which it ran.
pub(super) trait WholeStoreTool {
    async fn run(&self, disk: &FaultDisk) -> Result<()>;

    /// Checks what an interruption leaves: no block is lost, and no program takes the store for something
    /// that it isn't.
    async fn check_between(&self, found: &FaultDisk);

    /// Checks what the tool leaves when it is done.
    async fn check_done(&self, found: &FaultDisk);
}

/// Runs `work` on copies of a disk, with a crash at its first step, at its second step and so on, until it
/// ends without a crash. Calls `check` with the step, the disk and the result of the work each time.
pub(super) async fn crash_at_any_step<T>(
    base: &FaultDisk,
    work: impl AsyncFn(&FaultDisk) -> Result<T>,
    mut check: impl AsyncFnMut(u64, &FaultDisk, Result<T>),
) {
    for steps in 0.. {
        let disk = base.reboot(DataLoss::None);
        disk.crash_after(steps);
        let done = work(&disk).await;
        check(steps, &disk, done).await;
        if !disk.has_crashed() {
            return;
        }
    }
}

/// Checks that the tool completes its work after a crash at any of its steps.
pub(super) async fn survives_crashes(
    base: &FaultDisk,
    tool: &impl WholeStoreTool,
    cuts: u64,
    counts: &mut CrashCounts,
) {
    let run = async |disk: &FaultDisk| tool.run(disk).await;
    crash_at_any_step(base, run, async |steps, disk, done| {
        counts.crash_points += 1;
        for loss in data_losses(steps, cuts) {
            let found = disk.reboot(loss);
            if done.is_ok() {
                tool.check_done(&found).await;
                continue;
            }
            tool.check_between(&found).await;
            tool.run(&found).await.unwrap();
            tool.check_done(&found.reboot(DataLoss::AllUnflushed)).await;
            counts.survived(loss);
        }
    })
    .await;
}

/// Checks that the tool completes its work after a failure of any of its steps, with and without a power
/// cut after the failure.
pub(super) async fn survives_failures(
    base: &FaultDisk,
    tool: &impl WholeStoreTool,
    kind: ErrorKind,
    counts: &mut CrashCounts,
) {
    for steps in 0.. {
        let disk = base.reboot(DataLoss::None);
        disk.fail_after(steps, kind);
        let before = disk.steps();
        let done = tool.run(&disk).await;
        if disk.steps() - before <= steps {
            return;
        }
        counts.crash_points += 1;
        let cut = disk.reboot(DataLoss::SomeUnflushed(steps));
        if let Err(error) = &done {
            tool.check_between(&disk).await;
            tool.run(&disk).await.unwrap();
            tool.check_done(&disk).await;
            // After a failed flush the data may never become durable, and no later call can tell.
            if !is_flush_failure(error) {
                tool.check_done(&disk.reboot(DataLoss::AllUnflushed)).await;
            }
            tool.check_between(&cut).await;
            tool.run(&cut).await.unwrap();
        }
        tool.check_done(&cut).await;
        counts.survived(DataLoss::AllUnflushed);
    }
}
