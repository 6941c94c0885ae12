//! Reading file bytes: the right ones, each decoded once, in bounded memory, by any number of
//! readers.

#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(missing_docs)]

use crate::support::streams;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::support::streams::image::{Image, alone, read, read_whole};
use crate::support::streams::{LAYOUTS, Noise, blob};
use proptest::prelude::*;
use shalefs::content::{Content, ContentError, Options, Stats};
use shalefs::layer::{ContentId, Extent};
use shalefs::tree::FileData;

const MIB: usize = 1 << 20;

fn count(of: impl Fn(&Stats) -> &AtomicU64, content: &Content) -> u64 {
    of(content.stats()).load(Relaxed)
}

#[test]
fn every_file_of_every_layout_reads_right() {
    let tar = Arc::new(streams::tar(1, 9 * MIB));
    for layout in 0..LAYOUTS {
        let image = Image::new(&[blob(layout, &tar)]);
        let content = image.open(alone());
        for file in &image.files {
            assert!(read_whole(&content, file, 100_000) == image.bytes(file), "layout {layout}");
        }
    }
}

#[test]
fn reads_are_cut_at_the_end_of_the_file() {
    let image = Image::new(&[blob(1, &Arc::new(streams::tar(2, 300_000)))]);
    let content = image.open(alone());
    let file = &image.files[0];
    let bytes = image.bytes(file);
    assert_eq!(read(&content, file, file.size, 10), b"");
    assert_eq!(read(&content, file, u64::MAX, usize::MAX), b"");
    assert_eq!(read(&content, file, 0, 0), b"");
    assert!(read(&content, file, 0, usize::MAX) == bytes);
    assert!(read(&content, file, file.size - 1, usize::MAX) == bytes[bytes.len() - 1..]);
    let mut out = b"before".to_vec();
    content.read(file, 1, 2, &mut out).expect("undamaged");
    assert!(out == [b"before", &bytes[1..3]].concat());
}

#[test]
fn going_through_a_layer_in_order_inflates_each_byte_once() {
    let tar = Arc::new(streams::tar(3, 20 * MIB));
    for layout in [1, 3, 6, 8] {
        for read_ahead in [false, true] {
            let image = Image::new(&[blob(layout, &tar)]);
            let content = image.open(Options { read_ahead, ..alone() });
            for file in &image.files {
                assert!(read_whole(&content, file, 128 << 10) == image.bytes(file));
            }
            let decoded = count(|stats| &stats.bytes_decoded, &content);
            assert!(decoded <= tar.len() as u64, "layout {layout}: {decoded} of {}", tar.len());
            if layout == 1 {
                assert_eq!(count(|stats| &stats.resumes, &content), 1);
            }
        }
    }
}

#[test]
fn going_through_three_layers_by_turns_inflates_each_byte_once() {
    let tars: Vec<_> = (0..3).map(|seed| Arc::new(streams::tar(40 + seed, 12 * MIB))).collect();
    let blobs: Vec<_> = tars.iter().map(|tar| blob(1, tar)).collect();
    let image = Image::new(&blobs);
    // A cache that holds next to nothing: it is the decoders that remember.
    for (cache, read_ahead) in [(4 * MIB, false), (8 * MIB, true)] {
        let content = image.open(Options { cache, read_ahead, ..alone() });
        let of_layer = |layer| image.files.iter().filter(move |file| file.layer == layer);
        let mut turns: Vec<_> = (0..3).map(of_layer).collect();
        let mut more = true;
        while more {
            more = false;
            for files in &mut turns {
                let Some(file) = files.next() else { continue };
                assert!(read_whole(&content, file, 128 << 10) == image.bytes(file));
                more = true;
            }
        }
        let total: u64 = tars.iter().map(|tar| tar.len() as u64).sum();
        let decoded = count(|stats| &stats.bytes_decoded, &content);
        assert!(decoded <= total, "{decoded} of {total}");
        assert_eq!(count(|stats| &stats.resumes, &content), 3);
    }
}

#[test]
fn the_same_span_wanted_by_many_is_decoded_once() {
    let tar = Arc::new(streams::tar(5, 6 * MIB));
    for layout in [0, 1, 10, 14] {
        let image = Image::new(&[blob(layout, &tar)]);
        let once = image.open(alone());
        let file = image.files.iter().rev().find(|file| file.size > 1000).expect("a file");
        read(&once, file, 500, 100);
        let content = image.open(alone());
        let barrier = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    assert!(read(&content, file, 500, 100) == image.bytes(file)[500..600]);
                });
            }
        });
        let decoded = |content| count(|stats| &stats.spans_decoded, content);
        assert_eq!(decoded(&content), decoded(&once), "layout {layout}");
        assert_eq!(count(|stats| &stats.reads, &content), 8);
    }
}

#[test]
fn many_readers_in_any_order_read_right() {
    let tar = Arc::new(streams::tar(6, 10 * MIB));
    let blobs = [blob(1, &tar), blob(10, &tar), blob(7, &tar), blob(12, &tar), blob(0, &tar)];
    let image = Image::new(&blobs);
    let content = image.open(Options { cache: 3 * MIB, ..Options::default() });
    std::thread::scope(|scope| {
        for reader in 0..6 {
            let (content, image) = (&content, &image);
            scope.spawn(move || {
                let mut noise = Noise::new(reader);
                for _ in 0..150 {
                    let file = &image.files[noise.below(image.files.len() as u64) as usize];
                    let offset = noise.below(file.size);
                    let bytes = read(content, file, offset, 1 + noise.below(200_000) as usize);
                    let offset = offset as usize;
                    assert!(bytes == image.bytes(file)[offset..offset + bytes.len()]);
                }
            });
        }
    });
}

