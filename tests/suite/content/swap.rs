//! Small files read in an order of their own: what readers come back to is kept on disk, is never
//! trusted, and is gone with the mount.

#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(missing_docs)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::support::streams::image::{Image, alone, read, read_whole};
use crate::support::streams::{Noise, blob};
use shalefs::content::{Content, Options};
use shalefs::tree::FileData;

const MIB: usize = 1 << 20;

/// A tar of small files, and of some that do not fit a span.
fn small_files(seed: u64) -> Arc<Vec<u8>> {
    let mut noise = Noise::new(seed);
    let mut builder = tar::Builder::new(Vec::new());
    for number in 0..3000 {
        let most = if number % 300 == 0 { 1_200_000 } else { 4000 };
        let length = 1 + noise.below(most) as usize;
        let bytes = if number % 3 == 0 { noise.bytes(length) } else { noise.text(length) };
        let mut header = tar::Header::new_gnu();
        header.set_size(length as u64);
        header.set_cksum();
        builder.append_data(&mut header, format!("f{number}"), &bytes[..]).expect("in memory");
    }
    Arc::new(builder.into_inner().expect("in memory"))
}

fn open(image: &Image) -> Content {
    image.open(Options { cache: 2 * MIB, ..alone() })
}

/// Reads all files in an order of its own, small ones whole and of the others a part.
fn in_disorder(image: &Image, content: &Content, seed: u64) {
    let mut noise = Noise::new(seed);
    let mut files: Vec<&FileData> = image.files.iter().collect();
    for at in (1..files.len()).rev() {
        files.swap(at, noise.below(at as u64 + 1) as usize);
    }
    for file in files {
        let offset = if file.size > 8000 { noise.below(file.size) } else { 0 };
        let found = read(content, file, offset, 128 << 10);
        let right = &image.bytes(file)[offset as usize..];
        assert!(found == right[..found.len()] && found.len() == right.len().min(128 << 10));
    }
}

/// Spans decoded, written, and reads of those.
fn counts(content: &Content) -> (u64, u64, u64) {
    let stats = content.stats();
    let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
    (of(&stats.bytes_decoded), of(&stats.spans_swapped), of(&stats.swap_reads))
}

/// Files without a name that this process has open below the image's store.
fn nameless(image: &Image) -> Vec<PathBuf> {
    let root = image.store.root().to_str().expect("plain").to_owned();
    let open = fs::read_dir("/proc/self/fd").expect("a /proc").flatten().map(|entry| entry.path());
    let hidden = |path: &PathBuf| {
        let target = fs::read_link(path).unwrap_or_default();
        let target = target.to_string_lossy();
        target.starts_with(&root) && target.ends_with(" (deleted)")
    };
    open.filter(hidden).collect()
}

#[test]
fn what_readers_come_back_to_is_decoded_a_few_times_only() {
    let tar = small_files(1);
    for layout in [0, 1, 6, 7, 10] {
        let image = Image::new(&[blob(layout, &tar)]);
        let content = open(&image);
        (0..4).for_each(|round| in_disorder(&image, &content, round));
        let (decoded, swapped, reads) = counts(&content);
        let times = decoded / tar.len() as u64;
        assert!(times < 4, "layout {layout}: decoded {times} times, {swapped} on disk");
        assert!(reads > 5000, "layout {layout}: {reads} from disk");
        // A layer that is not compressed is there already.
        assert_eq!(swapped > 10, layout > 0, "layout {layout}: {swapped}");
        let objects = fs::read_dir(image.store.root().join("content/blake3")).expect("a directory");
        assert_eq!(objects.count(), 0, "it has no name");
        let files = nameless(&image);
        assert_eq!(files.len(), usize::from(layout > 0));
        let length: u64 = files.iter().map(|file| fs::metadata(file).expect("open").len()).sum();
        assert_eq!(length, content.stats().bytes_swapped.load(Relaxed));
        drop(content);
        assert_eq!(nameless(&image).len(), 0);
    }
}

