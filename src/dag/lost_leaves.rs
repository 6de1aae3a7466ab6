//! [`lost_leaves`]: the blocks without links that a DAG links to and no listing of the store had.

use std::collections::HashSet;
use std::sync::Arc;

use cid::Cid;
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};

use super::block::{load, missing, size};
use super::links::{UnknownCodec, is_leaf, links};
use super::reachable::Reachable;
use crate::blocking;
use crate::datastore::Datastore;
use crate::error::{Error, Result};

/// The number of blocks that are read at the same time.
const MAX_READS: usize = 8;

/// Reads all blocks with links again, and returns for each of them an error for each block without links that it links to
/// and that no listing of the store had: the set of reachable blocks does not have their CIDs. Blocks that can't be read
/// are left out, since the mark has reported them, and so are links to `known` blocks and to those of earlier results.
///
/// Each such block is looked up: a listing may leave out a file that is being replaced.
pub(crate) fn lost_leaves<'a>(
    store: &'a dyn Datastore,
    reachable: &'a Arc<Reachable>,
    unknown: UnknownCodec,
    known: &[Cid],
) -> impl Stream<Item = Result<Vec<Error>>> + Send + 'a {
    let known = known.iter().map(|cid| reachable.leaf_number(cid.hash()));
    let mut found: HashSet<u64> = known.collect();
    let parents = stream::iter(reachable.inner()).flat_map(stream::iter);
    let unseen = parents.map(move |parent| unseen_links(store, reachable, parent, unknown));
    let unseen = unseen.buffer_unordered(MAX_READS);
    unseen.and_then(move |(parent, mut links)| {
        links.retain(|link| found.insert(reachable.leaf_number(link.hash())));
        async move {
            let mut lost = Vec::new();
            for link in links {
                if size(store, &link).await?.is_none() {
                    lost.push(missing(&link, Some(&parent)));
                }
            }
            Ok(lost)
        }
    })
}

/// Returns the links of a block to blocks without links that no listing had.
async fn unseen_links(
    store: &dyn Datastore,
    reachable: &Arc<Reachable>,
    parent: Cid,
    unknown: UnknownCodec,
) -> Result<(Cid, Vec<Cid>)> {
    let Ok(Some(block)) = load(store, &parent).await else {
        return Ok((parent, Vec::new()));
    };
    let reachable = Arc::clone(reachable);
    let unseen = move || {
        let Ok(mut links) = links(&parent, &block, unknown) else {
            return Ok(Vec::new());
        };
        links.retain(|link| {
            is_leaf(link, unknown).is_ok_and(|is_leaf| is_leaf) && reachable.is_unseen(link.hash())
        });
        Ok(links)
    };
    Ok((parent, blocking::run(unseen).await?))
}
