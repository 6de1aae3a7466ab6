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

/// How many requests wait for the swarm before the next one waits to be sent.
const REQUESTS: usize = 64;

/// A running node. Dropping it ends its connections; [`stop`](Node::stop) closes the store as well.
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
    /// If the store can't be opened or created, or there is no port to listen on.
    pub async fn start(path: impl AsRef<Path>) -> Result<Self> {
        let flatfs = FlatFs::options().open_or_create(path.as_ref()).await?;
        let blocks = DatastoreBlockstore::new(Arc::new(flatfs));
        let (swarm, address) = swarm::listening(blocks.clone()).await?;
        let (requests, received) = mpsc::channel(REQUESTS);
        Ok(Node {
            address,
            blocks,
            requests,
            swarm: tokio::spawn(swarm::run(swarm, received)),
        })
    }

    /// Where other nodes reach this one.
    #[must_use]
    pub fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// The blocks that are in the store.
    #[must_use]
    pub fn blocks(&self) -> &DatastoreBlockstore<FlatFs> {
        &self.blocks
    }

    /// Begins to connect to the node at `address`.
    ///
    /// # Errors
    ///
    /// If the address makes no sense, or the node has ended.
    pub async fn dial(&self, address: Multiaddr) -> Result<()> {
        self.ask(|answer| Request::Dial { address, answer }).await
    }

    /// A block, from the store or else from the first peer that has it, however long that takes. What
    /// comes from a peer has the hash of its CID.
    ///
    /// beetswap answers before it stores the block, and tells nobody how that went. Who has to know
    /// puts the block, too.
    ///
    /// # Errors
    ///
    /// If the store can't be read, or the node has ended.
    pub async fn get(&self, cid: Cid) -> Result<Vec<u8>> {
        self.ask(|answer| Request::Get { cid, answer }).await
    }

    /// Ends the connections and closes the store.
    ///
    /// # Errors
    ///
    /// If the store can't be closed properly, or the swarm panicked.
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

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T>>) -> Request,
    ) -> Result<T> {
        let (sender, answer) = oneshot::channel();
        let sent = self.requests.send(request(sender)).await;
        sent.ok().context("the node has ended")?;
        answer.await.context("the node has ended")?
    }
}
