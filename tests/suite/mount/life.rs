//! The life of a mount, made by the program: every way in which it ends.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::program::{Bench, IMAGE, is_gone, kill, names, wait_for};
use crate::support::require::can_mount;
use rustix::fs::{AtFlags, statat};
use rustix::io::Errno;
use rustix::process::Signal;
use shalefs::mount::{self, State};
use shalefs::store::MountRecord;

/// No mount, no server, no record, no log.
fn assert_nothing_left(bench: &Bench, record: &MountRecord) {
    wait_for("the server to end", || is_gone(record));
    assert!(!bench.is_mounted());
    assert_eq!(names(&bench.dir).unwrap(), 0);
    assert!(mount::list(&bench.store()).unwrap().is_empty());
    assert_eq!(names(&bench.path("store/mounts")).unwrap(), 0);
}

#[test]
fn a_mount_answers_when_the_command_returns_and_is_listed() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    assert_eq!(names(&bench.dir).unwrap(), 2);
    let listed = mount::list(&bench.store()).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].record, listed[0].state), (&record, State::Alive));
    assert_eq!((record.image.as_str(), &record.mountpoint), (IMAGE, &bench.dir));
    assert_eq!(record.pinned, bench.store().open_image(IMAGE).unwrap().pins());
    let said = bench.umount();
    assert!(said.success, "{}", said.stderr);
    assert!(is_gone(&record), "umount waits for the server");
    assert_nothing_left(&bench, &record);
}

#[test]
fn the_server_has_nothing_of_its_starter_open() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    // A pipe as standard output, the same as descriptor 9, and a working directory.
    let program = bench.command(&["mount", IMAGE, bench.dir.to_str().unwrap()]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec 9>&1; \"$@\"", "sh"]).arg(program.get_program());
    shell.args(program.get_args()).current_dir(bench.path("")).stdout(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    let mut output = String::new();
    // Ends only when every copy of the pipe is closed.
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(child.wait().unwrap().success());
    let record = bench.record();
    let proc = Path::new("/proc").join(record.pid.to_string());
    assert_eq!(fs::read_link(proc.join("cwd")).unwrap(), Path::new("/"));
    let stderr = fs::read_link(proc.join("fd/2")).unwrap();
    assert!(stderr.ends_with(format!("mounts/{}.log", record.id)), "{stderr:?}");
    assert_eq!(fs::read_link(proc.join("fd/1")).unwrap(), Path::new("/dev/null"));
    let stat = fs::read_to_string(proc.join("stat")).unwrap();
    let session = stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap();
    assert_eq!(session, record.pid.to_string(), "a session of its own");
}

#[test]
fn umount_8_ends_the_server_and_its_record() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    assert!(Command::new("umount").arg(&bench.dir).status().unwrap().success());
    assert_nothing_left(&bench, &record);
}

#[test]
fn sigterm_sigint_and_sighup_unmount() {
    let Some(_alone) = can_mount() else { return };
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let bench = Bench::new();
        let record = bench.mount();
        kill(&record, signal);
        assert_nothing_left(&bench, &record);
    }
}

#[test]
fn sigterm_on_a_busy_mount_takes_the_name_away_and_ends_with_the_last_user() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    let open = File::open(bench.dir.join("etc")).unwrap();
    kill(&record, Signal::TERM);
    wait_for("the name to go", || !bench.is_mounted());
    assert!(statat(&open, "word", AtFlags::empty()).is_ok());
    assert!(!is_gone(&record), "somebody still uses it");
    drop(open);
    assert_nothing_left(&bench, &record);
}

#[test]
fn a_second_signal_ends_a_busy_server_at_once() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    let open = File::open(bench.dir.join("etc")).unwrap();
    kill(&record, Signal::TERM);
    wait_for("the name to go", || !bench.is_mounted());
    kill(&record, Signal::TERM);
    wait_for("the server to end", || is_gone(&record));
    let after = statat(&open, "never seen", AtFlags::empty());
    assert_eq!(after.unwrap_err(), Errno::NOTCONN);
    drop(open);
    assert_nothing_left(&bench, &record);
}

#[test]
fn umount_of_a_busy_mount_is_refused_unless_lazy() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    let open = File::open(bench.dir.join("etc")).unwrap();
    let said = bench.umount();
    assert!(!said.success);
    assert!(said.stderr.contains("the mount is busy"), "{}", said.stderr);
    assert!(said.stderr.contains("hint: ") && said.stderr.contains("--lazy"), "{}", said.stderr);
    assert_eq!(names(&bench.dir).unwrap(), 2, "it still answers");
    let said = bench.shale(&["umount", "--lazy", bench.dir.to_str().unwrap()]);
    assert!(said.success, "{}", said.stderr);
    assert!(!bench.is_mounted());
    assert!(!is_gone(&record), "somebody still uses it");
    drop(open);
    assert_nothing_left(&bench, &record);
}

#[test]
fn umount_by_image_takes_every_mount_of_it() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = Bench::new();
    let first = bench.mount();
    let other = bench.path("other");
    let one = std::mem::replace(&mut bench.dir, other);
    fs::create_dir(&bench.dir).unwrap();
    let second = bench.mount();
    let said = bench.shale(&["umount", "sample:1"]);
    assert!(said.success, "{}", said.stderr);
    assert!(is_gone(&first) && is_gone(&second));
    assert_eq!(names(&one).unwrap(), 0);
    assert_nothing_left(&bench, &second);
}

#[test]
fn in_the_foreground_sigint_ends_it_without_an_error() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let (mut child, record) = bench.start_foreground();
    assert_eq!(record.pid, child.id());
    assert_eq!(names(&bench.dir).unwrap(), 2);
    kill(&record, Signal::INT);
    assert!(child.wait().unwrap().success());
    assert_nothing_left(&bench, &record);
}

#[test]
fn a_hundred_mounts_at_once() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = Bench::new();
    let records: Vec<_> = (0..100)
        .map(|number| {
            bench.dir = bench.path(&format!("mnt{number}"));
            fs::create_dir(&bench.dir).unwrap();
            bench.mount()
        })
        .collect();
    for record in &records {
        assert_eq!(names(&record.mountpoint).unwrap(), 2);
    }
    let said = bench.shale(&["umount", "--all"]);
    assert!(said.success, "{}", said.stderr);
    assert!(records.iter().all(is_gone));
    assert_nothing_left(&bench, &records[0]);
}

#[test]
fn tar_with_attributes_is_content_with_an_image_that_has_none() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    bench.mount();
    let mut tar = Command::new("tar");
    tar.args(["--xattrs", "--acls", "-cf", "-", "."]).current_dir(&bench.dir);
    let output = tar.output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
