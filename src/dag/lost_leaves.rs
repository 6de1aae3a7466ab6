//! [`lost_leaves`]: the blocks without links that a DAG links to and no listing of the store had.

use std::collections::HashSet;
use std::sync::Arc;

use cid::Cid;
use futures::stream::{self, Stream, StreamExt as _};

use super::block::{load, missing, size};
use super::links::{UnknownCodec, is_leaf, links};
use super::reachable::Reachable;
use crate::blocking;
use crate::datastore::Datastore;
use crate::error::{Error, Result};

/// The number of blocks that are read at the same time.
const MAX_READS: usize = 8;

/// The blocks without links that a block links to and that no listing of the store had.
#[derive(Debug, Default)]
pub(crate) struct UnseenLinks {
    /// The number of those that a lookup has found.
    pub(crate) found: u64,
    /// An error for each of the others.
    pub(crate) lost: Vec<Error>,
}

/// Reads all blocks with links again, and looks up the blocks without links that they link to and that no listing of the
/// store had: the set of reachable blocks does not have their CIDs. Blocks that the mark has reported as lost are not
/// read, and links to them and to those of earlier results are left out.
///
/// Each block that no listing had is looked up: a listing may leave out a file that is being replaced.
pub(crate) fn lost_leaves<'a>(
    store: &'a dyn Datastore,
    reachable: &'a Arc<Reachable>,
    unknown: UnknownCodec,
    lost: &'a HashSet<u64>,
) -> impl Stream<Item = UnseenLinks> + Send + 'a {
    let is_known = move |cid: &Cid| lost.contains(&reachable.leaf_number(cid.hash()));
    let mut found = HashSet::new();
    let parents = reachable.inner().map(move |mut parents| {
        parents.retain(|parent| !is_known(parent));
        stream::iter(parents)
    });
    let parents = stream::iter(parents).flatten();
    let unseen = parents.map(move |parent| async move {
        let links = unseen_links(store, reachable, parent, unknown).await;
        (parent, links)
    });
    let unseen = unseen.buffer_unordered(MAX_READS);
    unseen.then(move |(parent, links)| {
        let links = links.map(|mut links| {
            links
                .retain(|link| !is_known(link) && found.insert(reachable.leaf_number(link.hash())));
            links
        });
        async move {
            let mut unseen = UnseenLinks::default();
            let links = links.unwrap_or_else(|error| {
                unseen.lost.push(error);
                Vec::new()
            });
            for link in links {
                match size(store, &link).await {
                    Ok(Some(_)) => unseen.found += 1,
                    Ok(None) => unseen.lost.push(missing(&link, Some(&parent))),
                    Err(error) => unseen.lost.push(error),
                }
            }
            unseen
        }
    })
}

/// Returns the links of a block to blocks without links that no listing had. The mark has read the block, so an error
/// is one that was not reported yet.
async fn unseen_links(
    store: &dyn Datastore,
    reachable: &Arc<Reachable>,
    parent: Cid,
    unknown: UnknownCodec,
) -> Result<Vec<Cid>> {
    let block = load(store, &parent).await?;
    let block = block.ok_or_else(|| missing(&parent, None))?;
    let reachable = Arc::clone(reachable);
    let unseen = move || {
        let mut links = links(&parent, &block, unknown)?;
        links.retain(|link| {
            is_leaf(link, unknown).is_ok_and(|is_leaf| is_leaf) && reachable.is_unseen(link.hash())
        });
        Ok(links)
    };
    blocking::run(unseen).await
}
