//! `mount --supervise`: a killed server is replaced on the same directory within a second, until
//! somebody unmounts.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::program::{Bench, IMAGE, is_gone, kill, names, wait_for};
use crate::support::require::{can_mount, not_run};
use rustix::process::{Pid, Signal, kill_process};
use shalefs::mount::{self, State};
use shalefs::store::{MountRecord, Supervisor};
use shalefs::sys::mountinfo;

fn mount_supervised(bench: &Bench) -> (MountRecord, Supervisor) {
    let said = bench.try_mount(&["--supervise"]);
    assert!(said.success, "{}", said.stderr);
    let record = bench.record();
    let supervisor = record.supervisor.expect("it has one");
    assert!(supervisor.lives());
    (record, supervisor)
}

fn signal(supervisor: Supervisor, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(supervisor.pid).unwrap()).unwrap(), signal).unwrap();
}

fn read(bench: &Bench) -> io::Result<Vec<u8>> {
    fs::read(bench.dir.join("etc/word"))
}

/// Kills the server and waits for the next one.
fn kill_and_wait(bench: &Bench, record: &MountRecord) -> (MountRecord, Duration) {
    kill(record, Signal::KILL);
    let killed = Instant::now();
    wait_for("another server", || {
        bench.records().first().is_some_and(|next| next.pid != record.pid)
            && read(bench).is_ok_and(|bytes| bytes == b"sample\n")
    });
    (bench.record(), killed.elapsed())
}

fn assert_ended(bench: &Bench, supervisor: Supervisor) {
    wait_for("the supervisor to end", || !supervisor.lives());
    assert!(!bench.is_mounted() && bench.records().is_empty());
    assert_eq!(names(&bench.dir).unwrap(), 0);
}

#[test]
fn a_killed_server_is_replaced_within_a_second() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let (mut record, supervisor) = mount_supervised(&bench);
    for _ in 0..3 {
        let (next, took) = kill_and_wait(&bench, &record);
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!((&next.id, next.supervisor), (&record.id, Some(supervisor)));
        assert!(is_gone(&record));
        record = next;
    }
    let table = mountinfo::mounts().unwrap();
    assert_eq!(table.iter().filter(|row| row.mountpoint == bench.dir).count(), 1, "not stacked");
    let said = bench.shale(&["mounts"]);
    assert!(said.stdout.contains("alive, supervised"), "{}", said.stdout);
    let log = fs::read_to_string(bench.path(&format!("store/mounts/{}.log", record.id))).unwrap();
    assert_eq!(log.matches("signal 9 killed the server").count(), 3, "{log}");
    // What it needs stays, although the record's server has changed.
    assert!(bench.shale(&["prune", "-f"]).success);
    assert!(read(&bench).is_ok());
    let said = bench.umount();
    assert!(said.success, "{}", said.stderr);
    assert_ended(&bench, supervisor);
}

#[test]
fn a_signal_to_the_supervisor_unmounts() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let (record, supervisor) = mount_supervised(&bench);
    signal(supervisor, Signal::TERM);
    assert_ended(&bench, supervisor);
    assert!(is_gone(&record));
}

#[test]
fn unmounted_before_it_is_replaced_it_stays_unmounted() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let (record, supervisor) = mount_supervised(&bench);
    signal(supervisor, Signal::STOP);
    kill(&record, Signal::KILL);
    wait_for("the server to die", || is_gone(&record));
    // Its lock goes with the last of its threads, a moment later.
    wait_for("the lock to go", || {
        mount::list(&bench.store()).unwrap()[0].state == State::Restarting
    });
    assert!(mount::clean(&bench.store()).unwrap().is_empty(), "prune leaves it alone");
    let said = bench.umount();
    signal(supervisor, Signal::CONT);
    assert!(said.success, "{}", said.stderr);
    assert_ended(&bench, supervisor);
}

/// Takes the image's bytes away, or puts them back.
fn set_blobs(bench: &Bench, there: bool) {
    let (blobs, aside) = (bench.path("store/blobs"), bench.path("aside"));
    let (from, to) = if there { (aside, blobs) } else { (blobs, aside) };
    fs::rename(from, to).unwrap();
}

fn has_lost_its_server(bench: &Bench) -> bool {
    read(bench).is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN))
}

fn assert_dead(bench: &Bench) {
    let error = fs::read_dir(&bench.dir).map(drop).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN), "{error}");
    let error = fs::write(bench.dir.join("x"), "").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN), "{error}");
}

