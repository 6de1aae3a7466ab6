//! The shard functions return the same directories as those of go-ds-flatfs.

use ds_flatfs::{Error, Shard};
use serde::Deserialize;

use crate::support::assert_clear;

#[derive(Deserialize)]
struct Vectors {
    dirs: Vec<Dir>,
    parse: Vec<Parse>,
}

#[derive(Deserialize)]
struct Dir {
    shard: String,
    key: String,
    dir: String,
}

/// The result of go-ds-flatfs for an identifier.
#[derive(Deserialize)]
struct Parse {
    #[serde(rename = "in")]
    identifier: String,
    #[serde(rename = "out")]
    canonical: String,
    #[serde(rename = "err")]
    error: Option<String>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../fixtures/shards.json")).unwrap()
}

fn has_length_0(identifier: &str) -> bool {
    identifier.ends_with("/0")
}

#[test]
fn every_key_has_the_same_directory_as_in_go_ds_flatfs() {
    let with_a_length = |case: &&Dir| !has_length_0(&case.shard);
    let dirs = vectors().dirs;
    let cases: Vec<_> = dirs.iter().filter(with_a_length).collect();
    assert_eq!(cases.len(), 255);
    for Dir { shard, key, dir } in cases {
        let function = Shard::from_identifier(shard).unwrap();
        assert_eq!(function.to_string(), *shard);
        assert_eq!(function.dir(key), *dir, "{shard} of {key}");
    }
}

#[test]
fn a_length_of_0_is_refused_although_go_ds_flatfs_puts_blocks_into_the_root() {
    let dirs = vectors().dirs;
    let cases: Vec<_> = dirs.iter().filter(|case| case.dir.is_empty()).collect();
    assert_eq!(cases.len(), 51);
    for case in cases {
        assert!(has_length_0(&case.shard));
        let error = Shard::from_identifier(&case.shard).unwrap_err();
        assert!(matches!(error, Error::InvalidShard { .. }), "{error}");
        assert_clear(&error, case.shard.rsplit("v1/").next().unwrap());
    }
}

#[test]
fn an_identifier_is_parsed_or_refused_as_in_go_ds_flatfs() {
    let cases = vectors().parse;
    assert_eq!(cases.len(), 19);
    for case in cases {
        let found = Shard::from_identifier(&case.identifier);
        if case.error.is_none() && !has_length_0(&case.identifier) {
            assert_eq!(found.unwrap().to_string(), case.canonical);
        } else {
            let error = found.unwrap_err();
            assert!(matches!(error, Error::InvalidShard { .. }), "{error}");
            assert_clear(&error, case.identifier.trim().rsplit("v1/").next().unwrap());
        }
    }
}
