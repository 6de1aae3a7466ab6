//! The workloads, in the order of the table.

#[cfg(feature = "dag")]
mod dag_growth;
#[cfg(feature = "dag")]
mod dag_store;
#[cfg(feature = "dag")]
mod dags;
mod durable;
mod growth;
mod lateness;
#[cfg(feature = "verify")]
mod maintenance;
mod memory;
mod mixed;
mod reads;
mod relocate;
mod scans;
mod writes;

#[cfg(feature = "dag")]
pub(super) use self::dag_growth::dry_run;
use super::context::Context;
use super::row::Row;

/// One workload. It returns a row for the time, and may return rows for other measures.
pub(super) struct Workload {
    pub(super) title: &'static str,
    pub(super) run: fn(&Context, &str) -> Vec<Row>,
}

const fn workload(title: &'static str, run: fn(&Context, &str) -> Vec<Row>) -> Workload {
    Workload { title, run }
}

pub(super) const WORKLOADS: &[Workload] = &[
    workload("get, one after another", reads::get),
    workload("get, one after another, current-thread", reads::get_current),
    workload("get, 16 tasks on 2 workers", reads::get_at_once),
    workload("get_many of all blocks", reads::get_many),
    workload("has_many of all blocks", reads::has_many),
    workload("get 256 KiB", reads::get_large),
    workload("has, present", reads::has),
    workload("has, present, current-thread", reads::has_current),
    workload("get_size", reads::get_size),
    workload("has, absent", reads::has_absent),
    workload("has, absent, current-thread", reads::has_absent_current),
    workload("has, absent, never asked for", reads::has_never_asked),
    workload("get, absent, never asked for", reads::get_never_asked),
    workload("has, present, not in a cache", reads::has_forgotten),
    workload("get, not in a cache", reads::get_forgotten),
    workload("put, one after another", writes::put),
    workload(
        "put, one after another, current-thread",
        writes::put_current,
    ),
    workload("put, 16 at a time", writes::put_at_once),
    workload("put of a block already there, keep", writes::put_existing),
    workload("put over an equal block", writes::put_over),
    workload("put 256 KiB, one after another", writes::put_large),
    workload("put 256 KiB, 16 at a time", writes::put_large_at_once),
    workload("delete, one after another", writes::delete_one),
    workload("delete, 16 at a time", writes::delete),
    workload("mixed load, 16 tasks", mixed::mixed),
    workload(
        "lateness of a timer beside 4 KiB puts",
        lateness::beside_small,
    ),
    workload(
        "lateness of a timer beside 256 KiB puts",
        lateness::beside_large,
    ),
    workload("batch of 20,000 puts and commit", writes::batch),
    workload("batch of 2,000 × 256 KiB", writes::batch_large),
    workload("durable batch, 3,000 × 4 KiB", durable::batch),
    workload("durable put, 16 at a time", durable::put),
    workload("query keys, per entry", scans::keys),
    workload("query sizes, per entry", scans::sizes),
    workload("query values, per entry", scans::values),
    workload("recount of disk usage, per block", scans::recount),
    workload("open of 100,000 blocks without cache", scans::open),
    workload("move to another store, per block", relocate::move_all),
    workload("reshard, per block", relocate::reshard),
    #[cfg(feature = "verify")]
    workload("verify 4 KiB, per block", maintenance::verify),
    #[cfg(feature = "verify")]
    workload("verify 256 KiB, per block", maintenance::verify_large),
    #[cfg(feature = "dag")]
    workload("mark, per block with links", dags::mark),
    #[cfg(feature = "dag")]
    workload("sweep, per block", dags::sweep),
    #[cfg(feature = "dag")]
    workload("dag, per block", dags::inspect),
    workload("peak memory of a batch of 4,000 × 1 MiB", memory::batch),
    workload("peak memory of listing 1,000,000 keys", memory::listing),
    workload("growth to 1,000,000 blocks", growth::all),
    #[cfg(feature = "dag")]
    workload("growth of gc and dag", dag_growth::all),
];

/// Notes the size of the store in a quick run, which differs from that in the title.
fn note_size(context: &Context, mut row: Row, size: &str) -> Row {
    if context.env.quick {
        row.add_note(size);
    }
    row
}
