//! [`Node`]: the handle of a running node.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use ds_flatfs::FlatFs;
use ds_flatfs::blockstore::DatastoreBlockstore;
use ds_flatfs::cid::Cid;
use libp2p::Multiaddr;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::swarm::{self, Request};

/// How many requests can be queued for the swarm.
const MAX_QUEUED_REQUESTS: usize = 64;

/// A running node. Dropping it closes its connections; [`stop`](Node::stop) also closes the store.
#[derive(Debug)]
pub struct Node {
    address: Multiaddr,
    blocks: DatastoreBlockstore<FlatFs>,
    requests: mpsc::Sender<Request>,
    swarm: JoinHandle<()>,
}

impl Node {
    /// Starts a node whose blocks are in the store at `path`, on a free port of this machine.
    ///
    /// # Errors
    ///
    /// Fails if the store cannot be opened or created, or there is no port to listen on.
    pub async fn start(path: impl AsRef<Path>) -> Result<Self> {
        let flatfs = FlatFs::options().open_or_create(path.as_ref()).await?;
        let blocks = DatastoreBlockstore::new(Arc::new(flatfs));
        let (swarm, address) = swarm::listening(blocks.clone()).await?;
        let (requests, received) = mpsc::channel(MAX_QUEUED_REQUESTS);
        Ok(Node {
            address,
            blocks,
            requests,
            swarm: tokio::spawn(swarm::run(swarm, received)),
        })
    }

    /// Returns the address on which other nodes reach this one.
    #[must_use]
    pub fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// Returns the blocks in the store.
    #[must_use]
    pub fn blocks(&self) -> &DatastoreBlockstore<FlatFs> {
        &self.blocks
    }

    /// Starts to connect to the node at `address`.
    ///
    /// # Errors
    ///
    /// Fails if the address is invalid, or the node has stopped.
    pub async fn dial(&self, address: Multiaddr) -> Result<()> {
        self.request(|reply| Request::Dial { address, reply }).await
    }

    /// Returns a block from the store, or else from the first peer that has it, without a time limit. A block from a
    /// peer has the hash of its CID.
    ///
    /// beetswap returns the block before it stores it, and does not report whether storing it succeeded. Put the block
    /// as well if that matters.
    ///
    /// # Errors
    ///
    /// Fails if the store cannot be read, or the node has stopped.
    pub async fn get(&self, cid: Cid) -> Result<Vec<u8>> {
        self.request(|reply| Request::Get { cid, reply }).await
    }

    /// Closes the connections and the store.
    ///
    /// # Errors
    ///
    /// Fails if the store cannot write its final state, or the swarm panicked.
    pub async fn stop(self) -> Result<()> {
        let Node {
            blocks,
            requests,
            swarm,
            ..
        } = self;
        drop(requests);
        swarm.await.context("the swarm panicked")?;
        blocks.datastore().close().await?;
        Ok(())
    }

    async fn request<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T>>) -> Request,
    ) -> Result<T> {
        let (sender, reply) = oneshot::channel();
        let sent = self.requests.send(request(sender)).await;
        sent.ok().context("the node has stopped")?;
        reply.await.context("the node has stopped")?
    }
}
