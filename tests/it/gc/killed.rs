//! Collections that are killed lose nothing that is reachable, and the next one removes the rest.

use std::path::Path;
use std::thread;
use std::time::Duration;

use ds_flatfs::dag::Inspect;
use ds_flatfs::maintenance::Gc;
use ds_flatfs::{Durability, FlatFs};

use super::{keys, keys_of, roots};
use crate::child::{self, Child};
use crate::dags::{DAG_CBOR, Node, leaf, node, put_all};
use crate::platform::repetitions;
use crate::support::Home;

const KILLS: u32 = repetitions(50);
/// Several times as many as are removed at a time.
const GARBAGE: u64 = 400;

/// Returns a DAG, its root last.
fn dag() -> Vec<Node> {
    let mut nodes: Vec<Node> = (0..40).map(|number| leaf(1_000_000 + number)).collect();
    for number in 0..8 {
        let links: Vec<_> = nodes.iter().map(|node| node.cid).collect();
        nodes.push(node(DAG_CBOR, number, &links));
    }
    nodes
}

#[tokio::test]
async fn a_killed_collection_loses_nothing_and_the_next_one_completes_it() {
    let mut random = fastrand::Rng::with_seed(17);
    let mut interrupted = 0;
    let kept = dag();
    for _ in 0..KILLS {
        let home = Home::new();
        // All blocks are in one directory.
        let options = FlatFs::options().durability(Durability::OnSync);
        let options = options.shard("prefix/1".parse().unwrap());
        let store = options.create(home.store()).await.unwrap();
        put_all(&store, &kept).await;
        let garbage: Vec<Node> = (0..GARBAGE).map(leaf).collect();
        put_all(&store, &garbage).await;
        store.close().await.unwrap();
        let path = home.store().display().to_string();
        let mut child = Child::start("gc::killed::child", &[&path]);
        // Kill the process at any moment between the open and the last removal.
        for _ in 0..random.u64(..GARBAGE) {
            child.next_line();
        }
        thread::sleep(Duration::from_millis(3).mul_f64(random.f64()));
        let said = child.kill();
        interrupted += u32::from(!said.iter().any(|line| line == "done"));

        collect(&home.store(), || ()).await;
        let store = FlatFs::options().open(home.store()).await.unwrap();
        assert_eq!(keys(&store).await, keys_of(&kept));
        let root = kept.last().unwrap();
        let reports = Inspect::new(&store).run(&[root.cid]).await.unwrap();
        assert!(reports[0].is_complete());
        assert_eq!(reports[0].blocks, kept.len() as u64);
        store.close().await.unwrap();
    }
    eprintln!("{KILLS} kills, {interrupted} of them before the collection was done");
    assert!(interrupted > 0, "no kill happened during a collection");
}

async fn collect(store: &Path, report: impl Fn() + Send + 'static) {
    let kept = dag();
    let gc = Gc::new(store).roots(roots(kept.last()));
    let collected = gc.on_garbage(move |_, _| report()).run().await.unwrap();
    assert_eq!(collected.kept, kept.len() as u64);
}

#[test]
#[ignore = "a process that the test above kills"]
fn child() {
    child::run(async |arguments| {
        collect(Path::new(&arguments[0]), || child::send("removed")).await;
        child::send("done");
        // Wait until the process is killed.
        child::receive();
    });
}
