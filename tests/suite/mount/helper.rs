//! `mount -t fuse.shale` and lines of fstab, through mount(8) itself; and mounts that go away with
//! their server.
//!
//! The link that mount(8) calls is made in a mount namespace of the test's own, on an overlay over
//! /usr/sbin: nothing on the machine is changed.

#![allow(clippy::unwrap_used)]

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use crate::support::program::{Bench, IMAGE, is_gone, kill, wait_for};
use crate::support::require::can_mount;
use rustix::process::Signal;

/// Runs a script in which mount(8) has the helper. `$dir` is the mount point, `$root` the store.
fn script(bench: &Bench, text: &str) -> Output {
    let setup = "set -e; mount -t tmpfs none \"$stage\"; mkdir \"$stage/u\" \"$stage/w\"
        mount -t overlay -o lowerdir=/usr/sbin,upperdir=\"$stage/u\",workdir=\"$stage/w\" o /usr/sbin
        ln -s \"$shale\" /usr/sbin/mount.fuse.shale
        trap 'umount -l \"$dir\" 2>/dev/null || :' EXIT; set +e\n";
    let stage = bench.path("stage");
    std::fs::create_dir_all(&stage).unwrap();
    // Makes the copy of the program.
    let shale = bench.command(&["ls"]).get_program().to_owned();
    Command::new("unshare")
        .args(["--mount", "--propagation=slave", "sh", "-c", &format!("{setup}{text}")])
        .env("stage", stage)
        .env("shale", shale)
        .env("dir", &bench.dir)
        .env("root", bench.path("store"))
        .env("image", IMAGE)
        .output()
        .unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn mount_8_mounts_and_umount_8_unmounts() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let text =
        "mount -t fuse.shale -o root=$root,uid=7,noexec,x-systemd.automount,_netdev sample:1 $dir
        echo $?; cat $dir/etc/word; findmnt -n -o SOURCE,FSTYPE,OPTIONS $dir; stat -c %u $dir/other
        umount $dir; echo $?; findmnt $dir; echo $?";
    let lines = lines(&script(&bench, text));
    assert_eq!((&*lines[0], &*lines[1], &*lines[3]), ("0", "sample", "7"), "{lines:?}");
    assert!(lines[2].starts_with("sample:1 fuse.shale ro,nosuid,nodev,noexec"), "{lines:?}");
    assert_eq!(lines[4..], ["0", "1"], "{lines:?}");
    wait_for("the record to go", || bench.records().is_empty());
}

#[test]
fn words_that_mount_8_keeps_for_itself_have_others() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let text = "mount -t fuse.shale -o root=$root,deny_other,allow_suid,allow_dev sample:1 $dir
        echo $?; findmnt -n -o OPTIONS $dir
        setpriv --reuid=65534 --regid=65534 --clear-groups ls $dir >/dev/null 2>&1; echo $?
        umount $dir";
    let lines = lines(&script(&bench, text));
    assert_eq!((&*lines[0], &*lines[2]), ("0", "2"), "{lines:?}");
    assert!(!lines[1].contains("nosuid") && !lines[1].contains("nodev"), "{lines:?}");
    assert!(!lines[1].contains("allow_other"), "{lines:?}");
}

#[test]
fn in_the_environment_that_systemd_makes_the_login_is_found() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let text = "echo \"sample:1 $dir fuse.shale ro,nofail,_netdev,supervise,root=$root,fsname=a\\\\,b 0 0\" >$stage/fstab
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin mount -T $stage/fstab -a; echo $?
        findmnt -n -o SOURCE $dir; cat $dir/etc/word; umount $dir; echo $?";
    let lines = lines(&script(&bench, text));
    assert_eq!(lines, ["0", "a,b", "sample", "0"]);
    // mount(8) strips HOME; whose login it is says the list of users.
    let home = shalefs::source::Options::from_environment().auth_files;
    assert!(!home.is_empty());
}

#[test]
fn a_line_of_fstab_is_mounted_once() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let text =
        "echo \"sample:1 $dir fuse.shale defaults,nofail,pull=never,root=$root 0 0\" >$stage/fstab
        mount -v -T $stage/fstab -a; echo $?; mount -v -T $stage/fstab -a; echo $?
        grep -c \" $dir \" /proc/self/mountinfo; umount $dir";
    let lines = lines(&script(&bench, text));
    assert_eq!(lines.iter().filter(|line| *line == "0").count(), 2, "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with(": already mounted")), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "1", "{lines:?}");
}

#[test]
fn mount_8_hears_why_not() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    for (options, image, expected, words) in [
        ("pull=never", "absent:1", "32", "no such image: absent:1"),
        (
            "pull=never,platform=linux/s390x",
            "sample:1",
            "32",
            "the stored image is for linux/amd64",
        ),
        ("layer=9", "sample:1", "32", "layer 9"),
        ("nonsense", "sample:1", "1", "unknown mount option"),
        ("nosymfollow", "sample:1", "1", "not for mounts of images"),
        ("remount", "sample:1", "1", "cannot be changed"),
        ("uid=me", "sample:1", "1", "not a numeric ID"),
        ("pull=perhaps", "sample:1", "1", "perhaps"),
    ] {
        let text = format!("mount -t fuse.shale -o root=$root,{options} {image} $dir; echo $?");
        let output = script(&bench, &text);
        assert_eq!(lines(&output), [expected], "{options}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with("shale: ") && said.contains(words), "{options}: {said}");
    }
    let text = "mount -s -t fuse.shale -o root=$root,nonsense sample:1 $dir; echo $?; umount $dir
        mount -f -t fuse.shale -o root=$root sample:1 $dir; echo $?; findmnt $dir; echo $?";
    assert_eq!(lines(&script(&bench, text)), ["0", "0", "1"], "sloppy, fake");
}

#[test]
fn the_helper_wants_two_places() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let program = bench.command(&[]).get_program().to_owned();
    for words in [&["a"][..], &["a", "b", "c"], &["a", "b", "-x"], &["a", "b", "-o"]] {
        let output = Command::new(&program).arg0("mount.fuse.shale").args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage: mount.fuse.shale"));
    }
}

#[test]
fn auto_unmount_takes_away_what_a_killed_server_left() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let directory = bench.dir.to_str().unwrap();
    let said = bench.try_mount(&["-o", "auto_unmount"]);
    assert!(said.success, "{}", said.stderr);
    let record = bench.record();
    kill(&record, Signal::KILL);
    wait_for("the server to die", || is_gone(&record));
    wait_for("the mount to go", || !bench.is_mounted());
    wait_for("the record to go", || bench.records().is_empty());
    let mut child = bench
        .command(&["mount", "--foreground", "-o", "auto_unmount", IMAGE, directory])
        .spawn()
        .unwrap();
    wait_for("the foreground server", || !bench.records().is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the mount to go", || !bench.is_mounted());
    assert!(bench.try_mount(&["-o", "auto_unmount"]).success, "and it can be mounted again");
    let record = bench.record();
    assert!(bench.umount().success);
    assert!(is_gone(&record) && !bench.is_mounted());
}
