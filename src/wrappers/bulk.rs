//! Bulk reads in which some results are known at once and the others come from inner datastores.

use std::ptr;

use futures::stream::{self, StreamExt};

use crate::datastore::{KeyStream, ResultStream};
use crate::error::Result;
use crate::key::Key;

/// The maximum number of keys that are taken ahead.
const MAX_KEYS_AHEAD: usize = 1024;

/// Where the result for a key comes from.
#[derive(Debug)]
pub(super) enum Route<'a, D, T> {
    /// The result is known.
    Known(Result<T>),
    /// An inner datastore must be read, under this key.
    Inner(&'a D, Key),
}

/// Where the next result comes from, once the keys are grouped.
enum ResultOrigin<T> {
    Known(Result<T>),
    /// It is the next result of the group with this number.
    Group(usize),
}

/// Returns the results for many keys, in their order. The keys that are ready are taken together, and each inner
/// datastore is read with one call for all keys that are routed to it. The inner datastores decide how far they
/// read ahead, so this function buffers only the results that were known at once.
pub(super) fn read<'a, D: Sync + 'a, T: Send + 'a>(
    keys: KeyStream<'a>,
    route: impl Fn(&Key) -> Route<'a, D, T> + Send + 'a,
    read_inner: impl Fn(&'a D, KeyStream<'a>) -> ResultStream<'a, T> + Send + 'a,
) -> ResultStream<'a, T> {
    let results = keys.ready_chunks(MAX_KEYS_AHEAD).flat_map(move |keys| {
        let mut groups = KeyGroups(Vec::new());
        let origins = keys.into_iter().map(|key| {
            let origin = groups.add(route(&key));
            (key, origin)
        });
        let origins = origins.collect();
        let groups = groups.0.into_iter();
        let inner =
            groups.map(|(datastore, keys)| read_inner(datastore, stream::iter(keys).boxed()));
        in_order(origins, inner.collect())
    });
    results.boxed()
}

/// Keys grouped by the inner datastore that they are routed to.
struct KeyGroups<'a, D>(Vec<(&'a D, Vec<Key>)>);

impl<'a, D> KeyGroups<'a, D> {
    fn add<T>(&mut self, route: Route<'a, D, T>) -> ResultOrigin<T> {
        match route {
            Route::Known(result) => ResultOrigin::Known(result),
            Route::Inner(datastore, key) => ResultOrigin::Group(self.add_key(datastore, key)),
        }
    }

    /// Adds a key to the group of its datastore, and returns the number of the group.
    fn add_key(&mut self, datastore: &'a D, key: Key) -> usize {
        let mut groups = self.0.iter_mut().enumerate();
        match groups.find(|(_, (of, _))| ptr::eq(*of, datastore)) {
            Some((number, (_, keys))) => {
                keys.push(key);
                number
            }
            None => {
                self.0.push((datastore, vec![key]));
                self.0.len() - 1
            }
        }
    }
}

fn in_order<'a, T: Send + 'a>(
    origins: Vec<(Key, ResultOrigin<T>)>,
    groups: Vec<ResultStream<'a, T>>,
) -> ResultStream<'a, T> {
    let left = (origins.into_iter(), groups);
    let results = stream::unfold(left, |(mut origins, mut groups)| async move {
        let (key, origin) = origins.next()?;
        let result = match origin {
            ResultOrigin::Known(result) => result,
            ResultOrigin::Group(number) => groups.get_mut(number)?.next().await?.1,
        };
        Some(((key, result), (origins, groups)))
    });
    results.boxed()
}
