//! Damage below a mount: an error that names the digest, one line in the log a layer, never other
//! bytes; and what can be made again is made again.

#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(missing_docs)]

use crate::support::streams;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::support::streams::image::{Image, alone, read_whole};
use crate::support::streams::{blob, scanned};
use shalefs::content::{Content, ContentError};
use shalefs::store::Derived;
use shalefs::tree::FileData;

const MIB: usize = 1 << 20;

static LOG: Lines = Lines(Mutex::new(Vec::new()));

struct Lines(Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Error {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Lines of the log that name this layer.
fn lines_about(image: &Image) -> usize {
    let lines = LOG.0.lock().expect("no test panics in a log call");
    let digest = image.layers[0].digest().to_string();
    lines.iter().filter(|line| line.contains(&digest)).count()
}

fn image(layout: u64, seed: u64) -> Image {
    let _ = log::set_logger(&LOG);
    log::set_max_level(log::LevelFilter::Info);
    Image::new(&[blob(layout, &Arc::new(streams::tar(seed, 9 * MIB)))])
}

/// Reads all files: how many failed. What is read is right, and every error names the layer.
fn failures(image: &Image, content: &Content) -> usize {
    let read = |file: &&FileData| {
        let mut out = Vec::new();
        match content.read(file, 0, usize::MAX, &mut out) {
            Ok(()) => assert!(out == image.bytes(file), "other bytes"),
            Err(error) => {
                assert!(out.is_empty());
                let ContentError::Damaged { blob, .. } = &error else { panic!("{error}") };
                assert_eq!(blob, image.layers[0].digest());
                assert!(error.to_string().contains(&blob.to_string()), "{error}");
                return true;
            }
        }
        false
    };
    image.files.iter().filter(read).count()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("a file of the store");
    bytes[at] ^= 4;
    fs::write(path, bytes).expect("a file of the store");
}

#[test]
fn a_flipped_bit_in_the_blob() {
    for layout in [0, 1, 6] {
        let image = image(layout, 1);
        let middle = image.blobs[0].bytes.len() / 2;
        flip(&image.path("blobs", 0), middle);
        let content = image.open(alone());
        let failed = failures(&image, &content);
        assert!(failed > 0 && failed < image.files.len(), "layout {layout}: {failed} failed");
        failures(&image, &content);
        assert_eq!(lines_about(&image), 1, "layout {layout}");
    }
}

#[test]
fn a_blob_that_is_cut_off_missing_or_another() {
    for (seed, damage) in [(2, 0), (3, 1), (4, 2)] {
        let image = image(1, seed);
        let path = image.path("blobs", 0);
        match damage {
            0 => fs::write(&path, &image.blobs[0].bytes[..1000]).expect("room"),
            1 => fs::remove_file(&path).expect("it is there"),
            _ => fs::write(&path, vec![7; image.blobs[0].bytes.len()]).expect("room"),
        }
        let content = image.open(alone());
        let all = image.files.iter().filter(|file| file.size > 0).count();
        assert_eq!(failures(&image, &content), all);
        assert_eq!(lines_about(&image), 1);
    }
}

#[test]
fn a_blob_removed_while_it_is_read_goes_on() {
    let image = image(1, 5);
    let content = image.open(alone());
    read_whole(&content, &image.files[0], MIB);
    fs::remove_file(image.path("blobs", 0)).expect("it is there");
    assert_eq!(failures(&image, &content), 0);
}

#[test]
fn a_blob_cut_off_while_it_is_read() {
    let image = image(1, 6);
    let content = image.open(alone());
    read_whole(&content, &image.files[0], MIB);
    let half = image.blobs[0].bytes.len() as u64 / 2;
    let file =
        fs::OpenOptions::new().write(true).open(image.path("blobs", 0)).expect("it is there");
    file.set_len(half).expect("shorter");
    let failed = failures(&image, &content);
    assert!(failed > 0 && failed < image.files.len());
}

#[test]
fn a_table_that_is_missing_damaged_or_anothers() {
    let other = scanned(&blob(1, &Arc::new(streams::tar(99, MIB)))).toc;
    for (seed, damage) in [(7, 0), (8, 1), (9, 2), (10, 3)] {
        let image = image(1, seed);
        let path = image.path("toc", 0);
        let length = fs::metadata(&path).expect("it is there").len() as usize;
        match damage {
            0 => fs::remove_file(&path).expect("it is there"),
            1 => flip(&path, length - 100),
            2 => flip(&path, length - 324 - 64 - 64),
            _ => image.put(Derived::Toc, &other, &image.layers[0]),
        }
        let content = image.open(alone());
        assert_eq!(failures(&image, &content), image.files.len(), "damage {damage}");
        assert_eq!(lines_about(&image), 1);
    }
}

#[test]
fn a_damaged_window_costs_only_the_spans_behind_it() {
    let image = image(1, 11);
    // Windows come first in the file.
    flip(&image.path("toc", 0), 16 + 4000);
    let last = image.files.last().expect("a file");
    let content = image.open(alone());
    assert!(read_whole(&content, last, MIB) == image.bytes(last));
    let mut reversed = 0;
    for file in image.files.iter().rev() {
        reversed += usize::from(content.read(file, 0, usize::MAX, &mut Vec::new()).is_err());
    }
    assert!(reversed > 0 && reversed < image.files.len());
}

#[test]
fn a_seekable_form_that_is_missing_or_damaged_is_made_again() {
    for (layout, damage) in [(10, 0), (10, 1), (10, 2), (14, 0), (16, 1)] {
        let image = image(layout, 20 + damage);
        let path = image.path("seekable", 0);
        let good = fs::read(&path).expect("it is there");
        match damage {
            0 => fs::remove_file(&path).expect("it is there"),
            1 => flip(&path, good.len() / 2),
            _ => fs::write(&path, &good[..good.len() / 2]).expect("shorter"),
        }
        let content = image.open(alone());
        assert_eq!(failures(&image, &content), 0, "layout {layout}, damage {damage}");
        assert!(fs::read(&path).expect("it is there again") == good);
    }
}

#[test]
fn a_seekable_form_of_a_damaged_blob_is_an_error() {
    let image = image(10, 30);
    let middle = image.blobs[0].bytes.len() - 1000;
    fs::remove_file(image.path("seekable", 0)).expect("it is there");
    flip(&image.path("blobs", 0), middle);
    let content = image.open(alone());
    assert!(failures(&image, &content) > 0);
    assert!(!image.path("seekable", 0).exists());
}
