//! Properties of the public types: traits that they implement, and how they are serialized.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use ds_flatfs::maintenance::{Move, Moved, Progress, Reshard, Resharded, SkipReason, Skipped};
use ds_flatfs::query::{Compare, Filter, Needs, Order};
use ds_flatfs::wrappers::{AutoBatch, Mount, MountBuilder, Namespace};
use ds_flatfs::{
    Accuracy, Batch, Datastore, DiskUsage, Durability, Entry, EntryStream, Error, ExistingBlock,
    FlatBatch, FlatFs, Key, MemoryDatastore, Options, Query, Shard,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn assert_shareable<T: Send + Sync + Debug + ?Sized>() {}
fn assert_send<T: Send + ?Sized>() {}
fn handle<T: Clone + Send + Sync + Debug + 'static>() {}
fn value<T: Clone + Eq + Send + Sync + Debug + 'static>() {}
fn map_key<T: Clone + Eq + Hash + Send + Sync + Debug + 'static>() {}
fn datastore<T: Datastore>() {}
fn batch<T: Batch>() {}
fn stored<T: Serialize + DeserializeOwned>() {}

#[test]
fn stores_batches_and_queries_can_be_sent_to_other_threads() {
    assert_shareable::<dyn Datastore>();
    assert_shareable::<dyn Batch>();
    assert_shareable::<FlatBatch>();
    assert_send::<EntryStream>();
    assert_send::<Move>();
    assert_send::<Reshard>();
    handle::<FlatFs>();
    handle::<MemoryDatastore>();
    handle::<Mount>();
    handle::<MountBuilder>();
    handle::<Namespace>();
    handle::<AutoBatch>();
    handle::<Options>();
    handle::<Query>();
    handle::<Filter>();
    handle::<Order>();
}

#[test]
fn pointers_to_datastores_are_datastores() {
    datastore::<Arc<dyn Datastore>>();
    datastore::<Box<dyn Datastore>>();
    datastore::<Arc<FlatFs>>();
    batch::<Box<dyn Batch>>();
}

#[cfg(feature = "dag")]
#[test]
fn walks_over_dags_can_be_sent_to_other_threads() {
    assert_send::<ds_flatfs::dag::DagWalk<'static>>();
    assert_send::<ds_flatfs::dag::Inspect<'static>>();
    assert_send::<ds_flatfs::dag::DagReport>();
    assert_send::<ds_flatfs::maintenance::Gc>();
    assert_send::<ds_flatfs::maintenance::Collected>();
    fn spawnable(_: impl Future + Send + 'static) {}
    spawnable(ds_flatfs::maintenance::Gc::new("store").run());
    spawnable(async {
        let store = MemoryDatastore::new();
        ds_flatfs::dag::Inspect::new(&store).run(&[]).await
    });
    map_key::<ds_flatfs::dag::UnknownCodec>();
}

#[cfg(feature = "verify")]
#[test]
fn verifications_can_be_sent_to_other_threads() {
    use ds_flatfs::maintenance::{Finding, Findings, Repair, Summary, Verify};
    use ds_flatfs::wrappers::Verifying;

    assert_send::<Verify>();
    assert_send::<Repair>();
    assert_send::<Findings>();
    handle::<Verifying>();
    handle::<Finding>();
    value::<Summary>();
}

#[cfg(feature = "blockstore")]
#[test]
fn a_blockstore_can_be_cloned_and_shared() {
    use ds_flatfs::blockstore::DatastoreBlockstore;

    handle::<DatastoreBlockstore<FlatFs>>();
    handle::<DatastoreBlockstore<dyn Datastore>>();
}

#[test]
fn an_error_can_be_sent_and_boxed() {
    fn boxed(error: Error) -> Box<dyn StdError + Send + Sync + 'static> {
        error.into()
    }
    assert!(boxed(Error::Closed).downcast::<Error>().is_ok());
}

#[test]
fn values_can_be_compared_and_used_as_map_keys() {
    value::<Entry>();
    value::<Skipped>();
    value::<Moved>();
    value::<Progress>();
    value::<Resharded>();
    value::<Needs>();
    map_key::<Key>();
    map_key::<Shard>();
    map_key::<Accuracy>();
    map_key::<DiskUsage>();
    map_key::<Durability>();
    map_key::<ExistingBlock>();
    map_key::<Compare>();
    map_key::<SkipReason>();
}

#[test]
fn configuration_values_survive_serialization() {
    fn round_trips<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, json: &str) {
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
        assert_eq!(serde_json::from_str::<T>(json).unwrap(), value);
    }
    stored::<DiskUsage>();
    round_trips(Key::new("CIQONE"), r#""/CIQONE""#);
    round_trips(
        Shard::default(),
        r#""/repo/flatfs/shard/v1/next-to-last/2""#,
    );
    round_trips(Durability::EveryWrite, r#""every-write""#);
    round_trips(Durability::Commits, r#""commits""#);
    round_trips(Durability::OnSync, r#""on-sync""#);
    round_trips(ExistingBlock::Overwrite, r#""overwrite""#);
    round_trips(ExistingBlock::Keep, r#""keep""#);
    round_trips(
        DiskUsage::new(7, Accuracy::Exact),
        r#"{"bytes":7,"accuracy":"initial-exact"}"#,
    );
}

#[test]
fn an_accuracy_has_the_same_name_for_display_and_serde() {
    for accuracy in [
        Accuracy::Exact,
        Accuracy::Approximate,
        Accuracy::TimedOut,
        Accuracy::Unknown,
    ] {
        let json = serde_json::to_value(accuracy).unwrap();
        assert_eq!(json, accuracy.as_str());
        assert_eq!(accuracy.as_str().parse::<Accuracy>().unwrap(), accuracy);
    }
    assert_eq!(
        serde_json::from_str::<Accuracy>(r#""""#).unwrap(),
        Accuracy::Unknown
    );
}

#[test]
fn deserialized_text_is_validated() {
    let key: Key = serde_json::from_str(r#""a/../CIQONE/""#).unwrap();
    assert_eq!(key, Key::new("/CIQONE"));
    let shard: Shard = serde_json::from_str(r#""prefix/3""#).unwrap();
    assert_eq!(shard, Shard::prefix(3).unwrap());
    let error = serde_json::from_str::<Shard>(r#""prefix/0""#).unwrap_err();
    assert!(error.to_string().contains("between 1 and 255"), "{error}");
}
