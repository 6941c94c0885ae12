//! Many of everything: 200 mounts at once, an image of 1,000 layers, a sparse file of 10 GiB.

#![allow(clippy::unwrap_used)]

use crate::support::program;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

use crate::support::images::{TestImage, TestLayer, gzip};
use crate::support::program::{Bench, IMAGE, wait_for};
use crate::support::require::can_mount;
use rustix::fs::{SeekFrom, seek};
use shalefs::oci::{DiffId, Digest};

/// How many mounts there are at once.
const MOUNTS: usize = 200;

const LAYERS: usize = 1000;

const SPARSE: u64 = 10 << 30;

#[test]
fn two_hundred_mounts_at_once() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let places: Vec<_> = (0..MOUNTS).map(|number| bench.path(&format!("m{number}"))).collect();
    for place in &places {
        fs::create_dir(place).unwrap();
        let said = bench.shale(&["mount", IMAGE, place.to_str().unwrap()]);
        assert!(said.success, "{}", said.stderr);
    }
    let records = bench.records();
    assert_eq!(records.len(), MOUNTS);
    for place in &places {
        assert_eq!(fs::read(place.join("etc/word")).unwrap(), b"sample\n");
    }
    let said = bench.shale(&["mounts", "--format", "{{.State}}"]);
    assert_eq!(said.stdout.matches("alive").count(), MOUNTS);
    let said = bench.shale(&["umount", "--all"]);
    assert!(said.success, "{}", said.stderr);
    wait_for("every server to end", || records.iter().all(program::is_gone));
    assert!(bench.records().is_empty());
    assert!(places.iter().all(|place| fs::read_dir(place).unwrap().count() == 0));
}

#[test]
fn an_image_of_a_thousand_layers() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    // Each has a file of its own, a word in a file that all have, and hides one of those below it.
    let layers = (0..LAYERS).map(|number| {
        let own = format!("f{number}");
        let hidden = format!(".wh.f{}", number.saturating_sub(500));
        let word = number.to_string();
        let mut files = vec![(own.as_str(), word.as_bytes()), ("all", word.as_bytes())];
        if number >= 500 {
            files.push((hidden.as_str(), b""));
        }
        TestLayer::of(&files)
    });
    TestImage::new(layers.collect(), "deep").put(&bench.store(), Some(IMAGE));
    bench.mount();
    let last = LAYERS - 1;
    assert_eq!(fs::read_to_string(bench.dir.join("all")).unwrap(), last.to_string());
    for number in 0..LAYERS {
        let found = fs::read_to_string(bench.dir.join(format!("f{number}"))).ok();
        assert_eq!(found, (number >= 500).then(|| number.to_string()), "f{number}");
    }
    let pid = bench.record().pid;
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert!(open < 400, "{open} descriptors");
}

#[test]
fn a_sparse_file_of_ten_gibibytes() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let source = bench.path("huge");
    let file = File::create(&source).unwrap();
    file.set_len(SPARSE).unwrap();
    for (offset, text) in [(0, "begin"), (SPARSE / 2, "middle"), (SPARSE - 4096, "end")] {
        file.write_all_at(text.as_bytes(), offset).unwrap();
    }
    let mut command = Command::new("tar");
    command.args(["--sparse", "--format=posix", "-cf", "-", "huge"]).current_dir(bench.path(""));
    let tar = command.output().unwrap();
    assert!(tar.status.success() && tar.stdout.len() < 1 << 20, "{} bytes", tar.stdout.len());
    let blob = gzip(&tar.stdout);
    let (digest, diff_id) = (Digest::sha256(&blob), DiffId(Digest::sha256(&tar.stdout)));
    TestImage::new(vec![TestLayer { blob, digest, diff_id }], "huge")
        .put(&bench.store(), Some(IMAGE));
    bench.mount();
    let file = File::open(bench.dir.join("huge")).unwrap();
    let status = file.metadata().unwrap();
    assert_eq!(status.len(), SPARSE);
    assert!(status.blocks() < 1000, "{} blocks", status.blocks());
    let read = |offset, length| {
        let mut bytes = vec![1; length];
        file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    };
    assert_eq!(read(0, 6), b"begin\0");
    assert_eq!(read(SPARSE / 2 - 1, 8), b"\0middle\0");
    assert_eq!(read(SPARSE - 4096, 4), b"end\0");
    assert!(read(SPARSE / 4, 1 << 20).iter().all(|byte| *byte == 0));
    let hole = seek(&file, SeekFrom::Hole(0)).unwrap();
    assert!((5..=1 << 16).contains(&hole), "{hole}");
    assert_eq!(seek(&file, SeekFrom::Data(hole)).unwrap() / 4096, SPARSE / 2 / 4096);
    assert_eq!(seek(&file, SeekFrom::Hole(SPARSE - 10)).unwrap(), SPARSE);
}
