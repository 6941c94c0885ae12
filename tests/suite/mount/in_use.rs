//! What is mounted is in use, and stays: between two servers, on a store that cannot be written, for
//! other users; and what a record says leads nowhere else.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::program::{Bench, IMAGE, is_gone, kill, wait_for};
use crate::support::require::can_mount;
use rustix::process::{Pid, Signal, kill_process};
use shalefs::mount::{self, State};
use shalefs::store::Supervisor;

fn signal(supervisor: Supervisor, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(supervisor.pid).unwrap()).unwrap(), signal).unwrap();
}

fn word(bench: &Bench) -> Option<Vec<u8>> {
    fs::read(bench.dir.join("etc/word")).ok()
}

#[test]
fn between_two_servers_a_supervised_image_is_in_use() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    assert!(bench.try_mount(&["--supervise"]).success);
    let record = bench.record();
    let supervisor = record.supervisor.unwrap();
    // The gap is held open: the supervisor does not run.
    signal(supervisor, Signal::STOP);
    kill(&record, Signal::KILL);
    wait_for("the server to die", || is_gone(&record));
    wait_for("the lock to go", || {
        mount::list(&bench.store()).unwrap()[0].state == State::Restarting
    });
    let pruned = bench.shale(&["prune", "-a", "-f"]);
    let removed = bench.shale(&["rm", "-f", IMAGE]);
    let listed = bench.shale(&["ls", "-q"]);
    signal(supervisor, Signal::CONT);
    assert!(pruned.success && !pruned.stdout.contains("deleted"), "{pruned:?}");
    assert!(!removed.success && removed.stderr.contains("in use"), "{removed:?}");
    assert_eq!(listed.stdout.lines().count(), 1, "{listed:?}");
    wait_for("another server", || word(&bench).is_some_and(|word| word == b"sample\n"));
    assert!(bench.umount().success);
    assert!(bench.shale(&["rm", IMAGE]).success, "and afterwards it is not");
}

#[test]
fn a_record_leads_to_no_other_file() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let outside = bench.path("victim");
    for name in ["victim.log", "victim.json"] {
        fs::write(bench.path(name), "").unwrap();
    }
    bench.mount();
    let record = bench.record();
    assert!(bench.umount().success);
    // A dead mount's record that claims to be another one.
    let text = serde_json::to_string(&record).unwrap();
    for id in ["../../victim", outside.to_str().unwrap(), "x", "", "."] {
        let forged = text.replace(record.id.as_str(), id);
        assert_ne!(forged, text);
        fs::write(bench.path("store/mounts/forged.json"), forged).unwrap();
        assert!(bench.store().mounts().unwrap().is_empty(), "{id}");
        assert!(bench.shale(&["prune", "-f"]).success);
        assert!(bench.shale(&["umount", "--all"]).success);
        assert!(bench.path("victim.log").exists() && bench.path("victim.json").exists(), "{id}");
    }
}

