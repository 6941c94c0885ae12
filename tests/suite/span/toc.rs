//! The TOC file and the seekable form on disk: damage and lies are typed errors.

#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(missing_docs)]

use crate::support::streams;
use std::sync::Arc;

use crate::support::streams::{Memory, Noise, blob, file, scanned};
use shalefs::layer::resume::SpanDecoder;
use shalefs::layer::seekable::Seekable;
use shalefs::layer::span::{Access, REACH, SPAN_MAX, Span, SpanNo, WindowRef};
use shalefs::layer::toc::{Found, TocWriter};
use shalefs::layer::{Compression, Toc, TocError};
use shalefs::oci::{Algorithm, DiffId, Digest};

const MIB: usize = 1 << 20;

#[test]
fn the_header_says_what_was_scanned() {
    let tar = Arc::new(streams::tar(1, 3 * MIB));
    for layout in [0, 1, 10, 14, 16] {
        let blob = blob(layout, &tar);
        let scanned = scanned(&blob);
        let toc = scanned.toc();
        let header = toc.header();
        assert_eq!(header.source, Digest::sha256(&blob.bytes));
        assert_eq!(header.source_size, blob.bytes.len() as u64);
        assert_eq!(header.diff_id, DiffId(Digest::sha256(&tar)));
        assert_eq!(header.unpacked, tar.len() as u64);
        assert_eq!(header.compression, scanned.layer.compression);
        assert_eq!(header.entries, scanned.layer.entries);
        assert_eq!(header.spans, toc.spans().expect("undamaged").len());
        toc.check().expect("undamaged");
    }
}

/// Everything that a mount would use of a TOC and a blob.
fn use_all(toc: &[u8], blob: &Arc<Memory>, tar: &[u8]) -> Result<(), String> {
    let toc = Toc::open(file(toc)).map_err(|error| error.to_string())?;
    toc.check().map_err(|error| error.to_string())?;
    let spans = toc.spans().map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    for number in (0..spans.len()).map(SpanNo) {
        let Some(checkpoint) = spans.checkpoint(number) else { continue };
        if checkpoint != number {
            continue;
        }
        let span = spans.get(number).expect("in the table");
        SpanDecoder::enter(blob.clone(), &toc, &spans, number)
            .and_then(|mut decoder| decoder.decode(&spans, &mut out))
            .map_err(|error| error.to_string())?;
        assert!(out == tar[span.start as usize..span.end() as usize], "other bytes");
    }
    Ok(())
}

#[test]
fn a_thousand_mutations_are_noticed() {
    let tar = Arc::new(streams::tar(2, 5 * MIB));
    let blob = blob(1, &tar);
    let good = scanned(&blob).toc;
    let memory = Memory::new(&blob.bytes);
    use_all(&good, &memory, &tar).expect("undamaged");
    let mut noise = Noise::new(3);
    let mut unnoticed = 0;
    for _ in 0..1000 {
        let mut bad = good.clone();
        // Half of them in the last KiB, where the tables are.
        let from = if noise.below(2) == 0 { bad.len() - 1024 } else { 0 };
        let at = from + noise.below((bad.len() - from) as u64) as usize;
        match noise.below(4) {
            0 => bad.truncate(at),
            1 => bad.insert(at, noise.next() as u8),
            _ => bad[at] ^= 1 << noise.below(8),
        }
        unnoticed += u32::from(use_all(&bad, &memory, &tar).is_ok());
    }
    // The head is only for people and file(1), and nothing points at it.
    assert!(unnoticed < 5, "{unnoticed} went unnoticed");
}

#[test]
fn what_is_no_table_of_contents() {
    for bytes in [&b""[..], b"x", &[0; 1000]] {
        assert!(matches!(Toc::open(file(bytes)), Err(TocError::Foreign)));
    }
    let tar = Arc::new(streams::tar(3, 1000));
    let mut bytes = scanned(&blob(1, &tar)).toc;
    let version = bytes.len() - 12;
    bytes[version] = 9;
    assert!(matches!(Toc::open(file(&bytes)), Err(TocError::Version(9))));
}

/// A table of these spans, with all checksums right.
fn table(compression: Compression, spans: &[Span]) -> Result<u32, TocError> {
    let mut writer = TocWriter::new(Vec::new()).expect("in memory");
    writer.window(&[1; 100]).expect("in memory");
    spans.iter().for_each(|span| writer.span(span));
    let found = Found {
        source: Digest::sha256(b"blob"),
        source_size: 1000,
        diff_id: DiffId(Digest::of(Algorithm::Sha512, b"tar")),
        compression,
    };
    let (bytes, header) = writer.finish(&found).expect("in memory");
    let toc = Toc::open(file(&bytes)).expect("a table of contents");
    assert_eq!(toc.header(), &header);
    toc.spans().map(|spans| spans.len())
}

