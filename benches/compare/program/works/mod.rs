//! The works, in the order of the table.

mod durable;
mod growth;
#[cfg(feature = "verify")]
mod maintenance;
mod reads;
mod relocate;
mod scans;
mod space;
mod writes;

use super::bench::Bench;
use super::row::Row;

/// One work of the table. It answers a row, and rows about the same work by another measure.
pub(super) struct Work {
    pub(super) title: &'static str,
    pub(super) run: fn(&Bench, &str) -> Vec<Row>,
}

const fn work(title: &'static str, run: fn(&Bench, &str) -> Vec<Row>) -> Work {
    Work { title, run }
}

pub(super) const WORKS: &[Work] = &[
    work("get, one after another", reads::get),
    work("get, one after another, current-thread", reads::get_current),
    work("get, 16 tasks on 2 workers", reads::get_at_once),
    work("get_many of all blocks", reads::get_many),
    work("has_many of all blocks", reads::has_many),
    work("get 256 KiB", reads::get_large),
    work("has, present", reads::has),
    work("has, present, current-thread", reads::has_current),
    work("get_size", reads::get_size),
    work("has, absent", reads::has_not),
    work("has, absent, current-thread", reads::has_not_current),
    work("put, one after another", writes::put),
    work(
        "put, one after another, current-thread",
        writes::put_current,
    ),
    work("put, 16 at a time", writes::put_at_once),
    work("put of a block already there, keep", writes::put_kept),
    work("delete, 16 at a time", writes::delete),
    work("batch of 20,000 puts and commit", writes::batch),
    work("batch of 2,000 × 256 KiB", writes::batch_large),
    work("durable batch, 3,000 × 4 KiB", durable::batch),
    work("durable put, 16 at a time", durable::put),
    work("query keys, per entry", scans::keys),
    work("query sizes, per entry", scans::sizes),
    work("query values, per entry", scans::values),
    work("recount of disk usage, per block", scans::recount),
    work("open of 100,000 blocks without cache", scans::open),
    work("move to another store, per block", relocate::move_all),
    work("reshard, per block", relocate::reshard),
    #[cfg(feature = "verify")]
    work("verify 4 KiB, per block", maintenance::verify),
    #[cfg(feature = "verify")]
    work("verify 256 KiB, per block", maintenance::verify_large),
    work("peak memory of a batch of 4,000 × 1 MiB", space::batch),
    work("peak memory of listing 1,000,000 keys", space::listing),
    work("growth to 1,000,000 blocks", growth::all),
];

/// Tells the size of a quick run, which the title doesn't.
fn note_size(bench: &Bench, row: Row, size: &str) -> Row {
    if bench.quick { row.note(size) } else { row }
}
