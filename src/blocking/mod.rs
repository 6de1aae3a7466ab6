//! The only access to tokio's blocking pool: single jobs, and queues whose workers are such jobs.

mod completions;
mod group_queue;
mod pool;
mod work_queue;

pub(crate) use self::group_queue::GroupQueue;
pub(crate) use self::pool::{detach, is_available, parallel_chunks, processors, run};
pub(crate) use self::work_queue::WorkQueue;