#[test]
fn who_reads_in_order_writes_nothing() {
    let tar = small_files(2);
    let image = Image::new(&[blob(1, &tar), blob(10, &small_files(3))]);
    let content = open(&image);
    for _ in 0..3 {
        for file in &image.files {
            assert!(read_whole(&content, file, 128 << 10) == image.bytes(file));
        }
    }
    let (_, swapped, reads) = counts(&content);
    assert_eq!((swapped, reads), (0, 0));
    assert_eq!(nameless(&image).len(), 0);
}

#[test]
fn what_is_wrong_on_disk_is_decoded_again() {
    let image = Image::new(&[blob(1, &small_files(4))]);
    let content = open(&image);
    (0..3).for_each(|round| in_disorder(&image, &content, round));
    let (decoded, _, reads) = counts(&content);
    let file = File::options().write(true).open(&nameless(&image)[0]).expect("ours");
    let length = file.metadata().expect("a file").len();
    for at in (0..length).step_by(1000) {
        file.write_all_at(b"damage", at).expect("room");
    }
    (3..5).for_each(|round| in_disorder(&image, &content, round));
    let (again, _, later) = counts(&content);
    assert!(again > decoded, "what was damaged is decoded");
    // What was swapped anew after that is good.
    assert!(later > reads, "{later} after {reads}");
    file.set_len(0).expect("ours");
    in_disorder(&image, &content, 5);
}

#[test]
fn damage_of_the_blob_costs_no_more_files_than_in_order() {
    let image = Image::new(&[blob(1, &small_files(8))]);
    let path = image.path("blobs", 0);
    let length = fs::metadata(&path).expect("a blob").len();
    let file = File::options().read(true).write(true).open(&path).expect("ours");
    for part in 1..4 {
        let mut byte = [0];
        file.read_exact_at(&mut byte, length * part / 4).expect("inside");
        file.write_all_at(&[byte[0] ^ 0x10], length * part / 4).expect("room");
    }
    // Whether a file can be read; never other bytes.
    let reads = |content: &Content, file: &FileData| {
        let mut out = Vec::new();
        let read = content.read(file, 0, usize::MAX, &mut out);
        assert!(out == if read.is_ok() { image.bytes(file) } else { b"" });
        read.is_ok()
    };
    let content = image.open(alone());
    let in_order: Vec<bool> = image.files.iter().map(|file| reads(&content, file)).collect();
    let lost = in_order.iter().filter(|read| !**read).count();
    assert!(lost > 10 && lost < in_order.len() / 2, "{lost}");
    let content = open(&image);
    let mut noise = Noise::new(9);
    for _ in 0..3 * in_order.len() {
        let at = noise.below(in_order.len() as u64) as usize;
        assert_eq!(reads(&content, &image.files[at]), in_order[at], "file {at}");
    }
    assert!(counts(&content).1 > 0, "some of them on disk");
}

#[test]
fn many_readers_in_disorder_read_right() {
    let image = Image::new(&[blob(1, &small_files(5)), blob(8, &small_files(6))]);
    let content = image.open(Options { cache: 2 * MIB, ..Options::default() });
    std::thread::scope(|scope| {
        for reader in 0..4 {
            let (image, content) = (&image, &content);
            scope.spawn(move || (0..3).for_each(|r| in_disorder(image, content, reader * 10 + r)));
        }
    });
    assert!(counts(&content).1 > 0);
}

#[test]
fn without_a_place_for_it_everything_is_read_as_before() {
    let image = Image::new(&[blob(1, &small_files(7))]);
    let directory = image.store.root().join("content");
    let _ = fs::remove_dir_all(&directory);
    fs::write(&directory, b"").expect("room");
    let content = open(&image);
    in_disorder(&image, &content, 0);
    let (decoded, swapped, reads) = counts(&content);
    assert!(decoded > 64 << 20, "it would be worth it: {decoded}");
    assert_eq!((swapped, reads), (0, 0));
}
