//! What users count on of the public types beside their methods.

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

fn shared_by_threads<T: Send + Sync + Debug + ?Sized>() {}
fn moved_to_threads<T: Send + ?Sized>() {}
fn handle<T: Clone + Send + Sync + Debug + 'static>() {}
fn value<T: Clone + Eq + Send + Sync + Debug + 'static>() {}
fn map_key<T: Clone + Eq + Hash + Send + Sync + Debug + 'static>() {}
fn datastore<T: Datastore>() {}
fn batch<T: Batch>() {}
fn stored<T: Serialize + DeserializeOwned>() {}

#[test]
fn stores_and_their_parts_cross_threads() {
    shared_by_threads::<dyn Datastore>();
    shared_by_threads::<dyn Batch>();
    shared_by_threads::<FlatBatch>();
    moved_to_threads::<EntryStream>();
    moved_to_threads::<Move>();
    moved_to_threads::<Reshard>();
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
fn pointers_are_what_they_lead_to() {
    datastore::<Arc<dyn Datastore>>();
    datastore::<Box<dyn Datastore>>();
    datastore::<Arc<FlatFs>>();
    batch::<Box<dyn Batch>>();
}

#[cfg(feature = "verify")]
#[test]
fn checks_cross_threads() {
    use ds_flatfs::maintenance::verify::{Finding, Findings, Repair, Summary, Verify};
    use ds_flatfs::wrappers::Verifying;

    moved_to_threads::<Verify>();
    moved_to_threads::<Repair>();
    moved_to_threads::<Findings>();
    handle::<Verifying>();
    handle::<Finding>();
    value::<Summary>();
}

#[cfg(feature = "blockstore")]
#[test]
fn a_blockstore_is_a_handle() {
    use ds_flatfs::blockstore::DatastoreBlockstore;

    handle::<DatastoreBlockstore<FlatFs>>();
    handle::<DatastoreBlockstore<dyn Datastore>>();
}

#[test]
fn an_error_crosses_threads_and_fits_where_any_error_does() {
    fn boxed(error: Error) -> Box<dyn StdError + Send + Sync + 'static> {
        error.into()
    }
    assert!(boxed(Error::Closed).downcast::<Error>().is_ok());
}

#[test]
fn values_can_be_compared_and_put_into_maps() {
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
fn what_users_write_into_their_configuration_comes_back_the_same() {
    fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, json: &str) {
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
        assert_eq!(serde_json::from_str::<T>(json).unwrap(), value);
    }
    stored::<DiskUsage>();
    comes_back(Key::new("CIQONE"), r#""/CIQONE""#);
    comes_back(
        Shard::default(),
        r#""/repo/flatfs/shard/v1/next-to-last/2""#,
    );
    comes_back(Durability::EveryWrite, r#""every-write""#);
    comes_back(Durability::Commits, r#""commits""#);
    comes_back(Durability::OnSync, r#""on-sync""#);
    comes_back(ExistingBlock::Overwrite, r#""overwrite""#);
    comes_back(ExistingBlock::Keep, r#""keep""#);
    comes_back(
        DiskUsage::new(7, Accuracy::Exact),
        r#"{"bytes":7,"accuracy":"initial-exact"}"#,
    );
}

#[test]
fn the_accuracy_has_one_name_for_people_and_for_serde() {
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
fn text_that_was_stored_by_hand_is_checked_when_it_is_read() {
    let key: Key = serde_json::from_str(r#""a/../CIQONE/""#).unwrap();
    assert_eq!(key, Key::new("/CIQONE"));
    let shard: Shard = serde_json::from_str(r#""prefix/3""#).unwrap();
    assert_eq!(shard, Shard::prefix(3).unwrap());
    let error = serde_json::from_str::<Shard>(r#""prefix/0""#).unwrap_err();
    assert!(error.to_string().contains("between 1 and 255"), "{error}");
}
