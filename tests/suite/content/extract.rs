//! Large files: extracted once, shared by content, checked whenever they are read.

#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(missing_docs)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::support::streams::image::{Image, read, read_whole};
use crate::support::streams::{Blob, Noise, blob};
use shalefs::content::{Content, Options, object};
use shalefs::layer::ContentId;
use shalefs::tree::FileData;

const MIB: usize = 1 << 20;

/// A layer with files of these sizes.
fn layer(seed: u64, sizes: &[usize]) -> Blob {
    let mut noise = Noise::new(seed);
    let mut builder = tar::Builder::new(Vec::new());
    for (number, size) in sizes.iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_size(*size as u64);
        header.set_cksum();
        let bytes = if number % 2 == 0 { noise.text(*size) } else { noise.bytes(*size) };
        builder.append_data(&mut header, format!("f{number}"), &bytes[..]).expect("in memory");
    }
    blob(1, &Arc::new(builder.into_inner().expect("in memory")))
}

fn extracted(content: &Content) -> u64 {
    content.stats().files_extracted.load(Relaxed)
}

/// Waits until so many files are extracted.
fn wait_for(content: &Content, files: u64) {
    let start = Instant::now();
    while extracted(content) < files {
        assert!(start.elapsed() < Duration::from_secs(20), "{} extracted", extracted(content));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn objects(image: &Image) -> usize {
    let directory = image.store.root().join("content").join("blake3");
    fs::read_dir(directory).map_or(0, |entries| {
        let visible =
            |entry: &fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
        entries.filter(|entry| visible(entry.as_ref().expect("readable"))).count()
    })
}

#[test]
fn a_large_file_read_whole_is_extracted_and_served_from_there() {
    // Sizes around the groups of the hash tree, and a small one.
    let group = 64 << 10;
    let sizes =
        [MIB, MIB + 1, 3 * MIB - 1, 17 * group, 33 * group + 5, 5 * MIB, MIB - 1, 1000, 2 * MIB];
    let image = Image::new(&[layer(1, &sizes)]);
    let content = image.open(Options::default());
    // Readers never wait for the extraction: one that falls behind gives a file up until it is
    // read again.
    let start = Instant::now();
    while extracted(&content) < 7 && start.elapsed() < Duration::from_secs(20) {
        for file in &image.files {
            assert!(read_whole(&content, file, 128 << 10) == image.bytes(file));
        }
    }
    wait_for(&content, 7);
    assert_eq!(objects(&image), 7);
    for file in image.files.iter().filter(|file| file.size >= 1 << 20) {
        let object = fs::File::open(image.object(file)).expect("an object");
        object::check(object, file.content).expect("a good object");
    }
    // The same mount, and a later one.
    for content in [content, image.open(Options::default())] {
        let decoded = content.stats().bytes_decoded.load(Relaxed);
        let large = image.files.iter().filter(|file| file.size >= 1 << 20);
        let mut noise = Noise::new(2);
        for file in large {
            assert!(read_whole(&content, file, 128 << 10) == image.bytes(file));
            for _ in 0..20 {
                let offset = noise.below(file.size);
                let bytes = read(&content, file, offset, noise.below(300_000) as usize);
                let offset = offset as usize;
                assert!(bytes == image.bytes(file)[offset..offset + bytes.len()]);
            }
        }
        assert_eq!(content.stats().bytes_decoded.load(Relaxed), decoded, "it decoded again");
    }
}

#[test]
fn files_of_equal_content_share_one_object() {
    let first = layer(3, &[2 * MIB]);
    // The same file at another place of another layer.
    let mut builder = tar::Builder::new(Vec::new());
    let bytes = Image::new(std::slice::from_ref(&first));
    for (name, bytes) in [("a", &b"small"[..]), ("b", bytes.bytes(&bytes.files[0]))] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        builder.append_data(&mut header, name, bytes).expect("in memory");
    }
    let second = blob(12, &Arc::new(builder.into_inner().expect("in memory")));
    let image = Image::new(&[first, second]);
    let content = image.open(Options::default());
    read_whole(&content, &image.files[0], MIB);
    wait_for(&content, 1);
    let decoded = content.stats().bytes_decoded.load(Relaxed);
    let same = &image.files[2];
    assert!(read_whole(&content, same, MIB) == image.bytes(same));
    assert_eq!(content.stats().bytes_decoded.load(Relaxed), decoded);
    assert_eq!(objects(&image), 1);
}

#[test]
fn a_part_of_a_file_is_not_extracted_and_half_of_it_out_of_order_is() {
    let image = Image::new(&[layer(4, &[6 * MIB, 6 * MIB])]);
    let content = image.open(Options::default());
    read(&content, &image.files[0], 0, 2 * MIB);
    let other = &image.files[1];
    for piece in (0..3).rev() {
        read(&content, other, piece * 2 * MIB as u64 + 5000, MIB + 70_000);
    }
    wait_for(&content, 1);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(extracted(&content), 1);
    assert!(image.object(other).exists() && !image.object(&image.files[0]).exists());
}

#[test]
fn a_reader_that_is_far_ahead_is_caught_up_with() {
    let image = Image::new(&[layer(5, &[12 * MIB])]);
    // A cache far smaller than the file: what the extraction has not seen is gone.
    let content = image.open(Options { cache: MIB, ..Options::default() });
    assert!(read(&content, &image.files[0], 0, usize::MAX) == image.bytes(&image.files[0]));
    wait_for(&content, 1);
}

#[test]
fn a_damaged_object_is_thrown_away_and_the_spans_serve() {
    let image = Image::new(&[layer(6, &[3 * MIB])]);
    let file = &image.files[0];
    let path = image.object(file);
    let options = Options::default();
    let good = {
        let content = image.open(options.clone());
        read_whole(&content, file, MIB);
        wait_for(&content, 1);
        fs::read(&path).expect("an object")
    };
    let flipped = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        bad
    };
    let bad = [
        flipped(0),
        flipped(MIB + 77),
        flipped(3 * MIB - 1),
        flipped(3 * MIB),
        flipped(good.len() - 1),
        flipped(good.len() - 16),
        good[..good.len() - 1].to_vec(),
        good[..MIB].to_vec(),
        Vec::new(),
    ];
    for (number, bad) in bad.iter().enumerate() {
        fs::write(&path, bad).expect("room");
        let damaged = fs::File::open(&path).expect("it is there");
        object::check(damaged, file.content).expect_err("a damaged object");
        let content = image.open(Options { extract_from: Some(1 << 20), ..options.clone() });
        // Found out by the first reader, at its end perhaps; made again for the second.
        for _ in 0..2 {
            assert!(read_whole(&content, file, 70_000) == image.bytes(file), "damage {number}");
        }
        wait_for(&content, 1);
        assert!(fs::read(&path).expect("made again") == good, "damage {number}");
    }
}

