//! Content: its identity and its place.

use shalefs::limits::Limits;

use super::archive::{Archive, content, walk};

#[test]
fn tar_content_id_is_blake3_of_the_bytes() {
    for length in [0, 1, 511, 512, 513, 1024, 1025, 65_536, 200_001] {
        let data: Vec<u8> = (0..length).map(|place: u32| (place % 251) as u8).collect();
        let archive = Archive::new().file("a", &data).file("b", &data).end();
        for piece in [100, 512, 4096, archive.bytes.len()] {
            let entries = walk(&archive.bytes, Limits::default(), [piece]).ok();
            assert_eq!(entries.len(), 2);
            for entry in entries {
                assert_eq!(&entry.content.0, blake3::hash(&data).as_bytes(), "{length} {piece}");
            }
        }
    }
}

#[test]
fn tar_data_offset_is_where_the_bytes_are() {
    let archive = Archive::new()
        .file("a", b"first")
        .pax(&[("mtime", b"1.5")])
        .extension(b'L', b"long name\0")
        .file("b", b"second")
        .file("empty", b"")
        .end();
    let entries = archive.walk().ok();
    assert_eq!(content(&archive.bytes, &entries[0]), b"first");
    assert_eq!(content(&archive.bytes, &entries[1]), b"second");
    assert_eq!(
        entries.iter().map(|entry| entry.data_offset).collect::<Vec<_>>(),
        [512, 3584, 4608]
    );
}

#[test]
fn tar_entries_come_out_when_their_last_byte_has_passed() {
    let archive = Archive::new().file("a", b"data").file("b", b"");
    assert_eq!(walk(&archive.bytes[..515], Limits::default(), [600]).entries.len(), 0);
    assert_eq!(walk(&archive.bytes[..516], Limits::default(), [600]).entries.len(), 1);
    assert_eq!(walk(&archive.bytes[..1536], Limits::default(), [600]).entries.len(), 2);
}
