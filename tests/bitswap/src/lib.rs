//! A node that exchanges blocks with its peers by bitswap, and stores them in a [`FlatFs`].
//!
//! The node is libp2p with beetswap as its only behaviour. [`DatastoreBlockstore`] gives beetswap access to the store.
//! The swarm runs in a task of its own, so that it is polled at all times.
//!
//! [`FlatFs`]: ds_flatfs::FlatFs
//! [`DatastoreBlockstore`]: ds_flatfs::blockstore::DatastoreBlockstore

pub mod dag;
mod node;
mod swarm;

pub use crate::node::Node;