#[test]
fn the_cache_is_bounded() {
    let tar = Arc::new(streams::tar(7, 16 * MIB));
    let image = Image::new(&[blob(1, &tar), blob(10, &tar)]);
    let cache = 3 * MIB;
    let content = image.open(Options { cache, ..Options::default() });
    for file in &image.files {
        read_whole(&content, file, 128 << 10);
        let cached = count(|stats| &stats.bytes_cached, &content);
        assert!(cached <= cache as u64, "{cached} bytes in the cache");
    }
    // Even one that is too small for a single span serves.
    let content = image.open(Options { cache: 0, ..alone() });
    for file in &image.files {
        assert!(read_whole(&content, file, 1 << 20) == image.bytes(file));
        assert!(count(|stats| &stats.bytes_cached, &content) <= MIB as u64);
    }
}

#[test]
fn a_random_read_decodes_no_further_than_its_span() {
    let tar = Arc::new(streams::tar(8, 12 * MIB));
    let image = Image::new(&[blob(1, &tar)]);
    let mut noise = Noise::new(8);
    for _ in 0..20 {
        let file = &image.files[noise.below(image.files.len() as u64) as usize];
        let content = image.open(Options { extract_from: None, ..Options::default() });
        read(&content, file, noise.below(file.size), 4096);
        let decoded = count(|stats| &stats.bytes_decoded, &content);
        assert!(decoded <= 4 * MIB as u64, "{decoded} bytes for 4 KiB");
    }
}

#[test]
fn a_hundred_and_fifty_layers() {
    let tars: Vec<_> = (0..150).map(|seed| Arc::new(streams::tar(seed, 20_000))).collect();
    let blobs: Vec<_> = tars.iter().map(|tar| blob(1, tar)).collect();
    let image = Image::new(&blobs);
    let content = image.open(Options::default());
    for _ in 0..2 {
        for file in &image.files {
            assert!(read_whole(&content, file, 5000) == image.bytes(file));
        }
    }
}

#[test]
fn a_row_that_names_no_bytes_is_an_error() {
    let image = Image::new(&[blob(1, &Arc::new(streams::tar(9, 10_000)))]);
    let content = image.open(Options::default());
    let file = |layer, data_offset, size, sparse| FileData {
        layer,
        data_offset,
        size,
        sparse,
        content: ContentId([0; 32]),
    };
    let far = Extent { offset: 5, length: u64::MAX };
    let bad = [
        file(1, 512, 10, None),
        file(u32::MAX, 512, 10, None),
        file(0, 1 << 40, 10, None),
        file(0, u64::MAX, 10, None),
        file(0, 512, u64::MAX, None),
        file(0, 512, 10 << 20, Some(vec![far])),
        file(0, 512, u64::MAX, Some(vec![far, far])),
    ];
    for file in bad {
        let mut out = vec![1];
        let read = content.read(&file, 0, 2 << 20, &mut out);
        assert!(matches!(read, Err(ContentError::OutOfRange { .. })), "{file:?}: {read:?}");
        assert_eq!(out, [1]);
    }
}

/// A sparse file over the stored bytes of a plain one, and what it looks like.
fn sparse(image: &Image, file: &FileData, runs: &[(u64, u64)], tail: u64) -> (FileData, Vec<u8>) {
    let stored = image.bytes(file);
    let (mut bytes, mut extents, mut at) = (Vec::new(), Vec::new(), 0);
    for &(hole, length) in runs {
        let length = length.min((stored.len() - at) as u64);
        bytes.resize(bytes.len() + hole as usize, 0);
        extents.push(Extent { offset: bytes.len() as u64, length });
        bytes.extend_from_slice(&stored[at..at + length as usize]);
        at += length as usize;
    }
    bytes.resize(bytes.len() + tail as usize, 0);
    let size = bytes.len() as u64;
    (FileData { size, sparse: Some(extents), ..file.clone() }, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn holes_read_as_zeros(
        runs in prop::collection::vec((0_u64..50_000, 0_u64..60_000), 0..8),
        tail in 0_u64..40_000,
        places in prop::collection::vec((0_u64..500_000, 0_usize..300_000), 12),
    ) {
        static IMAGE: std::sync::OnceLock<Image> = std::sync::OnceLock::new();
        let tar = || Arc::new(streams::tar(10, 2 * MIB));
        let image = IMAGE.get_or_init(|| Image::new(&[blob(1, &tar())]));
        let content = image.open(alone());
        let large = image.files.iter().max_by_key(|file| file.size).expect("a file");
        let (file, bytes) = sparse(image, large, &runs, tail);
        for (offset, length) in places {
            let start = bytes.len().min(offset as usize);
            let end = bytes.len().min(start.saturating_add(length));
            let got = read(&content, &file, offset, length);
            prop_assert!(got == bytes[start..end]);
        }
    }

    #[test]
    fn random_ranges_of_files_read_right(
        layout in 0..LAYOUTS,
        seed in 0_u64..20,
        places in prop::collection::vec((0_u64..u64::MAX, 0_u64..u64::MAX, 1_usize..400_000), 10),
    ) {
        let image = Image::new(&[blob(layout, &Arc::new(streams::tar(seed, 5 * MIB)))]);
        let content = image.open(Options::default());
        for (which, offset, length) in places {
            let file = &image.files[which as usize % image.files.len()];
            let offset = offset % file.size;
            let bytes = read(&content, file, offset, length);
            let start = offset as usize;
            let end = image.bytes(file).len().min(start + length);
            prop_assert!(bytes == image.bytes(file)[start..end]);
        }
    }
}