#[test]
fn spans_that_make_no_sense_are_refused() {
    let span = |start, length, access| Span { start, length, digest: [0; 32], access };
    let at = |start, offset| span(start, 10, Access::Start { offset });
    let window = WindowRef { offset: 16, length: 20 };
    let block = |bits, window| span(10, 10, Access::Block { offset: 5, bits, window });
    let follows = |start| span(start, 10, Access::Follows { offset: 6 });
    let kept = |start, frame| span(start, 10, Access::Kept { frame });
    let gzip = Compression::Gzip;

    table(gzip, &[]).expect("an empty layer");
    table(gzip, &[at(0, 0), block(7, window), follows(20), kept(30, 0), kept(40, 1)])
        .expect("all kinds");

    let bad: [(&str, &[Span]); 12] = [
        ("a gap", &[at(0, 0), at(11, 1)]),
        ("an overlap", &[at(0, 0), at(9, 1)]),
        ("not from 0", &[at(1, 0)]),
        ("no length", &[span(0, 0, Access::Start { offset: 0 })]),
        ("too long", &[span(0, SPAN_MAX as u32 + 1, Access::Start { offset: 0 })]),
        ("backwards in the blob", &[at(0, 9), at(10, 8)]),
        ("behind the blob", &[at(0, 1001)]),
        ("eight bits", &[at(0, 0), block(8, window)]),
        ("a window nowhere", &[at(0, 0), block(0, WindowRef { offset: 1 << 40, length: 1 })]),
        ("follows nothing", &[follows(0)]),
        ("follows a kept one", &[at(0, 0), kept(10, 0), follows(20)]),
        ("a frame left out", &[at(0, 0), kept(10, 1)]),
    ];
    for (what, spans) in bad {
        let result = table(gzip, spans);
        assert!(matches!(result, Err(TocError::Damaged(_))), "{what}: {result:?}");
    }
    table(Compression::Zstd, &[at(0, 0), block(0, window)]).expect_err("a block outside gzip");

    let mut far = vec![span(0, SPAN_MAX as u32, Access::Start { offset: 0 })];
    while far.len() as u64 <= REACH / SPAN_MAX {
        let start = far.len() as u64 * SPAN_MAX;
        far.push(span(start, SPAN_MAX as u32, Access::Follows { offset: 1 }));
    }
    table(gzip, &far).expect_err("too far from a checkpoint");
    far.pop();
    table(gzip, &far).expect("just within reach");
}

#[test]
fn a_damaged_seekable_form_is_noticed() {
    let tar = Arc::new(streams::tar(4, 12 * MIB));
    let scanned = scanned(&blob(10, &tar));
    let toc = scanned.toc();
    let (source, kept) = (toc.header().source, toc.header().kept);
    let open = |bytes: &[u8]| Seekable::open(file(bytes), &source, kept);
    let good = &scanned.seekable;
    open(good).expect("undamaged");
    Seekable::open(file(good), &Digest::sha256(b"other"), kept).expect_err("another layer's");
    Seekable::open(file(good), &source, kept + 1).expect_err("too few frames");
    for length in [0, 1, 50, good.len() / 2, good.len() - 1] {
        open(&good[..length]).expect_err("cut off");
    }
    let spans = toc.spans().expect("undamaged");
    let mut noise = Noise::new(5);
    for _ in 0..200 {
        let mut bad = good.clone();
        let at = noise.below(bad.len() as u64) as usize;
        bad[at] ^= 1 << noise.below(8);
        let Ok(form) = open(&bad) else { continue };
        let wrong = spans.iter().any(|span| {
            let Access::Kept { frame } = span.access else { return false };
            let mut out = Vec::new();
            form.read(frame, span.length, &mut out).is_err()
                || blake3::hash(&out) != blake3::Hash::from(span.digest)
        });
        let header_only = at < good.len();
        assert!(wrong || header_only && decodes_the_same(&form, &toc, &tar));
    }
}

/// Some bits of a zstd frame (reserved ones, a checksum that is not there) change nothing.
fn decodes_the_same(form: &Seekable, toc: &Toc, tar: &[u8]) -> bool {
    toc.spans().expect("undamaged").iter().all(|span| {
        let Access::Kept { frame } = span.access else { return true };
        let mut out = Vec::new();
        form.read(frame, span.length, &mut out).is_ok()
            && out == tar[span.start as usize..span.end() as usize]
    })
}
