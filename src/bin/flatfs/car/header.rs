//! The headers of both versions of CAR.

use serde::{Deserialize, Serialize};
use serde_ipld_dagcbor::DecodeError;

use super::CarCid;
use super::error::Fault;
use crate::text::quote;

/// The length of the first part of a CARv2: a header of the same form as in version 1, with the version 2.
const PRAGMA_LEN: u64 = 11;

/// The length of the fixed header after the pragma.
pub(super) const V2_LEN: u64 = 40;

/// The CBOR header. The header of a CARv2 has no roots.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) roots: Option<Vec<CarCid>>,
    pub(super) version: u64,
}

impl Header {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        serde_ipld_dagcbor::from_slice(bytes).map_err(|error| {
            Fault::Header(match error {
                DecodeError::Msg(reason) => quote(reason),
                _ => "it is not CBOR of the expected form".to_owned(),
            })
        })
    }
}

/// The fixed header of a CARv2, which says where its parts are. The characteristics in it don't matter to
/// a reader that reads the data in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct V2 {
    /// Where the CARv1 inside begins.
    pub(super) data: u64,
    /// Where it ends.
    pub(super) data_end: u64,
    /// Where the index begins, if there is one.
    pub(super) index: Option<u64>,
}

impl V2 {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let (data, size, index) = numbers(bytes).ok_or(Fault::V2("it is too short"))?;
        if size == 0 {
            return Err(Fault::V2("it has no data: the file may be unfinished"));
        }
        if data < PRAGMA_LEN + V2_LEN {
            return Err(Fault::V2("its data begins within the header"));
        }
        let data_end = data
            .checked_add(size)
            .ok_or(Fault::V2("its data ends beyond the largest file size"))?;
        if index != 0 && index < data_end {
            return Err(Fault::V2("its index begins within the data"));
        }
        Ok(V2 {
            data,
            data_end,
            index: (index != 0).then_some(index),
        })
    }
}

/// Returns data offset, data size and index offset, which are little-endian and follow 16 bytes of
/// characteristics.
fn numbers(bytes: &[u8]) -> Option<(u64, u64, u64)> {
    let (_, rest) = bytes.split_first_chunk::<16>()?;
    let (data, rest) = rest.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let (index, _) = rest.split_first_chunk()?;
    Some((
        u64::from_le_bytes(*data),
        u64::from_le_bytes(*size),
        u64::from_le_bytes(*index),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(data: u64, size: u64, index: u64) -> Result<V2, Fault> {
        let mut bytes = vec![0; 16];
        for number in [data, size, index] {
            bytes.extend(number.to_le_bytes());
        }
        V2::decode(&bytes)
    }

    #[test]
    fn a_v2_header_says_where_data_and_index_are() {
        let found = decode(51, 100, 0).unwrap();
        assert_eq!((found.data, found.data_end, found.index), (51, 151, None));
        assert_eq!(decode(60, 100, 160).unwrap().index, Some(160));
    }

    #[test]
    fn a_v2_header_whose_offsets_contradict_each_other_is_refused() {
        for (data, size, index) in [
            (51, 0, 0),
            (50, 100, 0),
            (0, 100, 0),
            (51, u64::MAX, 0),
            (u64::MAX, 1, 0),
            (51, 100, 150),
            (51, 100, 1),
        ] {
            let found = decode(data, size, index);
            assert!(
                matches!(found, Err(Fault::V2(_))),
                "{data} {size} {index}: {found:?}"
            );
        }
        assert!(V2::decode(&[0; 39]).is_err());
    }

    #[test]
    fn a_header_with_missing_or_unknown_fields_is_refused() {
        let text = |json: serde_json::Value| serde_ipld_dagcbor::to_vec(&json).unwrap();
        assert!(Header::decode(&text(serde_json::json!({"version": 2}))).is_ok());
        for bad in [
            serde_json::json!({"roots": []}),
            serde_json::json!({"version": 1, "roots": [], "more": 1}),
            serde_json::json!({"version": 1, "roots": ["x"]}),
            serde_json::json!({"version": "1", "roots": []}),
            serde_json::json!([1]),
        ] {
            assert!(Header::decode(&text(bad.clone())).is_err(), "{bad}");
        }
    }
}
