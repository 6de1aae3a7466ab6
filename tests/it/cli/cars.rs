//! Writes and parses CARs without the code of the program, which is under test.

use cid::Cid;
use ipld_core::ipld;
use ipld_core::ipld::Ipld;
use multihash_codetable::{Code, MultihashDigest as _};

pub(super) fn raw(block: &[u8]) -> Cid {
    Cid::new_v1(0x55, Code::Sha2_256.digest(block))
}

pub(super) fn varint(number: u64) -> Vec<u8> {
    unsigned_varint::encode::u64(number, &mut unsigned_varint::encode::u64_buffer()).to_vec()
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [varint(bytes.len() as u64), bytes.to_vec()].concat()
}

pub(super) fn header(roots: &[Cid]) -> Vec<u8> {
    let roots: Vec<Ipld> = roots.iter().map(|root| Ipld::Link(*root)).collect();
    let header = ipld!({ "roots": roots, "version": 1 });
    with_length(&serde_ipld_dagcbor::to_vec(&header).expect("CBOR"))
}

pub(super) fn section(cid: &Cid, block: &[u8]) -> Vec<u8> {
    with_length(&[&cid.to_bytes(), block].concat())
}

/// Returns a CARv1 of raw blocks.
pub(super) fn car(roots: &[Cid], blocks: &[&[u8]]) -> Vec<u8> {
    let sections: Vec<Vec<u8>> = blocks
        .iter()
        .map(|block| section(&raw(block), block))
        .collect();
    [header(roots), sections.concat()].concat()
}

/// Returns a CARv2 header, preceded by the pragma.
pub(super) fn v2_header(data: u64, size: u64, index: u64) -> Vec<u8> {
    let mut bytes = b"\x0a\xa1\x67version\x02".to_vec();
    bytes.extend([0; 16]);
    for number in [data, size, index] {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

/// Returns a CARv2 with this CARv1 and index. Each is preceded by `padding` bytes.
pub(super) fn v2(v1: &[u8], padding: usize, index: &[u8]) -> Vec<u8> {
    let data = (51 + padding) as u64;
    let size = v1.len() as u64;
    let at = if index.is_empty() {
        0
    } else {
        data + size + padding as u64
    };
    let mut bytes = v2_header(data, size, at);
    bytes.extend(vec![0; padding]);
    bytes.extend(v1);
    if !index.is_empty() {
        bytes.extend(vec![0; padding]);
        bytes.extend(index);
    }
    bytes
}

/// Parses the roots and the blocks of a CARv1.
pub(super) fn parse(mut bytes: &[u8]) -> (Vec<Cid>, Vec<(Cid, Vec<u8>)>) {
    let header: Ipld = serde_ipld_dagcbor::from_slice(take(&mut bytes)).expect("a header");
    let Ok(Some(Ipld::List(roots))) = header.take("roots") else {
        panic!("a header without roots");
    };
    let link = |root| match root {
        Ipld::Link(cid) => cid,
        other => panic!("a root {other:?}"),
    };
    let mut blocks = Vec::new();
    while !bytes.is_empty() {
        let mut section = take(&mut bytes);
        let cid = Cid::read_bytes(&mut section).expect("a CID");
        blocks.push((cid, section.to_vec()));
    }
    (roots.into_iter().map(link).collect(), blocks)
}

/// Returns the offsets of the header, of the sections and of the end of a CARv1.
pub(super) fn boundaries(whole: &[u8]) -> Vec<usize> {
    let mut rest = whole;
    let mut found = vec![0];
    while !rest.is_empty() {
        take(&mut rest);
        found.push(whole.len() - rest.len());
    }
    found
}

fn take<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let (len, rest) = unsigned_varint::decode::usize(bytes).expect("a length");
    let (part, rest) = rest.split_at(len);
    *bytes = rest;
    part
}
