//! The swarm, and the task that runs it.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use beetswap::{Event, QueryId};
use ds_flatfs::FlatFs;
use ds_flatfs::blockstore::DatastoreBlockstore;
use ds_flatfs::cid::Cid;
use futures::StreamExt as _;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, tcp, yamux};
use tokio::sync::{mpsc, oneshot};

/// The longest digest of the usual hash functions, in bytes.
const MAX_DIGEST: usize = 64;

type Bitswap = beetswap::Behaviour<MAX_DIGEST, DatastoreBlockstore<FlatFs>>;
type Reply<T> = oneshot::Sender<Result<T>>;

/// A request of the node to its swarm. A reply whose receiver is gone is dropped.
#[derive(Debug)]
pub(crate) enum Request {
    Dial {
        address: Multiaddr,
        reply: Reply<()>,
    },
    Get {
        cid: Cid,
        reply: Reply<Vec<u8>>,
    },
}

/// Returns a swarm that serves `blocks`, and the address that it listens on.
pub(crate) async fn listening(
    blocks: DatastoreBlockstore<FlatFs>,
) -> Result<(Swarm<Bitswap>, Multiaddr)> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_behaviour(|_| Bitswap::new(Arc::new(blocks)))?
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => return Ok((swarm, address)),
            SwarmEvent::ListenerClosed { reason, .. } => bail!("no port: {reason:?}"),
            _ => {}
        }
    }
}

/// Runs the swarm until all senders of requests are dropped.
pub(crate) async fn run(mut swarm: Swarm<Bitswap>, mut requests: mpsc::Receiver<Request>) {
    let mut queries = HashMap::new();
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::Behaviour(event) = event {
                    reply_to_query(event, &mut queries);
                }
            }
            request = requests.recv() => match request {
                Some(Request::Dial { address, reply }) => {
                    let _ = reply.send(swarm.dial(address).map_err(Into::into));
                }
                Some(Request::Get { cid, reply }) => {
                    queries.insert(swarm.behaviour_mut().get(&cid), reply);
                }
                None => return,
            },
        }
    }
}

fn reply_to_query(event: Event, queries: &mut HashMap<QueryId, Reply<Vec<u8>>>) {
    let (query, block) = match event {
        Event::GetQueryResponse { query_id, data } => (query_id, Ok(data)),
        Event::GetQueryError { query_id, error } => (query_id, Err(error.into())),
    };
    if let Some(reply) = queries.remove(&query) {
        let _ = reply.send(block);
    }
}
