//! The blocks that the benchmarks store, and the floor that they are compared with.

mod blocks;
mod floor;

pub(crate) use self::blocks::{Blocks, name};
pub(crate) use self::floor::Floor;
