//! Entries and warnings as TOC sections: what goes in comes out, and damage is noticed or harmless.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use shalefs::layer::entries::{EntriesError, Reader, WarningReader, WarningWriter, Writer};
use shalefs::layer::{ContentId, Entry, Extent, Kind, Time, Warning, WarningKind};

use super::archive::Archive;

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    entries.iter().for_each(|entry| writer.push(entry).unwrap());
    writer.finish().unwrap().0
}

fn read(section: &[u8]) -> Result<Vec<Entry>, EntriesError> {
    Reader::new(section).collect()
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Directory),
        Just(Kind::File),
        Just(Kind::Symlink),
        Just(Kind::HardLink),
        Just(Kind::CharDevice),
        Just(Kind::BlockDevice),
        Just(Kind::Fifo),
    ]
}

fn paths() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just("a"), Just("b"), Just(".wh.c"), Just("long name")], 0..5)
        .prop_map(|components| components.join("/").into_bytes())
}

/// Runs in order that fit a size below 2^40.
fn maps() -> impl Strategy<Value = (u64, Option<Vec<Extent>>)> {
    let runs = vec((1_u64..1000, 1_u64..1000), 0..5);
    (0_u64..1 << 39, option::weighted(0.2, runs)).prop_map(|(size, runs)| {
        let mut end = 0;
        let place = |(hole, length)| {
            let offset = end + hole;
            end = offset + length;
            Extent { offset, length }
        };
        let runs: Option<Vec<_>> = runs.map(|runs| runs.into_iter().map(place).collect());
        (size + end, runs)
    })
}

fn entries() -> impl Strategy<Value = Entry> {
    let owner = (0_u16..=0o7777, any::<u32>(), prop_oneof![Just(0), any::<u32>()]);
    let time = (any::<i64>(), 0_u32..1_000_000_000);
    let xattrs =
        proptest::collection::btree_map(vec(any::<u8>(), 1..9), vec(any::<u8>(), 0..9), 0..3);
    let rest = (any::<(u32, u32)>(), 0_u64..1 << 60, any::<[u8; 32]>());
    (paths(), kinds(), owner, time, maps(), paths(), xattrs, rest).prop_map(
        |(path, kind, (mode, uid, gid), (seconds, nanos), (size, sparse), link, xattrs, rest)| {
            let (device, data_offset, content) = rest;
            let is = |kinds: &[Kind]| kinds.contains(&kind);
            let file = is(&[Kind::File]);
            let empty = *blake3::hash(b"").as_bytes();
            let content = if size == 0 && sparse.is_none() { empty } else { content };
            Entry {
                path,
                kind,
                mode,
                uid,
                gid,
                mtime: Time { seconds, nanos },
                size: if file { size } else { 0 },
                link: if is(&[Kind::Symlink, Kind::HardLink]) { link } else { Vec::new() },
                device: if is(&[Kind::CharDevice, Kind::BlockDevice]) { device } else { (0, 0) },
                xattrs: xattrs.into_iter().collect(),
                data_offset: if file { data_offset } else { 0 },
                sparse: sparse.filter(|_| file),
                content: ContentId(if file { content } else { [0; 32] }),
            }
        },
    )
}

proptest! {
    #[test]
    fn entries_come_back_as_they_went(entries in vec(entries(), 0..20)) {
        prop_assert_eq!(read(&written(&entries)).unwrap(), entries);
    }

    #[test]
    fn entries_damaged_anywhere_are_an_error_or_entries(
        entries in vec(entries(), 1..5),
        place in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut section = written(&entries);
        let place = place.index(section.len());
        section[place] = byte;
        for entry in read(&section).unwrap_or_default() {
            prop_assert!(entry.stored() <= entry.size && entry.mtime.nanos < 1_000_000_000);
        }
        section.truncate(place);
        let cut_off = matches!(read(&section), Err(EntriesError::Damaged { .. }));
        prop_assert!(cut_off, "a section that is cut off");
    }
}

#[test]
fn entries_writer_counts_what_the_merge_asks_for() {
    let archive = Archive::new()
        .file("a/.wh.b", b"")
        .file(".wh..wh..opq", b"")
        .file("a.wh.b", b"xyz")
        .file("a/.wh.plnk/x", b"12");
    let mut writer = Writer::new(Vec::new());
    archive.walk().ok().iter().for_each(|entry| writer.push(entry).unwrap());
    let (_, summary) = writer.finish().unwrap();
    assert_eq!((summary.entries, summary.whiteouts, summary.stored), (4, 3, 5));
}

#[test]
fn entries_missing_before_the_end_mark_are_noticed() {
    let all = Archive::new().file("a", b"").file("a", b"").walk().ok();
    let (one, two) = (written(&all[..1]), written(&all));
    // The second record and the end mark of the longer section, without the first.
    let lost = [&two[..0], &two[one.len() - 2..]].concat();
    assert!(read(&lost).is_err());
}

#[test]
fn entries_errors_say_where() {
    let entries = Archive::new().file("a", b"").file("b", b"").walk().ok();
    let section = written(&entries);
    let error = read(&section[..section.len() - 3]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the table of entries is damaged after 1 of them: it ends too early"
    );
}

#[test]
fn entries_take_less_than_50_bytes_each() {
    let mut archive = Archive::new();
    for place in 0..1000 {
        let name = format!("usr/lib/package-{}/module-{place}.so", place / 20);
        archive = archive.file(&name, name.repeat(place % 9 + 1).as_bytes());
    }
    let section = written(&archive.walk().ok());
    assert!(section.len() < 50 * 1000, "{} bytes, 32 an entry are its content", section.len());
}

#[test]
fn warnings_come_back_as_they_went() {
    let kinds = (0..=u8::MAX).filter_map(WarningKind::from_number);
    let warnings: Vec<Warning> =
        kinds.map(|kind| Warning { kind, path: format!("a/{kind:?}").into_bytes() }).collect();
    assert!(warnings.len() >= 11);
    let mut writer = WarningWriter::new(Vec::new());
    warnings.iter().for_each(|warning| writer.push(warning).unwrap());
    let (mut section, count) = writer.finish().unwrap();
    assert_eq!(count, warnings.len() as u64);
    let back: Result<Vec<_>, _> = WarningReader::new(&section[..]).collect();
    assert_eq!(back.unwrap(), warnings);
    section[0] = 200;
    assert!(WarningReader::new(&section[..]).any(|warning| warning.is_err()));
    section.clear();
    assert!(WarningReader::new(&section[..]).any(|warning| warning.is_err()));
}
