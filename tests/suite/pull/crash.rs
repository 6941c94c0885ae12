//! A pull that is cut off anywhere, on a disk that loses what was not synced or fails at any call:
//! the store is whole, the name stands for the old image or the new one, and the next pull works.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use crate::support::figures;
use crate::support::images;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::support::fake_source::FakeSource;
use crate::support::faulty::{Fault, FaultyDisk};
use crate::support::images::{TestImage, TestLayer};
use crate::support::replay::{Forgets, Loss, RecordingDisk};
use crate::support::require::is_root;
use shalefs::pull::{self, Options, PullError, Silent};
use shalefs::store::verify::Severity;
use shalefs::store::{Disk, Store};

const NAME: &str = "docker.io/library/a:1";

struct Images {
    old: TestImage,
    new: TestImage,
}

impl Images {
    fn new() -> Self {
        let layer = |word: &str| TestLayer::of(&[(word, word.repeat(900).as_bytes())]);
        let base = layer("base");
        Self {
            old: TestImage::new(vec![base.clone(), layer("old")], "old"),
            new: TestImage::new(vec![base, layer("new"), layer("top")], "new")
                .into_docker("diff.tar.gzip"),
        }
    }

    /// Pulls one image and then the other under one name.
    fn pull_both(&self, root: &Path, disk: Arc<dyn Disk>) -> Result<(), PullError> {
        let store = Store::open_with(root, disk)?;
        // One at a time, so that every run has the same effects in the same order.
        let options = Options { jobs: 1, ..Options::default() };
        for image in [&self.old, &self.new] {
            pull::pull(&store, &FakeSource::of(image), Some(NAME), &options, &Silent)?;
        }
        Ok(())
    }

    /// Whatever happened, nothing is damaged, and pulling again gives the image.
    fn check(&self, root: &Path, what: &str) {
        let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::never());
        let store = Store::open_with(root, Arc::clone(&disk)).expect("a store or nothing");
        if let Some(row) = store.names().expect("an index").first() {
            let image = store.image_of(&row.manifest).expect("whole documents");
            assert!(image.id == self.old.id() || image.id == self.new.id(), "{what}");
            pull::ensure_tree(&store, &image).expect("it can be mounted");
        }
        let damaged = |root: &Path| {
            let found = pull::verify(&Store::open(root).unwrap(), None, true).expect("verify");
            let bad: Vec<_> =
                found.into_iter().filter(|f| f.severity == Severity::Damage).collect();
            assert_eq!(bad, [], "{what}");
        };
        damaged(root);
        self.pull_both(root, disk).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(store.open_image(NAME).unwrap().id, self.new.id());
        damaged(root);
    }
}

#[test]
fn a_crash_at_any_moment_of_a_pull_loses_nothing() {
    let images = Images::new();
    let directory = images::quick_directory();
    let root = directory.path().join("s");
    let disk = Arc::new(RecordingDisk::new(&root, Forgets::Nothing));
    images.pull_both(&root, Arc::clone(&disk) as Arc<_>).expect("nothing goes wrong");
    let mut losses = vec![Loss::Nothing, Loss::Everything, Loss::Bytes];
    losses.extend(disk.directories().into_iter().map(Loss::AllNamesBut));
    let mut crashes = 0;
    for count in 0..=disk.len() {
        // Every loss at every moment would take a minute; in turn, they meet all kinds of moments.
        let turn = [&losses[0], &losses[1], &losses[2 + count % (losses.len() - 2)]];
        for loss in turn {
            let target = directory.path().join("after");
            disk.lay_out(count, loss, &target);
            images.check(&target, &format!("after {count} effects, losing {loss:?}"));
            fs::remove_dir_all(&target).unwrap();
            crashes += 1;
        }
    }
    eprintln!("{} effects, {crashes} crashes", disk.len());
    figures::count("prefixes replayed", crashes);
    assert!(crashes > 300, "{crashes}");
}

#[test]
fn a_full_or_failing_disk_is_reported_and_loses_nothing() {
    let images = Images::new();
    let mut struck = 0;
    for fault in [libc::ENOSPC, libc::EIO, libc::EMFILE].map(Fault::Errno) {
        for at in 0.. {
            let directory = images::quick_directory();
            let root = directory.path().join("s");
            let disk = Arc::new(FaultyDisk::new(at, fault));
            let result = images.pull_both(&root, Arc::clone(&disk) as Arc<_>);
            if !disk.struck() {
                result.expect("nothing went wrong");
                break;
            }
            struck += 1;
            if let Err(error) = result {
                let text = error.to_string();
                assert!(text.contains("(os error "), "it says what the system said: {text}");
                assert!(!error.is_mismatch(), "a disk is no reason for exit status 3: {text}");
            }
            images.check(&root, &format!("{fault:?} at call {at}"));
        }
    }
    eprintln!("{struck} calls failed, one at a time");
    figures::count("injected errors", struck);
    assert!(struck > 200, "{struck}");
}

#[test]
fn a_disk_that_is_really_full() {
    // For a small tmpfs.
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mount = Small::mount(directory.path());
    let root = directory.path().join("s");
    let mut noise = vec![0; 40 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let layer = TestLayer::of(&[("noise", noise.as_slice())]);
    let large = TestImage::new(vec![layer], "large");
    let small = TestImage::small("small");
    let pull = |image: &TestImage, name| {
        let store = Store::open(&root).unwrap();
        pull::pull(&store, &FakeSource::of(image), Some(name), &Options::default(), &Silent)
    };
    pull(&small, NAME).expect("a small one fits");
    let error = pull(&large, "docker.io/library/large:1").expect_err("a large one does not");
    assert!(error.to_string().contains("No space left on device"), "{error}");
    let store = Store::open(&root).unwrap();
    let found = pull::verify(&store, None, true).unwrap();
    assert!(found.iter().all(|finding| finding.severity == Severity::Leftover), "{found:#?}");
    assert_eq!(store.open_image(NAME).unwrap().id, small.id());
    let prune = shalefs::store::Prune {
        all: false,
        filter: &|_| true,
        content: &images::no_content,
        dry_run: false,
    };
    assert!(store.prune(&prune).unwrap().reclaimed > 10 << 20, "what was fetched can go");
    pull(&TestImage::small("other"), NAME).expect("and then there is room again");
    drop(mount);
}

/// A tmpfs of 16 MiB, unmounted when dropped, whatever happens.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(path: &'a Path) -> Self {
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"])
            .arg(path)
            .status();
        assert!(status.expect("mount(8)").success());
        Self(path)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0).status();
    }
}
