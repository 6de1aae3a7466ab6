//! DAGs of blocks: the links of a block, the blocks below some roots, and whether they are complete. Feature `dag`.
//!
//! All functions work with any [`Datastore`](crate::Datastore) that names blocks as [`Key::from_cid`] does.
//!
//! [`Key::from_cid`]: crate::Key::from_cid

mod block;
mod dag_cbor;
mod dag_json;
mod dag_pb;
mod digest_hash;
mod digest_set;
mod inspect;
mod leaf_set;
mod links;
mod long_cid;
mod lost_leaves;
mod mark;
mod nodes;
mod number_set;
mod pace;
mod portion;
mod reachable;
mod report;
mod root;
mod sorted_list;
mod visit;
mod waiting;
mod walk;

pub use self::block::{check, keys, load};
pub use self::dag_json::MAX_CID_TEXT;
pub use self::inspect::Inspect;
pub(crate) use self::links::is_leaf;
pub use self::links::{UnknownCodec, links};
pub(crate) use self::lost_leaves::lost_leaves;
pub(crate) use self::mark::{Mark, Marked, Roots};
pub(crate) use self::reachable::Reachable;
pub use self::report::{BadBlock, DagReport};
pub(crate) use self::root::Root;
pub use self::walk::DagWalk;
