//! Mounts whose server was killed: shown, and removed by everything that removes mounts.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use crate::support::program::{Bench, is_gone, kill, names, wait_for};
use crate::support::require::can_mount;
use rustix::process::Signal;
use shalefs::mount::{self, State};
use shalefs::store::MountRecord;
use shalefs::sys::mountinfo;

/// Kills the server as nothing can be prevented from.
fn mount_dead(bench: &Bench) -> MountRecord {
    let record = bench.mount();
    kill(&record, Signal::KILL);
    wait_for("the server to die", || is_gone(&record));
    wait_for("the mount to be dead", || {
        names(&bench.dir).is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN))
    });
    record
}

fn assert_clean(bench: &Bench) {
    assert!(!bench.is_mounted());
    assert_eq!(names(&bench.dir).unwrap(), 0);
    assert!(mount::list(&bench.store()).unwrap().is_empty());
    assert_eq!(names(&bench.path("store/mounts")).unwrap(), 0);
}

#[test]
fn it_is_listed_and_umount_cleans_it() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = mount_dead(&bench);
    let listed = mount::list(&bench.store()).unwrap();
    assert_eq!((&listed[0].record, listed[0].state), (&record, State::Dead));
    let said = bench.umount();
    assert!(said.success, "{}", said.stderr);
    assert_clean(&bench);
}

#[test]
fn the_next_mount_cleans_its_place() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let dead = mount_dead(&bench);
    let alive = bench.mount();
    assert_ne!(dead.id, alive.id);
    assert_eq!(names(&bench.dir).unwrap(), 2);
    let table = mountinfo::mounts().unwrap();
    assert_eq!(table.iter().filter(|row| row.mountpoint == bench.dir).count(), 1, "not stacked");
    let listed = mount::list(&bench.store()).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].record, alive);
}

#[test]
fn clean_and_umount_all_take_it() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = mount_dead(&bench);
    assert_eq!(mount::clean(&bench.store()).unwrap(), [record]);
    assert_clean(&bench);
    mount_dead(&bench);
    let said = bench.shale(&["umount", "--all"]);
    assert!(said.success, "{}", said.stderr);
    assert_clean(&bench);
}

#[test]
fn a_shell_that_stands_in_it_does_not_keep_it() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    let mut shell = Command::new("sleep").arg("60").current_dir(&bench.dir).spawn().unwrap();
    kill(&record, Signal::KILL);
    wait_for("the server to die", || is_gone(&record));
    let said = bench.umount();
    shell.kill().unwrap();
    shell.wait().unwrap();
    assert!(said.success, "{}", said.stderr);
    assert_clean(&bench);
}

#[test]
fn unmounted_by_somebody_else_it_is_only_a_record() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    mount_dead(&bench);
    assert!(Command::new("umount").arg(&bench.dir).status().unwrap().success());
    let said = bench.umount();
    assert!(said.success, "{}", said.stderr);
    assert_clean(&bench);
    let said = bench.umount();
    assert!(!said.success);
    assert!(said.stderr.contains("not mounted"), "{}", said.stderr);
}

#[test]
fn its_directory_may_be_gone() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    mount_dead(&bench);
    assert!(Command::new("umount").arg(&bench.dir).status().unwrap().success());
    std::fs::remove_dir(&bench.dir).unwrap();
    let said = bench.umount();
    assert!(said.success, "{}", said.stderr);
    assert!(bench.store().mounts().unwrap().is_empty());
}

#[test]
fn cleaning_never_touches_a_living_mount_of_another_store() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let dead = mount_dead(&bench);
    assert!(Command::new("umount").arg(&bench.dir).status().unwrap().success());
    let mut other = Bench::new();
    other.dir.clone_from(&bench.dir);
    let alive = other.mount();
    assert_eq!(mount::clean(&bench.store()).unwrap(), [dead]);
    assert_eq!(names(&bench.dir).unwrap(), 2);
    assert!(!is_gone(&alive));
}
