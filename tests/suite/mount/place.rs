//! Where one cannot mount: each reason has its own message and a remedy, and leaves nothing.

#![allow(clippy::unwrap_used)]

use crate::support::program;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::program::{Bench, Said};
use crate::support::require::can_mount;
use rustix::mount::{MountFlags, UnmountFlags};
use shalefs::sys::mountinfo;

/// A mount of another kind, for as long as it is needed.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn new(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        rustix::mount::mount("none", &path, "tmpfs", MountFlags::empty(), c"size=4k").unwrap();
        Self(path)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn assert_refused(bench: &Bench, said: &Said, why: &str) {
    assert!(!said.success, "it was mounted");
    let mut lines = said.stderr.lines();
    let message = lines.next().unwrap();
    assert!(message.starts_with("shale: ") && message.contains(why), "{}", said.stderr);
    assert!(lines.next().is_some_and(|line| line.starts_with("hint: ")), "{}", said.stderr);
    assert_eq!(lines.next(), None, "{}", said.stderr);
    assert!(bench.store().mounts().unwrap().is_empty());
    assert_eq!(program::names(&bench.path("store/mounts")).unwrap(), 0);
}

/// An image that no place at hand has: a source that is asked for it fails at once.
const ELSEWHERE: &str = "oci:/nonexistent/layout:1";

#[test]
fn a_place_is_looked_at_before_the_image_is_fetched() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let missing = bench.path("missing");
    let missing = missing.to_str().unwrap();
    let said = bench.shale(&["mount", ELSEWHERE, missing]);
    let right = format!("shale: {missing}: no such directory\nhint: `--mkdir` makes it\n");
    assert_eq!(said.stderr, right, "the place, and not the image");
    let said = bench.shale(&["mount", ELSEWHERE, bench.dir.to_str().unwrap()]);
    assert!(!said.success && said.stderr.contains("/nonexistent/layout"), "{}", said.stderr);
}

#[test]
fn a_missing_directory_is_made_when_asked_for() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = Bench::new();
    bench.dir = bench.path("new/dir");
    let said = bench.try_mount(&["--mkdir"]);
    assert!(said.success, "{}", said.stderr);
    assert_eq!(fs::read(bench.dir.join("etc/word")).unwrap(), b"sample\n");
    assert!(bench.umount().success);
    // One that is there is what was wanted.
    assert!(bench.try_mount(&["--mkdir"]).success && bench.umount().success);
}

#[test]
fn a_place_that_cannot_be_mounted_on() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = Bench::new();
    fs::write(bench.path("file"), b"").unwrap();
    fs::create_dir_all(bench.path("full/entry")).unwrap();
    let tmpfs = Tmpfs::new(bench.path("tmpfs"));
    for (name, why) in [
        ("missing", "no such directory"),
        ("file", "not a directory"),
        ("file/below", "not a directory"),
        ("full", "the directory is not empty"),
        ("tmpfs", "already a mount point (none on tmpfs)"),
    ] {
        bench.dir = bench.path(name);
        let why = format!("{}: {why}", bench.dir.display());
        assert_refused(&bench, &bench.try_mount(&[]), &why);
    }
    assert!(mountinfo::at(&tmpfs.0).unwrap().is_some());
}

#[test]
fn a_place_can_be_mounted_on_once() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    let said = bench.try_mount(&[]);
    assert!(!said.success);
    let by = "already a mount point (docker.io/library/sample:1 on fuse.shale)";
    assert!(said.stderr.contains(by), "{}", said.stderr);
    assert_eq!(bench.store().mounts().unwrap(), [record]);
    assert_eq!(program::names(&bench.dir).unwrap(), 2);
}

#[test]
fn a_symlink_to_a_directory_is_followed() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = Bench::new();
    let link = bench.path("link");
    let real = std::mem::replace(&mut bench.dir, link);
    std::os::unix::fs::symlink("mnt", &bench.dir).unwrap();
    let said = bench.try_mount(&[]);
    assert!(said.success, "{}", said.stderr);
    let record = bench.store().mounts().unwrap().pop().unwrap();
    assert_eq!(record.mountpoint, real);
    assert!(bench.umount().success, "by the symlink too");
    assert!(program::is_gone(&record));
}

#[test]
fn umount_refuses_what_is_not_ours() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let tmpfs = Tmpfs::new(bench.path("tmpfs"));
    let said = bench.shale(&["umount", tmpfs.0.to_str().unwrap()]);
    assert!(!said.success);
    assert!(said.stderr.contains("a mount of type tmpfs, not of shale"), "{}", said.stderr);
    assert!(mountinfo::at(&tmpfs.0).unwrap().is_some());
    let said = bench.umount();
    assert!(said.stderr.contains("not mounted"), "{}", said.stderr);
    assert!(Path::new(&bench.dir).exists());
}

/// Runs the program in a mount namespace of its own, after `setup` changed something there.
fn try_mount_after(bench: &mut Bench, setup: &str) -> Said {
    let script = format!("{setup} && exec \"$@\"");
    bench.prefix = ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    bench.try_mount(&[])
}

#[test]
fn without_the_device() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = Bench::new();
    let said = try_mount_after(&mut bench, "mount -t tmpfs none /dev");
    assert_refused(&bench, &said, "/dev/fuse is missing");
}
