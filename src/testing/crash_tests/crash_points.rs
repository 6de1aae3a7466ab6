//! A crash after every single step of every kind of write.

use super::fixture::{
    Change, SAFE, STORE, Setting, Tally, WITHOUT_SYNCFS, Write, idle, losses, modes, settings,
};
use super::model::Model;
use crate::batch::FlatBatch;
use crate::disk::Disk;
use crate::key::Key;
use crate::store::{ExistingBlock, FlatFs};
use crate::testing::fault_disk::{Abilities, FaultDisk, Loss, Op};

const BEFORE: &[(&str, &str)] = &[
    ("AA1", "one, as it was"),
    ("AA2", "two, as it was"),
    ("BB1", "three, as it was"),
];

/// A crash after each step of some writes, one after the other.
async fn crash_everywhere(setting: Setting, script: &[Write], tally: &mut Tally) {
    const CUTS: u64 = 3;
    let base = setting.closed_with(BEFORE).await;
    for steps in 0.. {
        let disk = base.reboot(Loss::None);
        let store = setting.open(&disk).await;
        let mut model = Model::new(setting.durability, BEFORE);
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
        idle(&store).await;
        tally.points += 1;
        for loss in losses(steps, CUTS) {
            setting.check(&disk.reboot(loss), &model, loss).await;
            tally.survived(loss);
        }
        if !disk.has_crashed() {
            return;
        }
    }
}

async fn crash_everywhere_in_all_settings(what: &str, scripts: &[&[Write]]) {
    crash_everywhere_in(settings(), what, scripts).await;
}

async fn crash_everywhere_in(
    settings: impl Iterator<Item = Setting>,
    what: &str,
    scripts: &[&[Write]],
) {
    let mut tally = Tally::default();
    for setting in settings {
        for script in scripts {
            crash_everywhere(setting, script, &mut tally).await;
        }
    }
    tally.print(what);
}

fn small_commit() -> Write {
    Write::Commit(vec![
        Change::Put("AA1", "one, in a batch"),
        Change::Put("CC1", "four, in a batch"),
        Change::Delete("BB1"),
    ])
}

fn large_commit() -> Write {
    Write::Commit(vec![
        Change::Put("AA1", "one, in a batch"),
        Change::Put("AA3", "five, in a batch"),
        Change::Put("BB2", "six, in a batch"),
        Change::Put("CC1", "four, in a batch"),
        Change::Put("CC2", "seven, in a batch"),
        Change::Put("DD1", "eight, in a batch"),
        Change::Delete("AA2"),
        Change::Delete("BB1"),
        Change::Delete("EE1"),
    ])
}

#[tokio::test]
async fn a_put_survives_a_crash_at_any_step() {
    let new_shard: &[_] = &[Write::Put("CC1", "four")];
    let old_shard: &[_] = &[Write::Put("AA3", "five")];
    let empty: &[_] = &[Write::Put("AA3", "")];
    crash_everywhere_in_all_settings("put", &[new_shard, old_shard, empty]).await;
}

#[tokio::test]
async fn an_overwrite_survives_a_crash_at_any_step() {
    let other: &[_] = &[Write::Put("AA1", "one, but new")];
    let same: &[_] = &[Write::Put("AA1", "one, as it was")];
    let twice: &[_] = &[
        Write::Put("AA1", "one, but new"),
        Write::Put("AA1", "newer"),
    ];
    crash_everywhere_in_all_settings("overwrite", &[other, same, twice]).await;
}

#[tokio::test]
async fn a_delete_survives_a_crash_at_any_step() {
    let delete: &[_] = &[Write::Delete("AA1")];
    let of_nothing: &[_] = &[Write::Delete("CC1")];
    let and_back: &[_] = &[Write::Delete("AA1"), Write::Put("AA1", "one, but new")];
    crash_everywhere_in_all_settings("delete", &[delete, of_nothing, and_back]).await;
}

#[tokio::test]
async fn a_commit_of_a_few_blocks_is_whole_or_absent_after_a_crash_at_any_step() {
    crash_everywhere_in_all_settings("small commit", &[&[small_commit()]]).await;
}

#[tokio::test]
async fn a_commit_of_many_blocks_is_whole_or_absent_after_a_crash_at_any_step() {
    crash_everywhere_in_all_settings("large commit", &[&[large_commit()]]).await;
}

/// A batch of these blocks, of which the first two were written side by side: so they are in different
/// directories.
async fn staged_side_by_side(disk: &FaultDisk, store: &FlatFs, puts: &[Change]) -> FlatBatch {
    let batch = store.batch().await.unwrap();
    let held =
        disk.hold(|op, path| op == Op::CreateFile && path.to_string_lossy().contains("batch-"));
    for change in puts {
        let Change::Put(key, value) = *change else {
            panic!("{change:?} is no put");
        };
        batch.put(&Key::new(key), value.into()).await.unwrap();
    }
    held.reached_by(2).await;
    batch
}

