//! Unmounting takes what was meant and nothing else: beside detached mounts, in nests, and after a
//! mount that could not be finished.

#![allow(clippy::unwrap_used)]

use crate::support::program;
use std::fs::{self, File};

use crate::support::images::{TestImage, TestLayer};
use crate::support::program::{Bench, IMAGE};
use crate::support::require::can_mount;
use shalefs::mount::{self, State};

const OTHER: &str = "docker.io/library/other:1";

/// A bench with a second image, which has a directory to mount on.
fn bench_of_two() -> Bench {
    let bench = Bench::new();
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind) in
        [("below/word", tar::EntryType::Regular), ("mnt/empty", tar::EntryType::Directory)]
    {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(0);
        tar.append_data(&mut header, name, std::io::empty()).unwrap();
    }
    let layer = TestLayer::of_tar(&tar.into_inner().unwrap());
    TestImage::new(vec![layer], "other").put(&bench.store(), Some(OTHER));
    bench
}

#[test]
fn a_detached_mount_is_not_taken_for_what_was_mounted_on_its_place_later() {
    let Some(_alone) = can_mount() else { return };
    let bench = bench_of_two();
    let dir = bench.dir.to_str().unwrap();
    bench.mount();
    let held = File::open(bench.dir.join("etc/word")).unwrap();
    assert!(bench.shale(&["umount", "--lazy", dir]).success);
    assert!(bench.shale(&["mount", OTHER, dir]).success);
    let states: Vec<_> = mount::list(&bench.store()).unwrap();
    let of = |image: &str| states.iter().find(|listed| listed.record.image == image).unwrap().state;
    assert_eq!((of(IMAGE), of(OTHER)), (State::Detached, State::Alive));
    let said = bench.shale(&["umount", IMAGE]);
    assert!(said.success && said.stderr.contains("still in use"), "{said:?}");
    assert!(bench.dir.join("below/word").exists(), "the other image stays mounted");
    assert!(bench.shale(&["umount", dir]).success);
    // Now nothing is mounted there, and the first one is still served.
    let said = bench.shale(&["umount", dir]);
    assert!(said.success && said.stderr.contains("still in use"), "{said:?}");
    drop(held);
    program::wait_for("the detached server", || mount::list(&bench.store()).unwrap().is_empty());
    assert!(!bench.shale(&["umount", dir]).success, "nothing is left to unmount");
}

#[test]
fn all_of_a_nest_are_unmounted_at_once() {
    let Some(_alone) = can_mount() else { return };
    let bench = bench_of_two();
    let (outer, inner) = (bench.dir.clone(), bench.dir.join("mnt/empty"));
    // The order must not follow from the records' random names.
    for _ in 0..4 {
        assert!(bench.shale(&["mount", OTHER, outer.to_str().unwrap()]).success);
        assert!(bench.shale(&["mount", IMAGE, inner.to_str().unwrap()]).success);
        assert_eq!(fs::read(inner.join("etc/word")).unwrap(), b"sample\n");
        let said = bench.shale(&["umount", "--all"]);
        assert!(said.success, "{said:?}");
        assert!(mount::list(&bench.store()).unwrap().is_empty() && !bench.is_mounted());
    }
}
