//! Spans of every compression and layout: a random range is the same bytes as the sequential
//! stream, wherever decoding begins, and nothing that is not covered by a digest comes out.

#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(missing_docs)]

use crate::support::streams;
use std::sync::Arc;

use crate::support::streams::{Blob, LAYOUTS, Memory, Scanned};
use proptest::prelude::*;
use shalefs::layer::resume::{SpanDecoder, SpanError};
use shalefs::layer::seekable::{self, Seekable};
use shalefs::layer::span::{Access, SPAN_MAX, SpanNo, SpanTable};
use shalefs::layer::{Compression, Toc};

const MIB: usize = 1 << 20;

/// The bytes of one span, entered by itself.
fn one_span(memory: &Arc<Memory>, toc: &Toc, spans: &SpanTable, number: SpanNo) -> Vec<u8> {
    let mut out = Vec::new();
    let mut decoder = SpanDecoder::enter(memory.clone(), toc, spans, number).expect("a way to it");
    while decoder.next() <= number {
        decoder.decode(spans, &mut out).expect("an undamaged span");
    }
    out
}

/// Every span by itself, from its checkpoint or the seekable form.
fn check_every_span(blob: &Blob, scanned: &Scanned) {
    let toc = scanned.toc();
    let spans = toc.spans().expect("a table that was just written");
    let memory = Memory::new(&blob.bytes);
    let header = toc.header();
    let form = Seekable::open(streams::file(&scanned.seekable), &header.source, header.kept);
    let mut end = 0;
    for (number, span) in spans.iter().enumerate() {
        assert_eq!(span.start, end, "{}: a gap", blob.layout);
        end = span.end();
        let range = span.start as usize..span.end() as usize;
        let mut bytes = Vec::new();
        match span.access {
            Access::Kept { frame } => {
                let form = form.as_ref().expect("a seekable form");
                form.read(frame, span.length, &mut bytes).expect("a frame");
            }
            _ => bytes = one_span(&memory, &toc, &spans, SpanNo(number as u32)),
        }
        assert!(bytes == blob.tar[range], "{}: span {number}", blob.layout);
    }
    assert_eq!(end, blob.tar.len() as u64, "{}: the end", blob.layout);
}

#[test]
fn every_span_of_every_layout_decodes_by_itself() {
    let tar = Arc::new(streams::tar(1, 9 * MIB));
    for number in 0..LAYOUTS {
        let blob = streams::blob(number, &tar);
        let scanned = streams::scanned(&blob);
        assert!(scanned.blob == *blob.bytes, "{}: the blob as it was", blob.layout);
        check_every_span(&blob, &scanned);
    }
}

#[test]
fn one_decoder_goes_through_a_whole_layer_and_reads_it_once() {
    let tar = Arc::new(streams::tar(2, 9 * MIB));
    for number in [0, 1, 3, 5, 6, 8, 9, 12] {
        let blob = streams::blob(number, &tar);
        let toc = streams::scanned(&blob).toc();
        let spans = toc.spans().expect("a table that was just written");
        let memory = Memory::new(&blob.bytes);
        let mut decoder =
            SpanDecoder::enter(memory.clone(), &toc, &spans, SpanNo(0)).expect("the beginning");
        let (mut all, mut out) = (Vec::new(), Vec::new());
        while decoder.next().0 < spans.len() {
            decoder.decode(&spans, &mut out).expect("an undamaged span");
            all.extend_from_slice(&out);
        }
        assert!(all == *tar, "{}", blob.layout);
        let read = memory.read.load(std::sync::atomic::Ordering::Relaxed);
        assert!(read <= blob.bytes.len() as u64, "{}: read twice", blob.layout);
        let beyond = decoder.decode(&spans, &mut out);
        assert!(matches!(beyond, Err(SpanError::Unreachable(_))), "{}", blob.layout);
    }
}

#[test]
fn what_cannot_be_entered_is_kept() {
    let tar = Arc::new(streams::tar(3, 7 * MIB));
    // One zstd frame: its end is beyond the reach of its start. Two frames: each reaches its half.
    for (number, kept) in [(0, false), (1, false), (3, false), (10, true), (11, false), (14, true)]
    {
        let scanned = streams::scanned(&streams::blob(number, &tar));
        assert_eq!(scanned.layer.kept > 0, kept, "layout {number}");
        assert_eq!(scanned.seekable.is_empty(), !kept, "layout {number}");
    }
}

#[test]
fn a_seekable_form_made_again_is_the_same() {
    let tar = Arc::new(streams::tar(4, 11 * MIB));
    for number in [10, 14, 16] {
        let blob = streams::blob(number, &tar);
        let scanned = streams::scanned(&blob);
        let toc = scanned.toc();
        let spans = toc.spans().expect("a table that was just written");
        let mut again = Vec::new();
        seekable::rebuild(Memory::new(&blob.bytes), toc.header(), &spans, &mut again)
            .expect("an undamaged blob");
        assert!(again == scanned.seekable, "{}", blob.layout);
        let mut bad = blob.bytes.to_vec();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        seekable::rebuild(Memory::new(&bad), toc.header(), &spans, &mut Vec::new())
            .expect_err("a damaged blob");
    }
}

/// One deflate block of many MiB: no boundary to enter at.
#[test]
fn a_gzip_block_without_end_is_kept() {
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").expect("a short name");
    header.set_size(40 * MIB as u64 - 512);
    header.set_cksum();
    let header = header.as_bytes();
    let tar = [&header[..], &vec![0; 40 * MIB - 512]].concat();
    // A stored first block gives a checkpoint; then zeros, which zlib puts into few large blocks.
    let mut deflate = vec![0x00, 0x00, 0x02, 0xff, 0xfd];
    deflate.extend(header);
    deflate.extend(fixed_block_of_zeros(tar.len() - header.len()));
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    bytes.extend(deflate);
    bytes.extend(crc32fast::hash(&tar).to_le_bytes());
    bytes.extend((tar.len() as u32).to_le_bytes());
    let blob = Blob { layout: "one block", tar: Arc::new(tar), bytes: Arc::new(bytes) };
    let scanned = streams::scanned(&blob);
    assert!(scanned.layer.kept > 20, "{:?}", scanned.layer);
    check_every_span(&blob, &scanned);
}