#[tokio::test]
async fn blocks_that_were_written_side_by_side_are_whole_or_absent_after_a_crash_at_any_step() {
    let all = [
        Change::Put("AA1", "one, in a batch"),
        Change::Put("CC1", "four, in a batch"),
        Change::Put("AA3", "five, in a batch"),
        Change::Put("BB2", "six, in a batch"),
        Change::Put("CC2", "seven, in a batch"),
        Change::Put("DD1", "eight, in a batch"),
    ];
    let mut tally = Tally::default();
    for (setting, puts) in settings().flat_map(|setting| [(setting, &all[..2]), (setting, &all)]) {
        let commit = Write::Commit(puts.to_vec());
        let base = setting.closed_with(BEFORE).await;
        for steps in 0.. {
            let disk = base.reboot(Loss::None);
            let store = setting.open(&disk).await;
            let batch = staged_side_by_side(&disk, &store, puts).await;
            disk.crash_after(steps);
            let committed = batch.commit().await;
            let mut model = Model::new(setting.durability, BEFORE);
            match committed {
                Ok(()) => model.acknowledged(&commit),
                Err(_) => model.unacknowledged(&commit),
            }
            idle(&store).await;
            tally.points += 1;
            for loss in losses(steps, 3) {
                setting.check(&disk.reboot(loss), &model, loss).await;
                tally.survived(loss);
            }
            if !disk.has_crashed() {
                assert!(store.has(&Key::new("CC1")).await.unwrap());
                break;
            }
        }
    }
    tally.print("blocks written side by side");
}

#[tokio::test]
async fn commits_of_the_same_keys_survive_a_crash_at_any_step() {
    let second = Write::Commit(vec![
        Change::Put("AA1", "one, in another batch"),
        Change::Put("BB1", "three, back again"),
        Change::Delete("CC1"),
    ]);
    let script = [small_commit(), second];
    crash_everywhere_in_all_settings("two commits", &[&script]).await;
}

#[tokio::test]
async fn a_write_after_a_commit_of_its_key_is_not_undone_by_a_crash_at_any_step() {
    let puts: &[_] = &[small_commit(), Write::Put("BB1", "three, back again")];
    let deletes: &[_] = &[small_commit(), Write::Delete("CC1")];
    crash_everywhere_in_all_settings("writes after a commit", &[puts, deletes]).await;
}

#[tokio::test]
async fn a_sync_makes_everything_before_it_durable() {
    let puts: &[_] = &[
        Write::Put("CC1", "four"),
        Write::Delete("BB1"),
        Write::Sync,
        Write::Put("CC1", "four, but new"),
    ];
    let commits: &[_] = &[small_commit(), Write::Sync, small_commit()];
    crash_everywhere_in_all_settings("sync", &[puts, commits]).await;
}
#[tokio::test]
async fn a_close_survives_a_crash_at_any_step() {
    let puts: &[_] = &[
        Write::Put("CC1", "four"),
        Write::Delete("BB1"),
        Write::Close,
    ];
    let commit: &[_] = &[small_commit(), Write::Close];
    crash_everywhere_in(modes(), "close", &[puts, commit]).await;
}

#[tokio::test]
async fn a_block_that_is_kept_is_as_durable_as_one_that_is_put() {
    let put: &[_] = &[Write::Put("CC1", "kept"), Write::Put("CC1", "kept")];
    let commit: &[_] = &[
        Write::Put("CC1", "kept"),
        Write::Commit(vec![Change::Put("CC1", "kept"), Change::Delete("AA1")]),
    ];
    let keeping = modes().map(|setting| Setting {
        existing_block: ExistingBlock::Keep,
        ..setting
    });
    crash_everywhere_in(keeping, "keep", &[put, commit]).await;
}

/// Which leaves no mark, other than a session of this crate.
#[tokio::test]
async fn a_block_that_is_kept_is_durable_also_if_another_program_has_not_flushed_it() {
    let put = Write::Put("AA3", "kept");
    let commit = Write::Commit(vec![Change::Put("AA3", "kept")]);
    for (write, abilities) in [
        (&put, Abilities::ALL),
        (&put, WITHOUT_SYNCFS),
        (&commit, Abilities::ALL),
        (&commit, WITHOUT_SYNCFS),
    ] {
        let setting = Setting {
            existing_block: ExistingBlock::Keep,
            abilities,
            ..SAFE
        };
        let disk = setting.closed_with(BEFORE).await;
        let block = format!("{STORE}/AA/AA3.data");
        disk.write_new(block.as_ref(), b"kept", 0o600, false)
            .unwrap();
        let store = setting.open(&disk).await;
        write.run(&store).await.unwrap();
        let mut model = Model::new(setting.durability, BEFORE);
        model.acknowledged(write);
        let found = disk.reboot(Loss::All);
        setting.check(&found, &model, Loss::All).await;
    }
}
