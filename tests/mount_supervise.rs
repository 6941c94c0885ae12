//! `mount --supervise`: a killed server is replaced on the same directory within a second, until
//! somebody unmounts.

#![allow(clippy::unwrap_used)]

#[path = "support/images.rs"]
mod images;
#[path = "support/program.rs"]
mod program;
#[path = "support/require.rs"]
mod require;

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use program::{Bench, is_gone, kill, names, wait_for};
use require::can_mount;
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
    let listed = mount::list(&bench.store()).unwrap();
    assert_eq!(listed[0].state, State::Restarting);
    assert!(mount::clean(&bench.store()).unwrap().is_empty(), "prune leaves it alone");
    let said = bench.umount();
    signal(supervisor, Signal::CONT);
    assert!(said.success, "{}", said.stderr);
    assert_ended(&bench, supervisor);
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
    wait_for("the server to die", || is_gone(&record));
    assert_eq!(mount::list(&bench.store()).unwrap()[0].state, State::Dead);
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