#[test]
fn an_object_of_another_file_is_not_served() {
    let image = Image::new(&[layer(7, &[2 * MIB, 2 * MIB])]);
    let (one, other) = (&image.files[0], &image.files[1]);
    {
        let content = image.open(Options::default());
        read_whole(&content, one, MIB);
        wait_for(&content, 1);
    }
    fs::rename(image.object(one), image.object(other)).expect("both in one directory");
    let content = image.open(Options::default());
    assert!(read_whole(&content, other, MIB) == image.bytes(other));
}

#[test]
fn nothing_is_extracted_when_not_wanted_or_not_possible() {
    let image = Image::new(&[layer(8, &[2 * MIB])]);
    let file = &image.files[0];
    for extract_from in [None, Some(2 * MIB as u64 + 1)] {
        let content = image.open(Options { extract_from, ..Options::default() });
        read_whole(&content, file, MIB);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(objects(&image), 0);
    }
    let content = image.open(Options::default());
    let wrong = FileData { content: ContentId([9; 32]), ..file.clone() };
    assert!(read_whole(&content, &wrong, MIB) == image.bytes(file));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(objects(&image), 0, "bytes of another digest");
}

#[test]
fn no_room_for_objects_is_no_error() {
    let image = Image::new(&[layer(9, &[2 * MIB])]);
    // A file where the directory should be.
    let directory = image.store.root().join("content");
    let _ = fs::remove_dir_all(&directory);
    fs::write(&directory, b"").expect("room");
    let content = image.open(Options::default());
    let file = &image.files[0];
    for _ in 0..2 {
        assert!(read_whole(&content, file, MIB) == image.bytes(file));
    }
}

