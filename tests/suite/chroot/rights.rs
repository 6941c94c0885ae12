//! What a command in an image may do: capabilities, set-user-ID programs, device nodes, the machine's
//! settings in /proc; and where volumes and working directories appear.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use rustix::fs::StatVfsMountFlags;

use crate::support::elf;
use crate::support::inside::{self, BOTH, Caller, Entry, Inside, file, ran};
use crate::support::require::can_mount;

/// The capability sets of a status file, without what is all zeros.
fn sets(status: &str) -> Vec<(&str, u64)> {
    let lines = status.lines().filter_map(|line| line.strip_prefix("Cap")?.split_once(":\t"));
    let all = lines.map(|(name, hex)| (name, u64::from_str_radix(hex, 16).unwrap()));
    all.filter(|(_, bits)| *bits != 0).collect()
}

/// Docker's 14.
const DEFAULT: u64 = 0xa804_25fb;
const SYS_ADMIN: u64 = 1 << 21;
const KILL: u64 = 1 << 5;

#[test]
fn capabilities_are_bound_as_docker_binds_them() {
    let Some(_alone) = can_mount() else { return };
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let root = sets(&own).into_iter().find(|(name, _)| *name == "Bnd").unwrap().1;
    let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap();
    let every = u64::MAX >> (63 - last.trim().parse::<u32>().unwrap());
    // In a user namespace of one's own there is every one of the kernel's.
    for (caller, all) in [(Caller::Root, root), (Caller::User, every)] {
        let Some(inside) = Inside::new(caller, &[]) else { return };
        let look = |options: &[&str]| inside.chroot(options, &["grep", "Cap", "/proc/self/status"]);
        for (options, bound) in [
            (&[][..], DEFAULT),
            (&["--cap-add", "sys_admin"], DEFAULT | SYS_ADMIN),
            (&["--cap-drop", "CAP_KILL"], DEFAULT & !KILL),
            (&["--cap-drop", "ALL", "--cap-add", "KILL"], KILL),
            (&["--cap-drop", "all"], 0),
            (&["--cap-add", "ALL", "--cap-drop", "SYS_ADMIN,KILL"], all & !SYS_ADMIN & !KILL),
            (&["--privileged"], all),
        ] {
            let ran = look(options);
            assert_eq!(ran.code, 0, "{caller:?} {options:?}: {ran:?}");
            let found = sets(&ran.out);
            let wanted = [("Prm", bound), ("Eff", bound), ("Bnd", bound)];
            let wanted: Vec<_> = wanted.into_iter().filter(|(_, bits)| *bits != 0).collect();
            assert_eq!(found, wanted, "{caller:?} {options:?}");
            // Who is not root has none, and the same bound.
            let ran = look(&[options, &["-u", "7"]].concat());
            let wanted: Vec<_> =
                [("Bnd", bound)].into_iter().filter(|(_, bits)| *bits != 0).collect();
            assert_eq!(sets(&ran.out), wanted, "{caller:?} {options:?} -u 7: {ran:?}");
        }
        let ran = look(&["--cap-add", "everything"]);
        assert!(ran.code == 2 && ran.err.contains("no such capability"), "{ran:?}");
    }
    // What the caller hands on to every program that it starts is not handed on.
    let Some(inside) = Inside::new(Caller::Root, &[]) else { return };
    let mut handed = Command::new("setpriv");
    handed.args(["--inh-caps", "+sys_admin", "--ambient-caps", "+sys_admin"]);
    let command =
        inside.command(&inside::chroot(&["-u", "7"], &["grep", "Cap", "/proc/self/status"]));
    handed.arg(command.get_program()).args(command.get_args()).env("top", inside.path(""));
    let ran = ran(&mut handed);
    assert_eq!(sets(&ran.out), [("Bnd", DEFAULT)], "{ran:?}");
}