#[test]
fn while_it_cannot_be_replaced_the_dead_mount_stays() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let (record, supervisor) = mount_supervised(&bench);
    set_blobs(&bench, false);
    kill(&record, Signal::KILL);
    let killed = Instant::now();
    // A question that was on its way in that moment has another answer.
    wait_for("the mount to die", || has_lost_its_server(&bench));
    while killed.elapsed() < Duration::from_millis(500) {
        assert_dead(&bench);
    }
    set_blobs(&bench, true);
    wait_for("another server", || read(&bench).is_ok());
    // The rest of its eight lives, which takes 12 seconds.
    set_blobs(&bench, false);
    kill(&bench.record(), Signal::KILL);
    while supervisor.lives() {
        assert!(killed.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_dead(&bench);
    assert_eq!(mount::list(&bench.store()).unwrap()[0].state, State::Dead);
    assert!(bench.umount().success);
    assert_eq!(names(&bench.dir).unwrap(), 0);
}

#[test]
fn nobody_sees_the_directory_below_while_it_is_replaced() {
    let Some(_alone) = can_mount() else { return };
    if !mounts_beneath() {
        not_run("needs Linux 6.5");
        return;
    }
    let bench = Bench::new();
    let (mut record, supervisor) = mount_supervised(&bench);
    let done = AtomicBool::new(false);
    let (read_errors, written) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let (mut errors, mut written) = (Vec::new(), 0);
            while !done.load(Ordering::Relaxed) {
                errors.extend(read(&bench).err().and_then(|error| error.raw_os_error()));
                written += u32::from(fs::write(bench.dir.join("x"), "").is_ok());
            }
            (errors, written)
        });
        for _ in 0..5 {
            record = kill_and_wait(&bench, &record).0;
        }
        done.store(true, Ordering::Relaxed);
        looking.join().unwrap()
    });
    assert!(!read_errors.is_empty(), "it has seen the dead mount");
    assert!(!read_errors.contains(&libc::ENOENT));
    assert_eq!(written, 0);
    assert!(bench.umount().success);
    assert_ended(&bench, supervisor);
}

/// Linux 6.5 or later.
fn mounts_beneath() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(5))
}

#[test]
fn unmounted_while_it_cannot_be_replaced_it_does_not_come_back() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let directory = bench.dir.to_str().unwrap().to_owned();
    for target in [directory.as_str(), IMAGE, "--all"] {
        let (record, supervisor) = mount_supervised(&bench);
        set_blobs(&bench, false);
        kill(&record, Signal::KILL);
        wait_for("the server to die", || is_gone(&record));
        // Some attempts must have failed.
        std::thread::sleep(Duration::from_millis(300));
        let said = bench.shale(&["umount", target]);
        assert!(said.success, "{target}: {}", said.stderr);
        assert!(!bench.is_mounted() && bench.records().is_empty(), "{target}");
        set_blobs(&bench, true);
        assert_ended(&bench, supervisor);
    }
}

#[test]
fn unmounted_in_the_moment_it_is_replaced_it_does_not_come_back() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    for wait in 0..24 {
        let (record, supervisor) = mount_supervised(&bench);
        kill(&record, Signal::KILL);
        // It is mounted again 50 milliseconds after.
        std::thread::sleep(Duration::from_millis(40 + wait));
        let how = if wait % 2 == 0 { "--all" } else { bench.dir.to_str().unwrap() };
        let said = bench.shale(&["umount", how]);
        assert!(said.success, "{wait}: {}", said.stderr);
        assert_ended(&bench, supervisor);
    }
}

#[test]
fn without_its_supervisor_a_mount_goes_on() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let (record, supervisor) = mount_supervised(&bench);
    signal(supervisor, Signal::KILL);
    wait_for("the supervisor to die", || !supervisor.lives());
    assert!(read(&bench).is_ok());
    let said = bench.shale(&["mounts", "--format", "{{.State}} {{.Status}} {{.Supervisor}}."]);
    assert_eq!(said.stdout, "alive alive .\n");
    kill(&record, Signal::KILL);
    wait_for("the server to die", || mount::list(&bench.store()).unwrap()[0].state == State::Dead);
}

#[test]
fn what_cannot_be_mounted_is_an_error_at_once() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    fs::write(bench.dir.join("file"), "in the way").unwrap();
    let said = bench.try_mount(&["--supervise"]);
    assert!(!said.success);
    assert!(said.stderr.contains("not empty"), "{}", said.stderr);
    assert!(bench.records().is_empty());
}
