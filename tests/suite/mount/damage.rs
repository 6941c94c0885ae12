//! "A read returns the image's bytes or EIO with a log line that names the digest; never other
//! bytes, never a hang without a bound, never ENOENT for damage." What the store has is damaged
//! below living mounts, and servers are killed below living readers.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::images::{TestImage, TestLayer};
use crate::support::program::{Bench, IMAGE, is_gone, kill, wait_for};
use crate::support::require::can_mount;
use rustix::process::Signal;
use shalefs::store::MountRecord;

const SIZE: usize = 12 << 20;
const CHUNK: usize = 64 << 10;

/// A mounted image of one layer with a large file that does not compress.
struct Damaged {
    bench: Bench,
    record: MountRecord,
    bytes: Vec<u8>,
    layer: TestLayer,
}

impl Damaged {
    fn new() -> Self {
        let bench = Bench::new();
        let mut bytes = vec![0; SIZE];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let small: Vec<_> = (0..300).map(|number| format!("d{}/{number}", number % 9)).collect();
        let mut files: Vec<(&str, &[u8])> = vec![("large", &bytes)];
        files.extend(small.iter().map(|name| (name.as_str(), name.as_bytes())));
        let layer = TestLayer::of(&files);
        TestImage::new(vec![layer.clone()], "damage").put(&bench.store(), Some(IMAGE));
        let record = bench.mount();
        Self { bench, record, bytes, layer }
    }

    fn blob(&self) -> PathBuf {
        self.bench.path("store/blobs/sha256").join(self.layer.digest.hex())
    }

    /// Reads the large file piece by piece. How many pieces could not be read; the others are right.
    fn refused(&self) -> usize {
        let file = File::open(self.bench.dir.join("large")).expect("names need no blob");
        let mut refused = 0;
        for (number, right) in self.bytes.chunks(CHUNK).enumerate() {
            let mut piece = vec![0; right.len()];
            match file.read_exact_at(&mut piece, (number * CHUNK) as u64) {
                Ok(()) => assert!(piece == right, "other bytes in piece {number}"),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}");
                    refused += 1;
                }
            }
        }
        refused
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bench.path(&format!("store/mounts/{}.log", self.record.id)))
            .unwrap()
    }

    /// Damage was met, was said once, and cost nothing but its bytes.
    fn assert_reported(&self) {
        let log = self.log();
        assert_eq!(log.matches(&self.layer.digest.to_string()).count(), 1, "{log}");
        let found = Command::new("find").arg(&self.bench.dir).args(["-size", "+0"]).output();
        let found = String::from_utf8(found.unwrap().stdout).unwrap();
        assert!(found.lines().count() > 300, "every name is there");
        assert!(!is_gone(&self.record));
    }
}

#[test]
fn a_bit_that_flips_below_a_mount_is_eio_there_and_nowhere_else() {
    let Some(_alone) = can_mount() else { return };
    let damaged = Damaged::new();
    let blob = File::options().read(true).write(true).open(damaged.blob()).unwrap();
    let mut byte = [0];
    blob.read_exact_at(&mut byte, SIZE as u64 / 2).unwrap();
    blob.write_all_at(&[byte[0] ^ 4], SIZE as u64 / 2).unwrap();
    let refused = damaged.refused();
    assert!((1..=SIZE / CHUNK / 2).contains(&refused), "{refused} pieces");
    damaged.assert_reported();
}

#[test]
fn a_blob_that_is_cut_off_below_a_mount_is_eio() {
    let Some(_alone) = can_mount() else { return };
    let damaged = Damaged::new();
    // Opened before it is damaged.
    assert!(File::open(damaged.bench.dir.join("large")).unwrap().read_at(&mut [0], 0).is_ok());
    File::options().write(true).open(damaged.blob()).unwrap().set_len(SIZE as u64 / 2).unwrap();
    let refused = damaged.refused();
    assert!((1..SIZE / CHUNK).contains(&refused), "{refused} pieces");
    damaged.assert_reported();
}

#[test]
fn a_blob_that_is_removed_below_a_mount_is_eio_and_a_pull_heals_it() {
    let Some(_alone) = can_mount() else { return };
    let damaged = Damaged::new();
    fs::remove_file(damaged.blob()).unwrap();
    assert_eq!(damaged.refused(), SIZE / CHUNK);
    damaged.assert_reported();
    TestImage::new(vec![damaged.layer.clone()], "damage").put(&damaged.bench.store(), Some(IMAGE));
    assert_eq!(damaged.refused(), 0, "the same mount reads on");
}

#[test]
fn a_mount_outlives_its_store() {
    let Some(_alone) = can_mount() else { return };
    let damaged = Damaged::new();
    fs::rename(damaged.bench.path("store"), damaged.bench.path("gone")).unwrap();
    assert_eq!(damaged.refused(), SIZE / CHUNK);
    let found = Command::new("find").arg(&damaged.bench.dir).output().unwrap();
    assert!(found.status.success(), "names need no store");
    assert!(Command::new("umount").arg(&damaged.bench.dir).status().unwrap().success());
    wait_for("the server to end", || is_gone(&damaged.record));
}

/// Runs a program over and over, until it fails or there is a file `stop`; 7 when it failed.
fn start(program: &str, argument: &Path, stop: &Path) -> Child {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("until [ -e \"$2\" ]; do {program} \"$1\" >/dev/null 2>&1 || exit 7; done"));
    command.arg("sh").args([argument, stop]).stdin(Stdio::null()).spawn().unwrap()
}

#[test]
fn readers_of_a_killed_server_get_errors_and_never_hang() {
    let Some(_alone) = can_mount() else { return };
    let damaged = Damaged::new();
    let (place, stop) = (&damaged.bench.dir, damaged.bench.path("stop"));
    // Past the cache, so that the server is asked again and again.
    let large = format!("if={}", place.join("large").display());
    let direct = || start("dd iflag=direct bs=64k status=none", Path::new(&large), &stop);
    let mut readers: Vec<_> = (0..7).map(|_| direct()).collect();
    let mut find = start("find", place, &stop);
    std::thread::sleep(std::time::Duration::from_millis(300));
    for reader in readers.iter_mut().chain([&mut find]) {
        assert_eq!(reader.try_wait().unwrap(), None, "it reads until the server is killed");
    }
    kill(&damaged.record, Signal::KILL);
    wait_for("every reader to end", || {
        readers.iter_mut().all(|reader| reader.try_wait().unwrap().is_some())
    });
    for reader in &mut readers {
        assert_eq!(reader.wait().unwrap().code(), Some(7));
    }
    // What the kernel remembers it may go on telling: it is the image's. But nothing waits.
    fs::write(stop, "").unwrap();
    wait_for("find to end", || find.try_wait().unwrap().is_some());
}
