//! The conformance suites.

use std::sync::Arc;

use ds_flatfs::conformance::{self, Keys};
use ds_flatfs::{Datastore, MemoryDatastore};

/// Spawned, as a user may: the suites' futures have to be `Send`.
async fn passes(datastore: impl Datastore + 'static, keys: Keys) {
    let datastore: Arc<dyn Datastore> = Arc::new(datastore);
    let run = async move {
        conformance::all(&*datastore, keys).await;
        conformance::closing(&*datastore, keys).await;
    };
    tokio::spawn(run).await.expect("no suite panics");
}

#[tokio::test]
async fn the_memory_datastore_passes_with_any_keys() {
    passes(MemoryDatastore::new(), Keys::Any).await;
}

#[tokio::test]
async fn the_memory_datastore_passes_with_flat_keys() {
    passes(MemoryDatastore::new(), Keys::Flat).await;
}
