//! The table as docs/tree-format.md draws it, read by that page and not by the program's records;
//! and what opening makes of files that are none.

use shalefs::oci::{Algorithm, ChainId, Digest};
use shalefs::tree::{ImageTree, OpenError};

use super::compare::{build, chain, open};
use crate::support::model::Item;
use crate::support::model::item::{dir, empty, file, hard_link, symlink};

pub const HEADER: usize = 184;
pub const ROW: usize = 52;
const CHUNK: usize = 65_536;

fn sample() -> Vec<Vec<Item>> {
    let mut with = file("d/f");
    with.xattrs.insert(b"user.a".to_vec(), b"v".to_vec());
    vec![
        vec![dir(""), dir("d"), with, symlink("l", "d/f"), hard_link("d/g", "d/f"), file("gone")],
        vec![empty(".wh.gone"), file("d/f2"), dir("d/.wh.odd")],
    ]
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Length of the body by the header's counts.
pub fn body_length(bytes: &[u8]) -> usize {
    let lengths = [
        u32_at(bytes, 20) as usize * ROW,
        u32_at(bytes, 140) as usize * 4,
        u32_at(bytes, 88) as usize * 40,
        u32_at(bytes, 92) as usize * 24,
        u64_at(bytes, 96) as usize * 16,
        u64_at(bytes, 104) as usize,
        u64_at(bytes, 112) as usize,
        u64_at(bytes, 120) as usize,
        u64_at(bytes, 128) as usize,
    ];
    lengths.iter().map(|length| length.next_multiple_of(8)).sum()
}

/// Makes all checks of changed bytes right again, as a hostile writer would.
pub fn seal(bytes: &mut [u8]) {
    let body = body_length(bytes);
    let checks: Vec<u8> = bytes[HEADER..HEADER + body]
        .chunks(CHUNK)
        .flat_map(|chunk| blake3::hash(chunk).as_bytes()[..16].to_vec())
        .collect();
    let (head, tail) = bytes.split_at_mut(HEADER + body);
    let seal = blake3::hash(&[&head[..HEADER], &checks].concat());
    tail.copy_from_slice(&[&checks[..], seal.as_bytes()].concat());
}

#[test]
fn table_is_laid_out_as_documented() {
    let bytes = build(&sample()).unwrap();
    assert_eq!(&bytes[..8], b"shaltree");
    assert_eq!((u32_at(&bytes, 8), u32_at(&bytes, 12)), (2, 2), "version, layers");
    assert_eq!(u32_at(&bytes, 16), 1, "sha256");
    assert_eq!(bytes[24..56], *chain().0.as_bytes());
    assert_eq!(u32_at(&bytes, 20), 6, "rows: root, d, l, d/f, d/f2, d/g");
    let mut sealed = bytes.clone();
    seal(&mut sealed);
    assert!(sealed == bytes, "checks and seal");
    let row = |at: usize| &bytes[HEADER + at * ROW..][..ROW];
    let (root, d, f, f2, g) = (row(0), row(1), row(3), row(4), row(5));
    assert_eq!((u64_at(root, 32), u32_at(root, 40)), (2, 1), "two children from row 1 on");
    assert_eq!((u64_at(d, 32), u32_at(d, 40)), (3, 3), "three from row 3 on, parent 0");
    assert_eq!((d[4], u16::from_le_bytes([d[6], d[7]])), (1, 0o040_644));
    assert_eq!((u32_at(f, 28), u64_at(f, 32), u32_at(f, 40)), (2, 5, 0), "links, size, file 0");
    assert_eq!((f2[5], u32_at(f2, 40), f2[48]), (0, 1, 1), "file 1, of layer 1");
    assert_eq!((g[5], u32_at(g, 40)), (2, 3), "another name of row 3");
    let parents = HEADER + (6 * ROW).next_multiple_of(8);
    assert_eq!(u32_at(&bytes, 140), 2, "the root and d");
    assert_eq!((u32_at(&bytes, parents), u32_at(&bytes, parents + 4)), (0, 1));
    let names = parents + 2 * 4 + 2 * 40;
    assert_eq!(&bytes[names..names + 7], b"dlff2g\0");
}

#[test]
fn table_of_equal_layers_is_equal() {
    let mut layers = sample();
    let bytes = build(&layers).unwrap();
    assert!(bytes == build(&layers).unwrap());
    // What is hidden leaves nothing behind but its layer's number.
    layers[0].insert(0, symlink("gone", "a long text that nobody will ever see"));
    layers[1].retain(|item| item.path != b"d/.wh.odd");
    let again = build(&layers).unwrap();
    assert!(!again.windows(6).any(|window| window == b"nobody"));
}

#[test]
fn table_of_another_image_is_refused() {
    let bytes = build(&sample()).unwrap();
    assert!(open(&bytes).is_ok());
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&path, &bytes).unwrap();
    for other in [Digest::sha256(b"other"), Digest::of(Algorithm::Sha512, b"layers")] {
        let error = ImageTree::open(path.reopen().unwrap(), ChainId(other)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("tree table {other} is damaged: the table of another image")
        );
    }
}

#[test]
fn table_of_another_version_is_told_apart() {
    let mut bytes = build(&sample()).unwrap();
    bytes[8] = 1;
    seal(&mut bytes);
    let error = open(&bytes).unwrap_err();
    assert!(matches!(error, OpenError::Version { found: 1, .. }), "{error}");
}

#[test]
fn table_that_is_cut_or_longer_is_refused() {
    let bytes = build(&sample()).unwrap();
    for length in (0..bytes.len()).step_by(7) {
        assert!(open(&bytes[..length]).is_err(), "cut to {length}");
    }
    for more in [1, 8, 16, 65_536] {
        assert!(open(&[&bytes[..], &vec![0; more]].concat()).is_err(), "{more} bytes longer");
    }
}

#[test]
fn table_header_with_impossible_counts_is_refused() {
    let bytes = build(&sample()).unwrap();
    for at in [20, 88, 92, 140, 96, 104, 112, 120, 128] {
        let mut changed = bytes.clone();
        changed[at..at + 4].copy_from_slice(&[0xff; 4]);
        if (96..136).contains(&at) {
            changed[at + 4..at + 8].copy_from_slice(&[0xff; 4]);
        }
        assert!(open(&changed).is_err(), "count at {at}");
    }
    let none = build(&[]).unwrap();
    assert_eq!(open(&none).unwrap().rows(), 1, "the root is always there");
}
