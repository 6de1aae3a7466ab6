use std::error::Error as _;
use std::path::Path;

use super::*;

fn denied() -> Error {
    let source = io::Error::from(io::ErrorKind::PermissionDenied);
    Error::io("read", "/store/SHARDING", source)
}

#[test]
fn an_io_error_names_the_action_and_the_path_and_leaves_the_reason_to_its_source() {
    let error = denied();
    assert_eq!(error.to_string(), "cannot read /store/SHARDING");
    assert_eq!(error.path(), Some(Path::new("/store/SHARDING")));
    assert_eq!(error.source().unwrap().to_string(), "permission denied");
}

#[test]
fn a_full_disk_has_its_own_error_which_is_found_inside_a_failed_batch_too() {
    let full = Error::io("write", "/s/x", io::ErrorKind::StorageFull.into());
    assert!(full.is_full());
    let source = Arc::new(full);
    assert!(Error::BatchFailed { source }.is_full());
    assert!(!denied().is_full());
}

#[test]
fn the_conversion_to_an_io_error_keeps_its_kind() {
    let error = io::Error::from(denied());
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(error.to_string(), "cannot read /store/SHARDING");
}