#[test]
fn unmounting_does_not_wait_for_extraction() {
    let image = Image::new(&[layer(10, &[24 * MIB])]);
    let content = image.open(Options { cache: MIB, ..Options::default() });
    read(&content, &image.files[0], 0, usize::MAX);
    std::thread::sleep(Duration::from_millis(250));
    let start = Instant::now();
    drop(content);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let left: Vec<_> = drafts(&image.store.root().join("content").join("blake3"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_a_command_read_is_there_for_its_next_run() {
    let group = 64 << 10;
    let sizes = [1, 1000, group - 1, group, group + 1, 2 * group - 1, 2 * group, 3 * MIB, 2 * MIB];
    let image = Image::new(&[layer(11, &sizes)]);
    {
        let content = image.open(Options::for_command());
        let (touched, whole) = image.files.split_last().expect("files");
        for file in whole {
            assert!(read_whole(&content, file, 128 << 10) == image.bytes(file));
        }
        read(&content, touched, MIB as u64, 4096);
    }
    assert_eq!(objects(&image), image.files.len());
    let content = image.open(Options::for_command());
    for file in &image.files {
        let object = fs::File::open(image.object(file)).expect("an object");
        object::check(object, file.content).expect("a good object");
        assert!(read_whole(&content, file, 50_000) == image.bytes(file));
    }
    assert_eq!(content.stats().bytes_decoded.load(Relaxed), 0);
    // A damaged one is found out and made again.
    let small = &image.files[1];
    let mut flipped = fs::read(image.object(small)).expect("an object");
    flipped[999] ^= 1;
    for bad in [&b""[..], &[7; 1000], &[7; 1016], &flipped] {
        fs::write(image.object(small), bad).expect("room");
        let damaged = fs::File::open(image.object(small)).expect("it is there");
        object::check(damaged, small.content).expect_err("a damaged object");
        let content = image.open(Options::for_command());
        assert!(read_whole(&content, small, 1000) == image.bytes(small));
        drop(content);
        assert!(fs::metadata(image.object(small)).expect("made again").len() == 1016);
    }
}

#[test]
fn what_is_kept_for_the_next_run_is_bounded() {
    const SIZE: usize = 900 << 10;
    let mut builder = tar::Builder::new(Vec::new());
    for number in 0..80_u8 {
        let mut header = tar::Header::new_gnu();
        header.set_size(SIZE as u64);
        header.set_cksum();
        builder.append_data(&mut header, format!("f{number}"), &[number; SIZE][..]).expect("room");
    }
    let image = Image::new(&[blob(1, &Arc::new(builder.into_inner().expect("in memory")))]);
    let content = image.open(Options::for_command());
    for file in &image.files {
        read_whole(&content, file, 128 << 10);
    }
    drop(content);
    let most = (64 << 20) / SIZE + 1;
    assert!((1..=most).contains(&objects(&image)), "{} objects", objects(&image));
}

fn drafts(directory: &Path) -> Vec<std::ffi::OsString> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries
        .map(|entry| entry.expect("readable").file_name())
        .filter(|name| name.as_encoded_bytes().starts_with(b"."))
        .collect()
}
