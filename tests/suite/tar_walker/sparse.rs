//! Sparse files: all four forms, what they have in common, and what is wrong with a map.

use shalefs::layer::tar::Fault;
use shalefs::layer::{Entry, Extent};

use super::archive::{Archive, Header, Style, Walk, content};

/// Every form of one file.
const FORMS: [&str; 4] = ["GNU", "0.0", "0.1", "1.0"];

/// A file in one of the forms, with the file `next` after it.
pub fn sparse_file(form: &str, size: u64, runs: &[(u64, u64)], stored: &[u8]) -> Archive {
    let map: Vec<String> = runs.iter().flat_map(|(o, l)| [o.to_string(), l.to_string()]).collect();
    let count = runs.len().to_string();
    let size_text = size.to_string();
    let header = |length: usize| Header::new(Style::Ustar, "name", b'0').size(length as u64);
    let archive = match form {
        "GNU" => old_gnu(size, runs, stored),
        "0.0" => {
            let mut records: Vec<(&str, &[u8])> = vec![
                ("GNU.sparse.size", size_text.as_bytes()),
                ("GNU.sparse.numblocks", count.as_bytes()),
            ];
            for pair in map.chunks(2) {
                records.push(("GNU.sparse.offset", pair[0].as_bytes()));
                records.push(("GNU.sparse.numbytes", pair[1].as_bytes()));
            }
            Archive::new().pax(&records).member(&header(stored.len()), stored)
        }
        "0.1" => {
            let map = map.join(",");
            let records: [(&str, &[u8]); 4] = [
                ("GNU.sparse.name", b"name"),
                ("GNU.sparse.size", size_text.as_bytes()),
                ("GNU.sparse.numblocks", count.as_bytes()),
                ("GNU.sparse.map", map.as_bytes()),
            ];
            Archive::new().pax(&records).member(&header(stored.len()), stored)
        }
        _ => {
            let mut data = format!("{count}\n{}", map.join("\n")).into_bytes();
            data.push(b'\n');
            data.resize(data.len().next_multiple_of(512), 0);
            data.extend_from_slice(stored);
            let records: [(&str, &[u8]); 4] = [
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.name", b"name"),
                ("GNU.sparse.realsize", size_text.as_bytes()),
            ];
            let header = Header::new(Style::Ustar, "GNUSparseFile.0/name", b'0');
            Archive::new().pax(&records).member(&header.size(data.len() as u64), &data)
        }
    };
    archive.file("next", b"data").end()
}

fn old_gnu(size: u64, runs: &[(u64, u64)], stored: &[u8]) -> Archive {
    let field = |(offset, length): &(u64, u64)| format!("{offset:011o}\0{length:011o}\0");
    let head = runs.len().min(4);
    let more = runs[head..].chunks(21);
    let mut header = Header::new(Style::Gnu, "name", b'S').size(stored.len() as u64);
    header.set(386, runs[..head].iter().map(field).collect::<String>().as_bytes());
    header.set(482, &[u8::from(more.len() > 0)]);
    header.set(483, format!("{size:011o}\0").as_bytes());
    let mut archive = Archive::new().raw(&header.block());
    let blocks = more.len();
    for (place, runs) in more.enumerate() {
        let mut block = [0; 512];
        let text: String = runs.iter().map(field).collect();
        block[..text.len()].copy_from_slice(text.as_bytes());
        block[504] = u8::from(place + 1 < blocks);
        archive = archive.raw(&block);
    }
    archive.raw(stored).raw(&vec![0; stored.len().wrapping_neg() % 512])
}

fn walked(form: &str, size: u64, runs: &[(u64, u64)], stored: &[u8]) -> Walk {
    sparse_file(form, size, runs, stored).walk()
}

fn first(walk: Walk, form: &str) -> Entry {
    let entries = walk.ok();
    assert_eq!(entries.len(), 2, "{form}: what follows is found");
    assert_eq!(entries[1].path, b"next", "{form}");
    entries.into_iter().next().unwrap()
}

