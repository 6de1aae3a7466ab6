//! [`compare`]: two datastores, key by key, from their listings in the order of the keys.

use std::cmp::Ordering;

use futures::stream::{self, Peekable, Stream, StreamExt};
use tokio::task::consume_budget;

use crate::datastore::Datastore;
use crate::error::{Error, Result};
use crate::query::{Entry, EntryStream, Order, Query};

/// A key that at least one of the two datastores has.
#[derive(Debug)]
pub(super) enum Compared {
    /// Only the first datastore has it.
    First(Entry),
    /// Only the second datastore has it.
    Second(Entry),
    /// Both have it.
    Both(Entry, Entry),
}

/// An error of the listing of one of the two datastores. The rest of both listings can still be compared, but
/// a key may be missing from this one.
#[derive(Debug)]
pub(super) enum ListingError {
    First(Error),
    Second(Error),
}

/// Compares the keys of two datastores. `query` says what the entries have besides the key.
///
/// One entry of each datastore is in memory, and what the datastore needs to list its keys in order.
pub(super) async fn compare(
    first: &dyn Datastore,
    second: &dyn Datastore,
    query: Query,
    end: End,
) -> Result<impl Stream<Item = Result<Compared, ListingError>> + Send + use<>> {
    let query = query.order(Order::by_key());
    let merge = Merge {
        first: first.query(query.clone()).await?.peekable(),
        second: second.query(query).await?.peekable(),
        end,
    };
    Ok(stream::unfold(merge, |mut merge| async move {
        consume_budget().await;
        let next = merge.next().await.transpose()?;
        Some((next, merge))
    }))
}

/// Where a comparison ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At the end of both datastores.
    OfBoth,
    /// At the end of the first one. The rest of the second one is not listed.
    OfFirst,
}

struct Merge {
    first: Peekable<EntryStream>,
    second: Peekable<EntryStream>,
    end: End,
}

impl Merge {
    async fn next(&mut self) -> Result<Option<Compared>, ListingError> {
        let (first, second) = (&mut self.first, &mut self.second);
        if let Some(error) = next_error(first).await {
            return Err(ListingError::First(error));
        }
        if self.end == End::OfFirst && peek(first).await.is_none() {
            return Ok(None);
        }
        if let Some(error) = next_error(second).await {
            return Err(ListingError::Second(error));
        }
        let order = match (peek(first).await, peek(second).await) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.key.cmp(&b.key),
        };
        Ok(match order {
            Ordering::Less => take(first).await.map(Compared::First),
            Ordering::Greater => take(second).await.map(Compared::Second),
            Ordering::Equal => {
                let pair = take(first).await.zip(take(second).await);
                pair.map(|(a, b)| Compared::Both(a, b))
            }
        })
    }
}

async fn next_error(entries: &mut Peekable<EntryStream>) -> Option<Error> {
    let error = std::pin::Pin::new(entries).next_if(Result::is_err).await;
    error.and_then(Result::err)
}

async fn peek(entries: &mut Peekable<EntryStream>) -> Option<&Entry> {
    let next = std::pin::Pin::new(entries).peek().await;
    next.and_then(|next| next.as_ref().ok())
}

async fn take(entries: &mut Peekable<EntryStream>) -> Option<Entry> {
    entries.next().await.and_then(Result::ok)
}
