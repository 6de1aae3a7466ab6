//! A crash while four writers are at work.

use futures::future::join_all;

use super::fixture::{Blocks, Change, Setting, Tally, Write, losses, settings};
use super::model::Model;
use crate::store::{Durability, FlatFs};
use crate::testing::fault_disk::{FaultDisk, Loss};

/// Each writer has keys of its own, in the same shards as the others': new ones and old ones.
const KEYS: [[&str; 3]; 4] = [
    ["1AA1", "1BB1", "1CC1"],
    ["2AA1", "2BB1", "2CC1"],
    ["3AA1", "3BB1", "3CC1"],
    ["4AA1", "4BB1", "4CC1"],
];

const BEFORE: &[(&str, &str)] = &[
    ("1AA1", "as it was"),
    ("2AA1", "as it was"),
    ("3AA1", "as it was"),
    ("4AA1", "as it was"),
];

fn script([first, second, third]: [&'static str; 3]) -> [Write; 3] {
    [
        Write::Commit(vec![
            Change::Put(first, "in a batch"),
            Change::Put(second, "in a batch"),
        ]),
        Write::Put(third, "put alone"),
        Write::Commit(vec![
            Change::Delete(first),
            Change::Put(second, "in another batch"),
            Change::Put(third, "in another batch"),
        ]),
    ]
}

/// Writes until the crash, and says what must be there of these keys.
async fn write(
    store: &FlatFs,
    disk: &FaultDisk,
    mut model: Model,
    keys: [&'static str; 3],
) -> Model {
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

fn of_writer(blocks: &Blocks, keys: [&str; 3]) -> Blocks {
    let blocks = blocks
        .iter()
        .filter(|(key, _)| keys.contains(&key.as_str()));
    blocks
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

async fn crash(setting: Setting, base: &FaultDisk, steps: u64, tally: &mut Tally) -> bool {
    let disk = base.reboot(Loss::None);
    let store = setting.open(&disk).await;
    disk.crash_after(steps);
    let writers = KEYS.into_iter().enumerate().map(|(writer, keys)| {
        let model = Model::new(setting.durability, &BEFORE[writer..=writer]);
        write(&store, &disk, model, keys)
    });
    let models = join_all(writers).await;
    tally.points += 1;
    for loss in losses(steps, 2) {
        let found = setting.recover(&disk.reboot(loss)).await;
        for (model, keys) in models.iter().zip(KEYS) {
            let checked = model.check(&of_writer(&found, keys), loss);
            checked.unwrap_or_else(|wrong| panic!("{setting:?} {loss:?}: {wrong}"));
        }
        tally.survived(loss);
    }
    disk.has_crashed()
}

#[tokio::test]
async fn batches_of_four_writers_are_whole_or_absent_after_a_crash() {
    /// Each run is another one, so not every step needs its own.
    const STRIDE: usize = 4;
    let mut tally = Tally::default();
    let safe = settings().filter(|setting| setting.durability != Durability::OnSync);
    for setting in safe {
        let base = setting.closed_with(BEFORE).await;
        for steps in (0..).step_by(STRIDE) {
            if !crash(setting, &base, steps, &mut tally).await {
                break;
            }
        }
    }
    tally.print("four writers");
}
