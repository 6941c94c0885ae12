//! Unmounting beside somebody who swaps a directory above for a symlink, between the look and the act.
//!
//! A mount of the test's own has no server: nothing that unmounting does asks one.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::require::can_mount;
use shalefs::fuse::{self, MountError, MountOptions, MountPoint};
use shalefs::sys::mountinfo;

/// Tries, each with another way to swap and to unmount.
const TRIES: usize = 1000;

fn mount(place: &Path) -> OwnedFd {
    fuse::attach(&MountPoint::find(place).unwrap(), &options()).unwrap()
}

fn options() -> MountOptions {
    MountOptions { source: "race".into(), ..MountOptions::default() }
}

fn is_mounted(place: &Path) -> bool {
    mountinfo::at(place).unwrap().is_some()
}

/// A mount of somebody else, and a directory of the attacker's with a mount of ours in it.
struct Scene {
    top: PathBuf,
    _directory: tempfile::TempDir,
    _foreign: OwnedFd,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("foreign/mnt")).unwrap();
        fs::create_dir_all(top.join("mine/mnt")).unwrap();
        let foreign = mount(&top.join("foreign/mnt"));
        Self { top, _directory: directory, _foreign: foreign }
    }

    fn ours(&self) -> PathBuf {
        self.top.join("mine/mnt")
    }

    /// What stands at `mine` is put aside, and a link to the foreign directory comes in its place.
    fn swap(&self) {
        fs::rename(self.top.join("mine"), self.top.join("aside")).unwrap();
        symlink(self.top.join("foreign"), self.top.join("mine")).unwrap();
    }

    fn swap_back(&self) {
        fs::remove_file(self.top.join("mine")).unwrap();
        fs::rename(self.top.join("aside"), self.top.join("mine")).unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for name in ["foreign/mnt", "mine/mnt", "aside/mnt"] {
            let _ = fuse::detach(&self.top.join(name), true);
        }
    }
}

#[test]
fn an_unmount_takes_what_was_looked_at_whatever_the_path_leads_to_by_then() {
    let Some(_alone) = can_mount() else { return };
    let scene = Scene::new();
    for number in 0..TRIES {
        let lazy = number % 2 == 0;
        let ours = mount(&scene.ours());
        // The window: the mount was looked at, and is not unmounted yet.
        let point = MountPoint::find(&scene.ours()).unwrap();
        scene.swap();
        let result = point.unmount(lazy);
        let taken = !is_mounted(&scene.top.join("foreign/mnt"));
        let left = is_mounted(&scene.top.join("aside/mnt"));
        scene.swap_back();
        assert!(!taken, "{number}: the foreign mount is gone");
        // By its descriptor it is taken; by its name it is not where it was, and stays.
        match lazy {
            true => assert!(result.is_ok() && !left, "{number}: {result:?}"),
            false => {
                assert!(matches!(result, Err(MountError::NotMounted { .. })), "{result:?}");
                assert!(left, "{number}");
                fuse::detach(&scene.ours(), false).unwrap();
            }
        }
        drop(ours);
    }
}

#[test]
fn an_unmount_beside_somebody_who_swaps_all_the_time() {
    let Some(_alone) = can_mount() else { return };
    let scene = Scene::new();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                scene.swap();
                scene.swap_back();
            }
        });
        for number in 0..TRIES {
            // Where the path leads to in this moment is the attacker's to say; a mount that somebody
            // asks for by that path may be the foreign one, which is told apart by its device.
            let foreign = MountPoint::find(&scene.top.join("foreign/mnt")).unwrap().device();
            if let Ok(point) = MountPoint::find(&scene.ours())
                && point.is_mounted()
                && point.device() != foreign
            {
                let _ = point.unmount(number % 2 == 0);
            } else if let Ok(point) = MountPoint::find(&scene.ours())
                && !point.is_mounted()
            {
                let _ = fuse::attach(&point, &options());
            }
            assert!(is_mounted(&scene.top.join("foreign/mnt")), "{number}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
