//! [`DagStore`]: a store with a DAG, and the loops of a floor over its blocks with links.

use std::collections::HashSet;
use std::hint::black_box;
use std::path::PathBuf;
use std::thread;

use data_encoding::BASE32_NOPAD;
use ds_flatfs::cid::Cid;
use ds_flatfs::dag::{UnknownCodec, links};
use ds_flatfs::{Key, Shard, hash};
use ipld_core::ipld;
use ipld_core::ipld::Ipld;
use tempfile::TempDir;

use crate::common::Floor;
use crate::harness::context::Context;
use crate::harness::stores::{create, options, root};

const THREADS: usize = 2;
/// The number of links of a block, as in kubo's files.
pub(super) const FANOUT: usize = 174;

/// A store with a DAG, such as that of a large file.
pub(super) struct DagStore {
    pub(super) path: PathBuf,
    pub(super) root: Cid,
    /// The blocks with links, and those without.
    pub(super) inner: Vec<(String, Cid)>,
    pub(super) leaves: Vec<String>,
    _dir: TempDir,
}

pub(super) fn name(cid: &Cid) -> String {
    BASE32_NOPAD.encode(&cid.hash().to_bytes())
}

impl DagStore {
    pub(super) fn create(context: &Context, leaves: usize) -> Self {
        let dir = context.env.scratch();
        let store = create(&context.env.multi, dir.path(), options());
        context.env.multi.block_on(store.close()).expect("a close");
        let path = root(dir.path());
        let floor = Floor::over(&path);
        let mut leaf_names = Vec::new();
        let mut level: Vec<Cid> = Vec::new();
        for number in 0..leaves as u64 {
            let block = number.to_le_bytes();
            let cid = Key::for_block(&block).to_cid().expect("a CID");
            floor.plant(&name(&cid), &block);
            leaf_names.push(name(&cid));
            level.push(cid);
        }
        let mut inner = Vec::new();
        while level.len() > 1 {
            let nodes = level.chunks(FANOUT).map(|links| {
                let block = node(links);
                let hash = Key::for_block(&block).to_multihash().expect("a hash");
                let cid = Cid::new_v1(0x70, hash);
                floor.plant(&name(&cid), &block);
                inner.push((name(&cid), cid));
                cid
            });
            level = nodes.collect();
        }
        // A loop that knows the names goes through them directory by directory.
        let shard = Shard::default();
        inner.sort_unstable_by_key(|(name, _)| shard.dir(name).to_string());
        leaf_names.sort_unstable_by_key(|name| shard.dir(name).to_string());
        DagStore {
            path,
            root: level[0],
            inner,
            leaves: leaf_names,
            _dir: dir,
        }
    }

    /// Reads the blocks with links, and decodes these with the usual crate.
    pub(super) fn read_inner(&self, floor: &Floor) {
        by_threads(&self.inner, |(name, _)| {
            black_box(decode(&floor.get(name)));
        });
    }

    /// Also checks the hashes, as a collection does.
    pub(super) fn check_inner(&self, floor: &Floor) {
        by_threads(&self.inner, |(name, cid)| {
            let block = floor.get(name);
            hash::check(cid.hash(), &block).expect("the right hash");
            black_box(decode(&block));
        });
    }

    /// Also remembers each link, in a set of its thread.
    pub(super) fn remember_inner(&self, floor: &Floor) {
        let work = |items: &[(String, Cid)]| {
            let mut met = HashSet::new();
            for (name, cid) in items {
                let block = floor.get(name);
                hash::check(cid.hash(), &block).expect("the right hash");
                met.extend(decode(&block));
            }
            black_box(met);
        };
        thread::scope(|scope| {
            for items in self.inner.chunks(self.inner.len().div_ceil(THREADS).max(1)) {
                scope.spawn(move || work(items));
            }
        });
    }

    pub(super) fn read_inner_by_our_decoder(&self, floor: &Floor) {
        by_threads(&self.inner, |(name, cid)| {
            black_box(links(cid, &floor.get(name), UnknownCodec::Refuse).expect("links"));
        });
    }
}

fn decode(block: &[u8]) -> Vec<Cid> {
    let mut found = Vec::new();
    ipld_dagpb::links(block, &mut found).expect("links");
    found
}

/// Returns a block of dag-pb with links that have sizes, as those of files.
fn node(links: &[Cid]) -> Vec<u8> {
    let links = links
        .iter()
        .map(|link| ipld!({ "Hash": Ipld::Link(*link), "Name": "", "Tsize": 262_158 }));
    let links: Vec<Ipld> = links.collect();
    ipld_dagpb::from_ipld(&ipld!({ "Links": links })).expect("a block")
}

pub(super) fn by_threads<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let work = &work;
    thread::scope(|scope| {
        for items in items.chunks(items.len().div_ceil(THREADS).max(1)) {
            scope.spawn(move || items.iter().for_each(work));
        }
    });
}