#[test]
fn set_user_id_programs_have_no_effect_for_root_unless_told() {
    let Some(_alone) = can_mount() else { return };
    // The status is the effective user: 7, or root's.
    let Some(root) = Inside::new(Caller::Root, &[]) else { return };
    for (options, wanted) in [
        (&[][..], 7),
        (&["--suid"], 0),
        (&["--privileged"], 0),
        (&["--read-only"], 7),
        (&["--dev", "--cap-add", "ALL"], 7),
    ] {
        let ran = root.chroot(&[options, &["-u", "7"]].concat(), &["/suid"]);
        assert_eq!(ran.code, wanted, "{options:?}: {ran:?}");
    }
    // Neither those of volumes.
    fs::copy(root.path("shale"), root.path("host/other")).unwrap();
    fs::write(root.path("host/suid"), elf::exits_with_euid()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
    fs::set_permissions(root.path("host/suid"), mode).unwrap();
    let volume = format!("{}:/v", root.text("host"));
    for (options, wanted) in [(&[][..], 7), (&["--suid"], 0)] {
        let ran = root.chroot(&[options, &["-v", &volume, "-u", "7"]].concat(), &["/v/suid"]);
        assert_eq!(ran.code, wanted, "{options:?}: {ran:?}");
    }
    // In a user namespace they lead to its root, who is the caller.
    let Some(user) = Inside::new(Caller::User, &[]) else { return };
    let ran = user.sh(&[], "stat -c %a /suid");
    assert_eq!((ran.code, &*ran.out), (0, "4755\n"), "{ran:?}");
    assert_eq!(user.chroot(&["-u", "7"], &["/suid"]).code, 0);
}

#[test]
fn device_nodes_have_no_effect_unless_told() {
    let Some(_alone) = can_mount() else { return };
    let Some(inside) = Inside::new(Caller::Root, &[("null", Entry::Device(1, 3))]) else { return };
    let volume = format!("{}:/v", inside.text("host"));
    let node = "/dev/null:/mine";
    let script =
        "echo x >/null && echo image; rm -f /v/n; mknod /n c 1 3 && echo x >/n && echo made
        mknod /v/n c 1 3 && echo x >/v/n && echo volume
        mknod /dev/n c 1 3 && echo x >/dev/n && echo dev; mknod /dev/shm/n c 1 3
        echo x >/dev/shm/n && echo shm; echo x >/dev/null && echo x >/mine && echo ours";
    let all = "image\nmade\nvolume\ndev\nours\n";
    for (options, wanted) in
        [(&[][..], "ours\n"), (&["--suid"], "ours\n"), (&["--dev"], all), (&["--privileged"], all)]
    {
        let ran = inside.sh(&[options, &["-v", &volume, "-v", node]].concat(), script);
        assert_eq!((ran.code, &*ran.out), (0, wanted), "{options:?}: {ran:?}");
    }
    let ran = inside.sh(&["--read-only"], "echo x >/null || echo refused");
    assert_eq!((ran.code, &*ran.out), (0, "refused\n"), "{ran:?}");
}

#[test]
fn root_cannot_change_the_machine_through_proc_unless_told() {
    let Some(_alone) = can_mount() else { return };
    // What is written is what is there. Not every kernel has the others.
    let script = "f=/proc/sys/kernel/core_pattern; p=$(cat $f); echo \"$p\" >$f && echo core
        test -w /proc/sysrq-trigger && echo key; cat /proc/kcore | head -c 4 | wc -c
        ls /sys/firmware | wc -l; cat /proc/timer_list | wc -c";
    let Some(inside) = Inside::new(Caller::Root, &[]) else { return };
    let ran = inside.sh(&[], script);
    assert_eq!(ran.out, "0\n0\n0\n", "{ran:?}");
    let ran = inside.sh(&["--privileged"], script);
    let key = std::path::Path::new("/proc/sysrq-trigger").exists();
    assert!(ran.out.starts_with(if key { "core\nkey\n" } else { "core\n" }), "{ran:?}");
    let ran = inside.sh(&[], "mkdir /proc/x; echo x >/sys/kernel/x; echo end");
    assert_eq!((ran.code, &*ran.out), (0, "end\n"), "{ran:?}");
}

#[test]
fn volumes_and_directories_are_made_where_links_lead_inside_the_root() {
    let Some(_alone) = can_mount() else { return };
    let entries = [
        ("lnk", Entry::Link("no/where")),
        ("var", Entry::Link("data/var")),
        ("out", Entry::Link("../../../../side")),
        ("etc/resolv.conf", Entry::Link("/run/systemd/resolve/stub-resolv.conf")),
        ("usr/etc/x", file(b"")),
    ];
    for caller in BOTH {
        let Some(inside) = Inside::new(caller, &entries) else { return };
        let host = inside.text("host");
        for (place, real) in [
            ("/lnk", "/no/where"),
            ("/lnk/deep/er", "/no/where/deep/er"),
            ("/var/run", "/data/var/run"),
            ("/out/x", "/side/x"),
            ("/new/../other", "/other"),
        ] {
            let volume = format!("{host}:{place}");
            let script = format!("cat {real}/here; test -e {place}/here && echo both");
            let ran = inside.sh(&["-v", &volume], &script);
            let twice = if place.contains("..") { "host\n" } else { "host\nboth\n" };
            assert_eq!(ran.out, twice, "{caller:?} {place}: {ran:?}");
            let place = place.replace("/new/..", "");
            let ran = inside.chroot(&["-w", &place], &["pwd"]);
            assert_eq!((ran.code, ran.out), (0, format!("{real}\n")), "{caller:?} {place}");
        }
        let script = "test -L /etc/resolv.conf && test -s /run/systemd/resolve/stub-resolv.conf && \
            test -f /etc/resolv.conf && echo there";
        let ran = inside.sh(&[], script);
        assert_eq!(ran.out, "there\n", "{caller:?}: {ran:?}");
    }
    // A link that leads nowhere yet, in the place of a directory.
    for target in ["usr/etc", "/usr/etc", "nowhere/etc"] {
        let Some(inside) = Inside::new(Caller::Root, &[("etc", Entry::Link(target))]) else {
            return;
        };
        let ran = inside.sh(&[], "test -s /etc/hosts && echo there");
        assert_eq!((ran.code, &*ran.out), (0, "there\n"), "{target}: {ran:?}");
    }
}

#[test]
fn volumes_may_come_in_any_order_and_say_what_is_wrong() {
    let Some(_alone) = can_mount() else { return };
    let entries = [("d", Entry::Directory), ("f", file(b"x")), ("lnk", Entry::Link("d"))];
    for caller in BOTH {
        let Some(inside) = Inside::new(caller, &entries) else { return };
        fs::create_dir_all(inside.path("host/in")).unwrap();
        let (host, one) = (inside.text("host"), inside.text("host/here"));
        let (outer, inner) = (format!("{host}:/x"), format!("{host}:/x/in"));
        for volumes in [["-v", &outer, "-v", &inner], ["-v", &inner, "-v", &outer]] {
            let ran = inside.sh(&volumes, "cat /x/here /x/in/here");
            assert_eq!((ran.code, &*ran.out), (0, "host\nhost\n"), "{caller:?}: {ran:?}");
        }
        for (volumes, words) in [
            (vec![format!("{one}:/d")], "a file cannot be shown in the place of a directory"),
            (vec![format!("{host}:/f")], "a directory cannot be shown in the place of a file"),
            (vec![format!("{host}:/f/x")], "/f is no directory"),
            (vec![format!("{host}/absent:/x")], "this machine has no "),
            (vec![format!("{host}:/d"), format!("{host}:/lnk")], "another volume is shown there"),
            (vec![format!("{host}:/d/..")], "the root of the image"),
            (vec![format!("{host}:/proc")], "at or below /proc"),
            (vec![format!("{host}:/proc/1")], "at or below /proc"),
        ] {
            let options: Vec<&str> = volumes.iter().flat_map(|volume| ["-v", volume]).collect();
            let ran = inside.chroot(&options, &["echo", "ran"]);
            assert_eq!((ran.code, &*ran.out), (125, ""), "{caller:?} {volumes:?}: {ran:?}");
            let said = ran.err.starts_with("shale: volume ") && ran.err.contains(words);
            assert!(said && !ran.err.contains("os error"), "{caller:?} {volumes:?}: {ran:?}");
        }
        // The image's own file system is not written to through them.
        let (code, out) = {
            let ran = inside.chroot(&["-w", "/f"], &["pwd"]);
            assert!(ran.err.contains("/f: "), "{ran:?}");
            (ran.code, ran.out)
        };
        assert_eq!((code, &*out), (126, ""), "{caller:?}");
    }
}

/// A process and all below it.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = children.unwrap_or_default();
    let below = text.split_whitespace().flat_map(|child| family(child.parse().unwrap()));
    std::iter::once(pid).chain(below).collect()
}

#[test]
fn the_program_that_runs_an_image_is_a_file_that_cannot_be_changed() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        let Some(inside) = Inside::new(caller, &[]) else { return };
        let mut command = inside.command(&inside::chroot(&[], &["sh", "-c", "echo x; read x"]));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 2]).unwrap();
        let own = fs::metadata(inside.path("shale")).unwrap();
        let seen = family(child.id()).into_iter().filter_map(|pid| {
            let file = fs::File::open(format!("/proc/{pid}/exe")).ok()?;
            let found = file.metadata().unwrap();
            let is_own = (found.dev(), found.ino()) == (own.dev(), own.ino());
            let flags = rustix::fs::fstatvfs(&file).unwrap().f_flag;
            Some(is_own && !flags.contains(StatVfsMountFlags::RDONLY))
        });
        let seen: Vec<bool> = seen.collect();
        drop(child.stdin.take());
        child.wait().unwrap();
        // The caller, process 1, the shell at least.
        assert!(seen.len() >= 3 && !seen.contains(&true), "{caller:?}: {seen:?}");
    }
}
