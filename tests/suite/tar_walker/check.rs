//! What must hold for any bytes whatever. The fuzz target and the replayed bad inputs share it.

use shalefs::layer::entries::{Reader, WarningReader, WarningWriter, Writer};
use shalefs::layer::{Entry, Kind};
use shalefs::limits::Limits;

use super::walk::{Walk, walk};

/// Limits that a small input can reach.
const LIMITS: Limits = Limits { entries: 64, extension: 4096, xattrs: 256, ..Limits::DEFAULT };

/// Takes any bytes for an archive, and for the sections of a table.
pub fn check(bytes: &[u8]) {
    let whole = walk(bytes, LIMITS, [bytes.len()]);
    let first = usize::from(bytes.first().copied().unwrap_or_default());
    for lengths in [[1, 511], [first + 1, 700], [512, 7]] {
        let pieces = walk(bytes, LIMITS, lengths);
        assert!(pieces == whole, "pieces of {lengths:?}: {pieces:?}\nwhole: {whole:?}");
    }
    assert!(whole.entries.len() <= 64);
    for entry in &whole.entries {
        check_entry(bytes, entry);
    }
    if let Err(error) = &whole.result {
        assert!(!error.to_string().contains(['\n', '\x1b']), "{error}");
    }
    check_codec(&whole);
    Reader::new(bytes).for_each(drop);
    WarningReader::new(bytes).for_each(drop);
}

fn check_entry(bytes: &[u8], entry: &Entry) {
    let clean = |component: &[u8]| {
        !matches!(component, b"" | b"." | b"..")
            && component.len() <= 255
            && !component.contains(&0)
    };
    let is_clean = |path: &[u8]| {
        path.is_empty() || path.len() <= 4095 && path.split(|byte| *byte == b'/').all(clean)
    };
    assert!(is_clean(&entry.path), "{entry:?}");
    assert!(entry.kind != Kind::HardLink || is_clean(&entry.link), "{entry:?}");
    assert!(entry.link.len() <= 4095 && entry.mode <= 0o7777, "{entry:?}");
    assert!(entry.mtime.nanos < 1_000_000_000, "{entry:?}");
    assert!(entry.xattrs.is_sorted_by(|left, right| left.0 < right.0), "{entry:?}");
    if entry.kind != Kind::File {
        assert_eq!((entry.size, entry.data_offset, &entry.sparse), (0, 0, &None));
        return;
    }
    let stored = entry.data_offset..entry.data_offset + entry.stored();
    let range = usize::try_from(stored.start).unwrap()..usize::try_from(stored.end).unwrap();
    let data = bytes.get(range).expect("an entry comes out after its bytes have passed");
    let Some(runs) = &entry.sparse else {
        assert_eq!(&entry.content.0, blake3::hash(data).as_bytes());
        return;
    };
    let mut end = None;
    for run in runs {
        assert!(run.length > 0 && end.is_none_or(|end| run.offset > end), "{entry:?}");
        end = Some(run.offset + run.length);
    }
    assert!(end.unwrap_or_default() <= entry.size && entry.stored() < entry.size, "{entry:?}");
}

/// What a walk found comes back from the TOC's sections.
fn check_codec(walk: &Walk) {
    let mut writer = Writer::new(Vec::new());
    walk.entries.iter().for_each(|entry| writer.push(entry).unwrap());
    let (section, summary) = writer.finish().unwrap();
    let entries: Result<Vec<_>, _> = Reader::new(&section[..]).collect();
    assert_eq!(entries.unwrap(), walk.entries);
    assert_eq!(summary.entries, walk.entries.len() as u64);
    let mut writer = WarningWriter::new(Vec::new());
    walk.warnings.iter().for_each(|warning| writer.push(warning).unwrap());
    let (section, _) = writer.finish().unwrap();
    let warnings: Result<Vec<_>, _> = WarningReader::new(&section[..]).collect();
    assert_eq!(warnings.unwrap(), walk.warnings);
}

/// Puts the right checksum into what looks like a header, so that damage gets past it.
pub fn mend_checksums(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512) {
        let looks_like_one = block[154] == 0 && block[155] == b' ' && block[148..154].is_ascii();
        if looks_like_one {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}
