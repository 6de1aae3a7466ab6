//! Calls for many keys, where some answers are known here and others come from datastores below.

use std::ptr;

use futures::stream::{self, StreamExt};

use crate::datastore::{KeyStream, ResultStream};
use crate::error::Result;
use crate::key::Key;

/// How many keys are taken ahead at most.
const AHEAD: usize = 1024;

/// Where the answer about a key comes from.
#[derive(Debug)]
pub(super) enum Place<'a, D, T> {
    Here(Result<T>),
    /// A datastore below, and the key as it knows it.
    Below(&'a D, Key),
}

/// Where the answer about a key that was taken comes from.
enum Source<T> {
    Here(Result<T>),
    /// The next one of this group.
    Group(usize),
}

/// The answers about many keys, in their order. The keys that are ready are taken together, and a datastore
/// below is asked about all of these that it has with one call. It reads ahead as far as it pleases, so no
/// answers are kept here but those that were known at once.
pub(super) fn answers<'a, D: Sync + 'a, T: Send + 'a>(
    keys: KeyStream<'a>,
    place: impl Fn(&Key) -> Place<'a, D, T> + Send + 'a,
    ask: impl Fn(&'a D, KeyStream<'a>) -> ResultStream<'a, T> + Send + 'a,
) -> ResultStream<'a, T> {
    let answers = keys.ready_chunks(AHEAD).flat_map(move |keys| {
        let mut groups = Groups(Vec::new());
        let sources = keys.into_iter().map(|key| {
            let source = groups.sort(place(&key));
            (key, source)
        });
        let sources = sources.collect();
        let groups = groups.0.into_iter();
        let asked = groups.map(|(datastore, keys)| ask(datastore, stream::iter(keys).boxed()));
        in_order(sources, asked.collect())
    });
    answers.boxed()
}

/// Keys by the datastore that has them.
struct Groups<'a, D>(Vec<(&'a D, Vec<Key>)>);

impl<'a, D> Groups<'a, D> {
    fn sort<T>(&mut self, place: Place<'a, D, T>) -> Source<T> {
        match place {
            Place::Here(answer) => Source::Here(answer),
            Place::Below(datastore, key) => Source::Group(self.add(datastore, key)),
        }
    }

    /// Adds a key to the group of its datastore, and answers the number of that.
    fn add(&mut self, datastore: &'a D, key: Key) -> usize {
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
    sources: Vec<(Key, Source<T>)>,
    groups: Vec<ResultStream<'a, T>>,
) -> ResultStream<'a, T> {
    let left = (sources.into_iter(), groups);
    let answers = stream::unfold(left, |(mut sources, mut groups)| async move {
        let (key, source) = sources.next()?;
        let answer = match source {
            Source::Here(answer) => answer,
            Source::Group(number) => groups.get_mut(number)?.next().await?.1,
        };
        Some(((key, answer), (sources, groups)))
    });
    answers.boxed()
}
