//! A node that exchanges blocks with its peers by bitswap, and keeps them in a [`FlatFs`].
//!
//! It is libp2p with beetswap as its only behaviour; [`DatastoreBlockstore`] gives beetswap the store.
//! The swarm runs in a task of its own, so that it is polled all the time.
//!
//! [`FlatFs`]: ds_flatfs::FlatFs
//! [`DatastoreBlockstore`]: ds_flatfs::blockstore::DatastoreBlockstore

pub mod dag;
mod node;
mod swarm;

pub use crate::node::Node;
