//! What the benchmarks share: the blocks they work on, and the floor they are measured against.

mod blocks;
mod floor;

pub(crate) use self::blocks::{Blocks, name};
pub(crate) use self::floor::Floor;