/// A last block with fixed codes: a zero, then matches of length 258 and distance 1.
fn fixed_block_of_zeros(length: usize) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let push = |value: u32, count: u32, bits: &mut Vec<bool>| {
        bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    };
    bits.extend([true, true, false]);
    push(0x30, 8, &mut bits);
    let matches = (length - 1) / 258;
    for _ in 0..matches {
        push(0b1100_0101, 8, &mut bits);
        push(0, 5, &mut bits);
    }
    for _ in 0..(length - 1) % 258 {
        push(0x30, 8, &mut bits);
    }
    push(0, 7, &mut bits);
    bits.chunks(8)
        .map(|byte| byte.iter().rev().fold(0, |sum, bit| sum << 1 | u8::from(*bit)))
        .collect()
}

#[test]
fn checkpoints_are_about_two_mib_apart_and_tables_small() {
    let mut noise = streams::Noise::new(7);
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(24 << 20);
    header.set_cksum();
    builder.append_data(&mut header, "text", &noise.text(24 << 20)[..]).expect("in memory");
    let tar = Arc::new(builder.into_inner().expect("in memory"));
    let blob = streams::blob(1, &tar);
    let scanned = streams::scanned(&blob);
    let spans = scanned.toc().spans().expect("a table that was just written");
    let entered: Vec<_> =
        spans.iter().filter(|span| matches!(span.access, Access::Block { .. })).collect();
    assert!((8..=11).contains(&entered.len()), "{} checkpoints", entered.len());
    assert!(spans.iter().all(|span| u64::from(span.length) <= SPAN_MAX));
    let share = scanned.toc.len() as f64 / blob.bytes.len() as f64;
    assert!(share < 0.03, "the table is {:.1} % of the blob", share * 100.0);
}

#[test]
fn a_damaged_span_is_an_error_and_the_others_are_not() {
    let tar = Arc::new(streams::tar(5, 9 * MIB));
    for number in [0, 1, 3, 6] {
        let blob = streams::blob(number, &tar);
        let toc = streams::scanned(&blob).toc();
        let spans = toc.spans().expect("a table that was just written");
        let mut bad = blob.bytes.to_vec();
        let middle = bad.len() / 2;
        bad[middle] ^= 0x10;
        let memory = Memory::new(&bad);
        let mut failed = 0;
        for number in 0..spans.len() {
            let span = spans.get(SpanNo(number)).expect("in the table");
            let range = span.start as usize..span.end() as usize;
            let mut out = Vec::new();
            let mut decoder =
                SpanDecoder::enter(memory.clone(), &toc, &spans, SpanNo(number)).expect("a table");
            let result = loop {
                match decoder.decode(&spans, &mut out) {
                    Ok(()) if decoder.next().0 <= number => {}
                    other => break other,
                }
            };
            match result {
                Ok(()) => assert!(out == tar[range], "{}: other bytes", blob.layout),
                Err(_) => failed += 1,
            }
        }
        assert!((1..=12).contains(&failed), "{}: {failed} spans failed", blob.layout);
    }
}

#[test]
fn an_empty_stream_has_no_spans() {
    let empty = Arc::new(Vec::new());
    for number in [1, 8, 9, 10, 14, 16] {
        let blob = streams::blob(number, &empty);
        let scanned = streams::scan_as(
            &blob.bytes[..],
            &streams::expected(&blob.bytes, &[]),
            &shalefs::limits::Limits::DEFAULT,
        );
        // Whether an empty tar is an archive is the walker's word, not the decoder's.
        let Ok(scanned) = scanned else { continue };
        let spans = scanned.toc().spans().expect("a table that was just written");
        assert!(spans.is_empty() && spans.find(0).is_none(), "{}", blob.layout);
    }
}

#[test]
fn compression_is_told_by_the_magic() {
    let tar = Arc::new(streams::tar(6, 5000));
    let expected = [
        (0, Compression::None),
        (1, Compression::Gzip),
        (10, Compression::Zstd),
        (13, Compression::Zstd),
        (14, Compression::Xz),
        (16, Compression::Bzip2),
    ];
    for (number, compression) in expected {
        assert_eq!(streams::scanned(&streams::blob(number, &tar)).layer.compression, compression);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_ranges_equal_the_sequential_stream(
        seed in 0_u64..1000,
        size in 1_usize..(7 * MIB),
        layout in 0..LAYOUTS,
        places in prop::collection::vec(0_u64..u64::MAX, 8),
    ) {
        let tar = Arc::new(streams::tar(seed, size));
        let blob = streams::blob(layout, &tar);
        let scanned = streams::scanned(&blob);
        let toc = scanned.toc();
        let spans = toc.spans().expect("a table that was just written");
        let memory = Memory::new(&blob.bytes);
        for place in places {
            let offset = place % tar.len() as u64;
            let number = spans.find(offset).expect("inside");
            let span = spans.get(number).expect("in the table");
            prop_assert!(span.start <= offset && offset < span.end());
            if matches!(span.access, Access::Kept { .. }) {
                continue;
            }
            let bytes = one_span(&memory, &toc, &spans, number);
            prop_assert!(bytes == tar[span.start as usize..span.end() as usize]);
        }
        prop_assert!(spans.find(tar.len() as u64).is_none());
    }
}
