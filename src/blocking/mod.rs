//! The only access to tokio's blocking pool: single jobs, and queues whose workers are such jobs.

mod completions;
mod group_queue;
mod parallel;
mod pool;
mod work_queue;

pub(crate) use self::group_queue::GroupQueue;
pub(crate) use self::parallel::{parallel_chunks, processors};
pub(crate) use self::pool::{detach, is_available, run};
pub(crate) use self::work_queue::WorkQueue;