/// Makes the store read-only while `work` runs.
fn read_only(store: &Path, work: impl FnOnce()) {
    let run = |program: &str, words: &[&str]| {
        assert!(Command::new(program).args(words).arg(store).status().unwrap().success());
    };
    run("mount", &["--bind", store.to_str().unwrap()]);
    run("mount", &["-o", "remount,ro,bind"]);
    let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    run("umount", &["-l"]);
    if let Err(panic) = worked {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_store_that_cannot_be_written_is_read() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    // Tables are made once, while they can be.
    assert!(bench.shale(&["files", IMAGE]).success);
    read_only(&bench.path("store"), || {
        for words in [&["cat", IMAGE, "/etc/word"][..], &["files", IMAGE], &["layers", IMAGE]] {
            let said = bench.shale(words);
            assert!(said.success, "{words:?}: {said:?}");
        }
        let said = bench.try_mount(&[]);
        assert!(said.success, "{said:?}");
        assert_eq!(word(&bench).unwrap(), b"sample\n");
        let listed = bench.shale(&["mounts", "--format", "{{.State}} {{.Dir}}"]);
        assert_eq!(listed.stdout, format!("alive {}\n", bench.dir.display()));
        let said = bench.umount();
        assert!(said.success && said.stderr.is_empty(), "{said:?}");
        assert!(mount::list(&bench.store()).unwrap().is_empty());
        let said = bench.shale(&["chroot", IMAGE, "/none"]);
        assert!(!said.stderr.contains("Read-only"), "{said:?}");
    });
}

#[test]
fn a_full_disk_blocks_no_reading() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    assert!(bench.shale(&["files", IMAGE]).success);
    // A copy of the store on a disk of its own, filled to the last byte and the last name.
    let disk = bench.path("disk");
    fs::create_dir(&disk).unwrap();
    let run = |program: &str, words: &[&str]| {
        assert!(Command::new(program).args(words).status().unwrap().success(), "{words:?}");
    };
    let at = disk.to_str().unwrap();
    run("mount", &["-t", "tmpfs", "-o", "size=4m,nr_inodes=100,mode=0700", "shale-test", at]);
    let work = || {
        run("cp", &["-a", bench.path("store").to_str().unwrap(), at]);
        let filler = fs::write(disk.join("filler"), vec![0; 8 << 20]);
        assert!(filler.is_err(), "the disk is full");
        let full = (0..200).any(|number| fs::write(disk.join(number.to_string()), "").is_err());
        assert!(full, "there is no name left either");
        let root = disk.join("store");
        let root = ["--root", root.to_str().unwrap()];
        let program = bench.command(&[]).get_program().to_owned();
        let shale =
            |words: &[&str]| Command::new(&program).args(root).args(words).output().unwrap();
        for words in [&["cat", IMAGE, "/etc/word"][..], &["files", IMAGE]] {
            let said = shale(words);
            assert!(said.status.success(), "{words:?}: {said:?}");
        }
        let directory = bench.dir.to_str().unwrap();
        let said = shale(&["mount", IMAGE, directory]);
        assert!(said.status.success(), "{said:?}");
        assert_eq!(word(&bench).unwrap(), b"sample\n");
        let said = shale(&["umount", directory]);
        assert!(said.status.success(), "{said:?}");
    };
    let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    run("umount", &["-l", at]);
    if let Err(panic) = worked {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn of_several_who_mount_on_one_directory_one_does() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let directory = bench.dir.to_str().unwrap();
    for _ in 0..5 {
        let start = |_| bench.command(&["-q", "mount", IMAGE, directory]).spawn().unwrap();
        let children: Vec<_> = (0..4).map(start).collect();
        let ended = children.into_iter().map(|mut child| child.wait().unwrap().success());
        assert_eq!(ended.filter(|success| *success).count(), 1);
        let table = shalefs::sys::mountinfo::mounts().unwrap();
        assert_eq!(table.iter().filter(|row| row.mountpoint == bench.dir).count(), 1);
        assert!(bench.umount().success);
    }
}

#[test]
fn a_shared_store_is_read_by_others_without_a_copy() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = Bench::new();
    assert!(bench.shale(&["files", IMAGE]).success);
    assert!(bench.shale(&["--shared", "ls"]).success);
    assert!(bench.shale(&["verify"]).success, "its modes are as they must be");
    for (name, mode) in [("", 0o755), ("blobs/sha256", 0o755), ("ingest", 0o700), ("mounts", 0o700)]
    {
        let found = fs::metadata(bench.path("store").join(name)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
    bench.prefix =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).to_vec();
    let said = bench.shale(&["cat", IMAGE, "/etc/word"]);
    assert_eq!(said.stdout, "sample\n", "{said:?}");
    let said = bench.shale(&["tag", IMAGE, "other:1"]);
    assert!(!said.success, "they cannot change it");
    bench.prefix.clear();
    assert!(bench.shale(&["--shared=nobody", "ls"]).success);
    let mode = fs::metadata(bench.path("store")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn a_name_that_has_moved_on_is_said() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    bench.mount();
    let status = || bench.shale(&["mounts", "--format", "{{.Status}} {{.Moved}}"]).stdout;
    assert_eq!(status(), "alive false\n");
    crate::support::images::TestImage::small("two").put(&bench.store(), Some(IMAGE));
    assert_eq!(status(), "alive, name moved true\n");
    assert!(bench.umount().success);
}