#[test]
fn tar_sparse_all_four_forms_are_one_file() {
    let runs = [(512, 5), (2048, 512), (9000, 3)];
    let stored = [&b"first"[..], &[b'm'; 512], b"end"].concat();
    let mut expected = vec![0; 10_000];
    expected[512..517].copy_from_slice(b"first");
    expected[2048..2560].fill(b'm');
    expected[9000..9003].copy_from_slice(b"end");
    let mut contents = Vec::new();
    for form in FORMS {
        let archive = sparse_file(form, 10_000, &runs, &stored);
        let entry = first(archive.walk(), form);
        assert_eq!(
            (entry.path.as_slice(), entry.size, entry.stored()),
            (&b"name"[..], 10_000, 520)
        );
        let extents = runs.map(|(offset, length)| Extent { offset, length });
        assert_eq!(entry.sparse.as_deref(), Some(&extents[..]), "{form}");
        assert!(content(&archive.bytes, &entry) == expected, "{form}");
        contents.push(entry.content);
    }
    contents.dedup();
    assert_eq!(contents.len(), 1, "one map and one content make one identity");
}

#[test]
fn tar_sparse_maps_may_be_long() {
    let runs: Vec<(u64, u64)> = (0..500).map(|run| (run * 1000, run % 7 + 1)).collect();
    let stored: Vec<u8> =
        runs.iter().flat_map(|(o, l)| vec![(o / 1000) as u8; *l as usize]).collect();
    for form in FORMS {
        let archive = sparse_file(form, 1 << 32, &runs, &stored);
        let entry = first(archive.walk(), form);
        assert_eq!(
            (entry.size, entry.sparse.map(|runs| runs.len())),
            (1 << 32, Some(500)),
            "{form}"
        );
    }
}

#[test]
fn tar_sparse_touching_runs_melt_and_empty_runs_vanish() {
    for form in FORMS {
        let runs = [(0, 0), (10, 2), (12, 3), (20, 0), (30, 1), (100, 0)];
        let entry = first(walked(form, 100, &runs, b"abcdef"), form);
        let extents = [Extent { offset: 10, length: 5 }, Extent { offset: 30, length: 1 }];
        assert_eq!(entry.sparse.as_deref(), Some(&extents[..]), "{form}");
    }
}

#[test]
fn tar_sparse_file_may_be_one_hole() {
    for form in FORMS {
        for runs in [&[][..], &[(70_000, 0)]] {
            // The forms 0.0 and 0.1 cannot say "no runs": there is no such record to tell by.
            if runs.is_empty() && form.starts_with('0') {
                continue;
            }
            let entry = first(walked(form, 70_000, runs, b""), form);
            assert_eq!((entry.size, entry.sparse), (70_000, Some(vec![])), "{form}");
        }
    }
}

#[test]
fn tar_sparse_map_without_a_hole_is_a_plain_file() {
    for form in FORMS {
        let entry = first(walked(form, 6, &[(0, 2), (2, 4)], b"abcdef"), form);
        assert_eq!((entry.size, entry.sparse), (6, None), "{form}");
        assert_eq!(&entry.content.0, blake3::hash(b"abcdef").as_bytes(), "{form}");
        let entry = first(walked(form, 0, &[(0, 0)], b""), form);
        assert_eq!((entry.size, entry.sparse), (0, None), "{form}");
    }
}

#[test]
fn tar_sparse_content_differs_from_plain_content() {
    let id = |size, runs: &[(u64, u64)]| first(walked("0.1", size, runs, b"abc"), "0.1").content;
    let plain = blake3::hash(b"abc");
    let base = id(10, &[(0, 3)]);
    assert_ne!(&base.0, plain.as_bytes());
    assert_ne!(base, id(11, &[(0, 3)]), "the size counts");
    assert_ne!(base, id(10, &[(1, 3)]), "the place counts");
    assert_ne!(base, id(10, &[(0, 1), (5, 2)]), "the shape counts");
    assert_eq!(base, id(10, &[(0, 1), (1, 2)]), "the spelling does not");
}

#[test]
fn tar_sparse_bad_maps_are_errors() {
    for form in FORMS {
        for (runs, stored) in [
            (&[(8, 3)][..], 3),     // beyond the end
            (&[(5, 1), (0, 1)], 2), // out of order
            (&[(0, 3), (2, 1)], 4), // overlapping
            (&[(0, 3)], 2),         // more than is stored
            (&[(0, 3)], 4),         // less than is stored
        ] {
            let fault = walked(form, 10, runs, &vec![b'x'; stored]).fault();
            assert!(matches!(fault, Fault::Sparse(_)), "{form} {runs:?}: {fault:?}");
        }
    }
}

