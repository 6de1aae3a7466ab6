//! CARs that an import refuses without a change of the store.

use std::fs;

use super::cars::{boundaries, car, header, raw, section, v2, v2_header};
use super::{TestDir, files, fixture, run, run_with_input};
use crate::platform::EVERY;

/// Asserts that the CAR is refused with one line with its name, an offset and all of these parts, and that
/// the store does not change.
#[track_caller]
fn refused(tmp: &TestDir, bytes: &[u8], parts: &[&str]) {
    let store = tmp.store();
    let before = files(&store);
    let file = tmp.file("bad.car", bytes);
    let done = run(&["import", &store, &file]);
    done.failed(3, &[&["none of", &file, "at byte "], parts].concat());
    assert_eq!(done.stdout, b"");
    assert_eq!(files(&store), before);
}

fn dir_with_blocks() -> TestDir {
    let tmp = TestDir::new();
    let other = tmp.file("other.car", &car(&[], &[b"other"]));
    super::succeed(&["import", &tmp.store(), &other]);
    tmp
}

#[test]
fn a_car_that_is_cut_anywhere_is_refused() {
    let whole = fs::read(fixture("hello.car")).unwrap();
    // After the header it is a complete CAR, without blocks.
    let header_end = boundaries(&whole)[1];
    let tmp = dir_with_blocks();
    refused(&tmp, &[], &["empty"]);
    for end in (1..whole.len()).step_by(EVERY) {
        if end == header_end {
            continue;
        }
        let part = if end < header_end {
            "byte 0:"
        } else {
            "byte 59:"
        };
        refused(&tmp, &whole[..end], &[part, "cut short"]);
    }
}

#[test]
fn a_larger_car_that_is_cut_around_a_section_is_refused() {
    let whole = fs::read(fixture("small.car")).unwrap();
    let tmp = dir_with_blocks();
    for boundary in boundaries(&whole).into_iter().skip(1).step_by(10) {
        for end in [boundary + 1, boundary + 2, boundary + 20, boundary + 5000] {
            if end < whole.len() {
                let at = format!("at byte {boundary}:");
                refused(&tmp, &whole[..end], &[&at, "cut short"]);
            }
        }
    }
    refused(&tmp, &whole[..whole.len() - 1], &["cut short"]);
}

#[test]
fn a_cut_car_is_refused_from_standard_input_too() {
    let whole = fs::read(fixture("small.car")).unwrap();
    let tmp = dir_with_blocks();
    let before = files(&tmp.store());
    let done = run_with_input(&["import", &tmp.store(), "-"], &whole[..500_000]);
    done.failed(3, &["standard input", "at byte ", "cut short"]);
    assert_eq!(files(&tmp.store()), before);
}

#[test]
fn a_block_without_the_hash_of_its_cid_is_refused() {
    let tmp = dir_with_blocks();
    let mut whole = fs::read(fixture("small.car")).unwrap();
    let starts = boundaries(&whole);
    for section in [1, 20, starts.len() - 2] {
        let last = starts[section + 1] - 1;
        whole[last] ^= 1;
        let at = format!("at byte {}:", starts[section]);
        refused(&tmp, &whole, &[&at, "hash"]);
        whole[last] ^= 1;
    }
}

#[test]
fn a_file_without_a_car_header_is_refused() {
    let tmp = dir_with_blocks();
    refused(&tmp, b"this is a text and no CAR at all", &["CAR"]);
    refused(&tmp, &[0; 100], &["CAR header"]);
    refused(&tmp, &[0xff; 100], &["varint"]);
    refused(&tmp, &[0x80, 0x80, 0x80, 0x80, 0x10, 1], &["limit"]);
    refused(&tmp, b"\x0a\xa1\x67version\x03", &["version 3"]);
    refused(&tmp, b"\x0a\xa1\x67version\x01", &["no roots"]);
    refused(&tmp, b"\x08\xa1\x65roots\x80", &["version"]);
}

#[test]
fn no_store_is_created_for_a_refused_header() {
    let tmp = TestDir::new();
    let file = tmp.file("bad.car", b"no car");
    run(&["import", &tmp.store(), &file]).failed(3, &["bad.car"]);
    assert!(!fs::exists(tmp.store()).unwrap());
}

#[test]
fn sections_of_length_zero_and_of_absurd_length_are_refused() {
    let tmp = dir_with_blocks();
    let good = car(&[], &[b"a", b"b"]);
    let at = format!("at byte {}:", good.len());
    refused(&tmp, &[&good, &[0][..]].concat(), &[&at, "length zero"]);
    for length in [
        &[0x81, 0x80, 0x80, 0x04][..],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    ] {
        refused(&tmp, &[&good, length].concat(), &[&at, "limit"]);
    }
    for length in [&[0x80, 0x00][..], &[0xff; 12]] {
        refused(&tmp, &[&good, length].concat(), &[&at, "varint"]);
    }
}

#[test]
fn a_section_without_a_valid_cid_is_refused() {
    let tmp = dir_with_blocks();
    let start = header(&[]);
    let whole = section(&raw(b"a"), b"");
    for bytes in [
        // A CID that is cut short, an unknown version, a digest that is too long.
        [&[20], &whole[1..21]].concat(),
        [&[4], &[2, 0x55, 0x12, 0][..]].concat(),
        [&[5], &[1, 0x55, 0x12, 0xff, 0x7f][..]].concat(),
        [&[1], &[1][..]].concat(),
    ] {
        refused(&tmp, &[start.clone(), bytes].concat(), &["CID"]);
    }
}

#[test]
fn bytes_after_the_last_section_are_refused() {
    let tmp = dir_with_blocks();
    let good = car(&[], &[b"a", b"b"]);
    for tail in [&b"x"[..], b"\n", b"trailing bytes", &[0; 8]] {
        let at = format!("at byte {}:", good.len());
        refused(&tmp, &[&good, tail].concat(), &[&at]);
    }
}

#[test]
fn a_carv2_with_impossible_offsets_is_refused() {
    let tmp = dir_with_blocks();
    let v1 = car(&[], &[b"a", b"b"]);
    let size = v1.len() as u64;
    for (data, size, index) in [
        (0, size, 0),
        (50, size, 0),
        (51, 0, 0),
        (51, u64::MAX, 0),
        (u64::MAX, size, 0),
        (51, size, 60),
    ] {
        let bytes = [v2_header(data, size, index), v1.clone()].concat();
        refused(&tmp, &bytes, &["at byte 11:", "CARv2"]);
    }
    // The header says that the data is longer or shorter than it is.
    for size in [size + 1, size - 1, size - 40, 1 << 60] {
        let bytes = [v2_header(51, size, 0), v1.clone()].concat();
        refused(&tmp, &bytes, &[]);
    }
    let nested = v2(&v2(&v1, 0, b""), 0, b"");
    refused(&tmp, &nested, &["version 2"]);
    refused(&tmp, &[v2(&v1, 0, b""), vec![1]].concat(), &["no index"]);
}

#[test]
fn a_carv2_that_is_cut_before_its_index_is_refused() {
    let tmp = dir_with_blocks();
    let v1 = car(&[], &[b"a", b"b"]);
    let whole = v2(&v1, 3, b"i");
    for end in (1..whole.len()).step_by(EVERY) {
        let parts = if end == 51 + 3 { "empty" } else { "cut short" };
        refused(&tmp, &whole[..end], &[parts]);
    }
}