#[test]
fn tar_sparse_bad_records_are_errors() {
    let size: (&str, &[u8]) = ("GNU.sparse.size", b"10");
    let blocks: (&str, &[u8]) = ("GNU.sparse.numblocks", b"1");
    let cases: [&[(&str, &[u8])]; 8] = [
        &[size, ("GNU.sparse.map", b"0,3")],
        &[size, blocks, ("GNU.sparse.map", b"0")],
        &[size, blocks, ("GNU.sparse.map", b"0,3,5,0")],
        &[size, blocks, ("GNU.sparse.map", b"0,x")],
        &[size, blocks, ("GNU.sparse.offset", b"0"), ("GNU.sparse.offset", b"0")],
        &[size, blocks, ("GNU.sparse.numbytes", b"3")],
        &[size, blocks, ("GNU.sparse.offset", b"0")],
        &[("GNU.sparse.size", b"-1"), blocks, ("GNU.sparse.map", b"0,3")],
    ];
    for records in cases {
        let archive = Archive::new().pax(records).file("name", b"abc");
        let fault = archive.walk().fault();
        let expected =
            matches!(fault, Fault::Sparse(_) | Fault::Number { .. } | Fault::Range { .. });
        assert!(expected, "{records:?}: {fault:?}");
    }
}

#[test]
fn tar_sparse_bad_text_maps_are_errors() {
    let records: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"10")];
    for map in [&b"x\n"[..], b"-1\n", b"\n", b"1\n0\nx\n", b"1\n0x0\n1\n", &[b'1'; 512]] {
        let mut data = map.to_vec();
        data.resize(512, 0);
        let archive = Archive::new().pax(&records).file("name", &data);
        assert!(archive.walk().result.is_err(), "{map:?}");
    }
    let archive = Archive::new().pax(&records).file("name", b"1\n0\n");
    assert!(matches!(archive.walk().fault(), Fault::Sparse(_)), "a map is whole blocks of data");
}

#[test]
fn tar_sparse_truncated_map_is_an_error() {
    for form in ["GNU", "1.0"] {
        let runs: Vec<(u64, u64)> = (0..100).map(|run| (run * 1000, 1)).collect();
        let mut archive = sparse_file(form, 1 << 20, &runs, &[b'x'; 100]);
        archive.bytes.truncate(if form == "GNU" { 512 + 512 + 100 } else { 1024 + 512 + 100 });
        let error = archive.walk().result.unwrap_err();
        assert_eq!(
            (error.fault, error.path.as_slice()),
            (Fault::Truncated, &b"name"[..]),
            "{form}"
        );
    }
}

#[test]
fn tar_sparse_is_for_files_only() {
    let records: [(&str, &[u8]); 3] =
        [("GNU.sparse.size", b"10"), ("GNU.sparse.numblocks", b"1"), ("GNU.sparse.map", b"0,0")];
    let directory = Header::new(Style::Ustar, "name", b'5');
    let fault = Archive::new().pax(&records).member(&directory, b"").walk().fault();
    assert!(matches!(fault, Fault::Sparse(_)));
    let star = Header::new(Style::Ustar, "name", b'S');
    let fault = Archive::new().member(&star, b"").walk().fault();
    assert!(matches!(fault, Fault::Sparse(_)), "type S is GNU's only in GNU archives");
}

#[test]
fn tar_sparse_unknown_version_is_a_plain_file() {
    let records: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"2"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.name", b"other")];
    let entry = Archive::new().pax(&records).file("name", b"abc").walk().one();
    assert_eq!((entry.path.as_slice(), entry.size, entry.sparse), (&b"name"[..], 3, None));
}

#[test]
fn tar_sparse_name_holds_no_nul() {
    let records: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.name", b"a\0b")];
    let mut data = b"0\n".to_vec();
    data.resize(512, 0);
    let archive = Archive::new().pax(&records).file("name", &data);
    assert_eq!(archive.walk().fault(), Fault::NulInName);
}
