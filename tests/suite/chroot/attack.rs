//! What an image may try to reach the host by when a command runs in it: open descriptors, links of
//! /proc, users that are numbers, files that are none. Each as root and as a normal user.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use crate::support::inside::{self, BOTH, Caller, Entry, Inside, file, ran};
use crate::support::require::can_mount;
use serde_json::json;

/// Numbers under which something of the host may be open.
const DESCRIPTORS: std::ops::Range<u32> = 3..16;

#[test]
fn nothing_but_stdio_is_open_where_the_image_runs() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        let Some(inside) = Inside::new(caller, &[]) else { return };
        let keep = inside.text("keep");
        // The shell looks at its own; a directory that it has open for the pattern is not counted.
        let script = "for n in 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do
            test -L /proc/$$/fd/$n && readlink /proc/$$/fd/$n
            test -L /proc/1/fd/$n && readlink /proc/1/fd/$n; done; echo end";
        for options in [&[][..], &["--keep", &keep], &["--privileged"]] {
            let ran = inside.sh(options, script);
            assert_eq!((ran.code, &*ran.out), (0, "end\n"), "{caller:?} {options:?}: {ran:?}");
        }
    }
}

#[test]
fn a_working_directory_through_proc_is_refused() {
    let Some(_alone) = can_mount() else { return };
    let links: Vec<_> =
        DESCRIPTORS.map(|n| (format!("l{n}"), format!("/proc/self/fd/{n}"))).collect();
    let entries: Vec<_> =
        links.iter().map(|(name, target)| (name.as_str(), Entry::Link(target))).collect();
    for caller in BOTH {
        let Some(inside) = Inside::new(caller, &entries) else { return };
        let keep = inside.text("keep");
        let numbered = DESCRIPTORS.flat_map(|n| {
            [
                format!("/proc/self/fd/{n}"),
                format!("/proc/self/fd/{n}/new"),
                format!("/l{n}/new/er"),
            ]
        });
        let links_only = ["/proc/self/root", "/proc/self/cwd", "/proc/1/root", "/dev/fd/7"];
        for directory in numbered.chain(links_only.map(str::to_owned)) {
            let options = ["--keep", &keep, "-w", &directory];
            let ran = inside.chroot(&options, &["pwd"]);
            // Where nothing is open there is nothing, and nothing can be made in /proc.
            let refused = ran.code == 126 && ran.out.is_empty();
            assert!(refused, "{caller:?} {directory}: {ran:?}");
            assert!(ran.err.contains(&directory), "{directory}: {ran:?}");
        }
        assert_eq!(inside.host(), ["here"], "{caller:?}: something was made on the host");
        assert_eq!(inside::names(&inside.path("keep")), ["image", "upper", "work"], "{caller:?}");
        let ran = inside.chroot(&["-w", "/proc/self/root"], &["pwd"]);
        assert!(ran.err.contains("through /proc to something that a process has open"), "{ran:?}");
    }
    // What the image's config says is the same path.
    let config = json!({ "WorkingDir": "/proc/self/fd/7/made" });
    let Some(inside) = Inside::with_config(Caller::Root, &[], &config) else { return };
    let ran = inside.chroot(&[], &["pwd"]);
    assert_eq!((ran.code, inside.host()), (126, vec!["here".to_owned()]), "{ran:?}");
}

#[test]
fn files_of_the_root_are_not_made_through_proc() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        // The directory that the caller left open, and whatever Shale itself may have.
        let files = ["etc/hosts", "etc/hostname", "etc/resolv.conf"].map(|link| (link, 7));
        for (link, number) in DESCRIPTORS.map(|number| ("etc", number)).chain(files) {
            let name = if link == "etc" { "" } else { "/made" };
            let target = format!("/proc/self/fd/{number}{name}");
            let Some(inside) = Inside::new(caller, &[(link, Entry::Link(&target))]) else { return };
            let keep = inside.text("keep");
            let ran = inside.chroot(&["--keep", &keep], &["echo", "ran"]);
            assert_eq!(inside.host(), ["here"], "{caller:?} {link} {number}: {ran:?}");
            let kept = inside::names(&inside.path("keep"));
            assert_eq!(kept, ["image", "upper", "work"], "{caller:?} {link} {number}: {ran:?}");
            assert_eq!(ran.code, 125, "{caller:?} {link} {number}: {ran:?}");
            let named = ran.err.contains("/etc/host") || ran.err.contains("/etc/resolv.conf");
            assert!(named, "{caller:?} {link} {number}: {ran:?}");
        }
    }
}

#[test]
fn volumes_are_not_shown_through_proc() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        let entries =
            [("fd", Entry::Link("/proc/self/fd/7")), ("top", Entry::Link("/proc/1/root"))];
        let Some(inside) = Inside::new(caller, &entries) else { return };
        let shown = inside.text("host");
        for place in
            ["/fd/x", "/fd", "/top/x", "/proc/self/fd/7/x", "/proc/1", "/proc", "/proc/x/y"]
        {
            let volume = format!("{shown}:{place}");
            let ran = inside.chroot(&["-v", &volume], &["echo", "ran"]);
            assert_eq!((ran.code, &*ran.out), (125, ""), "{caller:?} {place}: {ran:?}");
            let named = ran.err.starts_with("shale: volume ") && ran.err.contains("/proc");
            assert!(named && !ran.err.contains("os error"), "{caller:?} {place}: {ran:?}");
            assert_eq!(inside.host(), ["here"], "{caller:?} {place}: {ran:?}");
        }
    }
}

#[test]
fn mount_points_of_the_kernels_file_systems_are_directories() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        for name in ["proc", "sys", "dev"] {
            for (entry, word) in [
                (Entry::Link("etc"), "link"),
                (Entry::Link("nowhere"), "link"),
                (Entry::Link("/proc/self/fd/7"), "link"),
                (file(b""), "file"),
                (Entry::Pipe, "file"),
            ] {
                let Some(inside) = Inside::new(caller, &[(name, entry), ("etc/x", file(b""))])
                else {
                    return;
                };
                let ran = inside.chroot(&[], &["echo", "ran"]);
                let words = format!("shale: /{name}: the image has a {word} there");
                assert_eq!(
                    (ran.code, &*ran.out),
                    (125, ""),
                    "{caller:?} {name} {entry:?}: {ran:?}"
                );
                assert!(ran.err.starts_with(&words), "{caller:?} {name} {entry:?}: {ran:?}");
                assert_eq!(inside.host(), ["here"]);
            }
        }
    }
}

#[test]
fn accounts_come_from_files_of_the_image_and_of_volumes_alone() {
    let Some(_alone) = can_mount() else { return };
    let line = "evil:x:77:77::/:/bin/sh\n";
    for caller in BOTH {
        // Regular files, as far as their mode goes, and all with that line in them.
        for target in ["/proc/self/fd/8", "/proc/1/environ", "/proc/self/environ"] {
            for name in ["etc/passwd", "etc/group"] {
                let Some(inside) = Inside::new(caller, &[(name, Entry::Link(target))]) else {
                    return;
                };
                fs::write(inside.path("host/here"), line).unwrap();
                let user = if name == "etc/passwd" { "evil" } else { "0:evil" };
                let words = inside::chroot(&["-u", user], &["id"]);
                let ran = ran(inside.command(&words).env("A", format!("x\n{line}")));
                assert_eq!((ran.code, &*ran.out), (125, ""), "{caller:?} {target}: {ran:?}");
                assert!(ran.err.contains("does not name it"), "{caller:?} {target}: {ran:?}");
            }
        }
        let entries =
            [("etc/passwd", Entry::Link("accounts")), ("etc/accounts", file(b"me:x:5:6::/:\n"))];
        let Some(inside) = Inside::new(caller, &entries) else { return };
        let ran = inside.sh(&["-u", "me"], "id -u; id -g");
        assert_eq!((ran.code, &*ran.out), (0, "5\n6\n"), "{caller:?}: {ran:?}");
        fs::write(inside.path("host/here"), line).unwrap();
        let volume = format!("{}:/etc/accounts:ro", inside.text("host/here"));
        let ran = inside.sh(&["-u", "evil", "-v", &volume], "id -u");
        assert_eq!((ran.code, &*ran.out), (0, "77\n"), "{caller:?}: {ran:?}");
        for endless in [Entry::Pipe, Entry::Link("/dev/zero"), Entry::Link("/dev/tty")] {
            let Some(inside) = Inside::new(caller, &[("etc/passwd", endless)]) else { return };
            // A program that asks for no accounts itself.
            let ran = inside.chroot(&["-u", "5"], &["/euid"]);
            assert_eq!(ran.code, 5, "{caller:?} {endless:?}: {ran:?}");
        }
    }
}

#[test]
fn digits_are_a_user_and_no_number_is_root_but_zero() {
    let Some(_alone) = can_mount() else { return };
    let passwd =
        b"root:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\nminus:x:4294967295:4294967295:::\n\
        big:x:2147483648:0:::\ngid:x:5:4294967295:::\nmember:x:6:6:::\n";
    let group = b"1000:x:0:\nminus:x:4294967295:member\n";
    let files = [("etc/passwd", file(passwd)), ("etc/group", file(group))];
    for caller in BOTH {
        let Some(inside) = Inside::new(caller, &files) else { return };
        for (user, wanted) in [("1000", "1000 0\n"), ("1000:1000", "1000 1000\n"), ("0", "0 0\n")] {
            let ran = inside.sh(&["-u", user], "echo $(id -u) $(id -g)");
            assert_eq!((ran.code, &*ran.out), (0, wanted), "{caller:?} {user}: {ran:?}");
        }
        for user in [
            "4294967295",
            "4294967295:5",
            "5:4294967295",
            "0:4294967295",
            "2147483648",
            "4294967296",
            "18446744073709551616",
            "minus",
            "big",
            "gid",
            "5",
            "member",
            "6",
            "0:minus",
        ] {
            let ran = inside.chroot(&["-u", user], &["id", "-u"]);
            assert_eq!((ran.code, &*ran.out), (125, ""), "{caller:?} {user}: {ran:?}");
            assert!(ran.err.contains("out of range"), "{caller:?} {user}: {ran:?}");
        }
    }
    let config = json!({ "User": "4294967295", "Cmd": ["id", "-u"] });
    let Some(inside) = Inside::with_config(Caller::Root, &files, &config) else { return };
    let ran = inside.chroot(&[], &[]);
    assert_eq!((ran.code, &*ran.out), (125, ""), "{ran:?}");
}

#[test]
fn a_program_through_proc_is_not_run() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        let entries =
            [("self", Entry::Link("/proc/self/exe")), ("up", Entry::Link("/proc/self/root"))];
        let Some(inside) = Inside::new(caller, &entries) else { return };
        for program in ["/proc/self/exe", "/self", "/proc/1/exe", "/up/bin/true"] {
            let ran = inside.chroot(&[], &[program, "--version"]);
            assert_eq!((ran.code, &*ran.out), (126, ""), "{caller:?} {program}: {ran:?}");
            // Of process 1 not even the link can be looked at.
            let why = if program == "/proc/1/exe" { "permission denied" } else { "through /proc" };
            assert!(ran.err.contains(why), "{caller:?} {program}: {ran:?}");
        }
    }
}

#[test]
fn the_callers_environment_is_not_in_the_namespace() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        let Some(inside) = Inside::new(caller, &[]) else { return };
        let script = "for p in /proc/[0-9]*; do cat $p/environ; done 2>/dev/null; echo end";
        for options in [&["-e", "MINE"][..], &["-e", "MINE", "--privileged"]] {
            let words = inside::chroot(options, &["sh", "-c", script]);
            let mut command = inside.command(&words);
            let ran = ran(command.env("A_SECRET", "do-not-tell").env("MINE", "told"));
            assert_eq!(ran.code, 0, "{caller:?}: {ran:?}");
            assert!(!ran.out.contains("do-not-tell"), "{caller:?} {options:?}: {ran:?}");
            assert!(ran.out.contains("MINE=told") && ran.out.ends_with("end\n"), "{ran:?}");
        }
    }
}

#[test]
fn a_message_of_any_length_comes_back() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        // More than a pipe holds; and a name that the kernel does not take.
        for path in ["/x:".repeat(33_000), format!("/{}", "x".repeat(100_000))] {
            let config = json!({ "Env": [format!("PATH={path}")] });
            let Some(inside) = Inside::with_config(caller, &[], &config) else { return };
            let ran = inside.chroot(&[], &["absent"]);
            assert_eq!(ran.code, 127, "{caller:?}");
            assert!(ran.err.starts_with("shale: absent: not found in the image's PATH (/x"));
            assert!(ran.err.len() < 5000, "{caller:?}: {} bytes", ran.err.len());
        }
    }
}

#[test]
fn a_directory_on_standard_input_is_refused() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        let Some(inside) = Inside::new(caller, &[]) else { return };
        let mut command = inside.command(&inside::chroot(&[], &["ls", "-a", "/proc/self/fd/0/"]));
        let ran = ran(command.stdin(File::open(inside.path("host")).unwrap()));
        assert_eq!((ran.code, &*ran.out), (125, ""), "{caller:?}: {ran:?}");
        assert!(ran.err.contains("standard input is a directory"), "{caller:?}: {ran:?}");
    }
}

#[test]
fn what_is_made_to_be_mounted_on_is_closed_to_others_and_goes() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        let Some(inside) = Inside::new(caller, &[("etc/gone", file(b"x"))]) else { return };
        let (keep, upper) = (inside.text("keep"), inside.path("keep/upper"));
        fs::write(inside.path("go"), "").unwrap();
        let volume = format!("{}:/etc/profile.d/x.sh", inside.text("host/here"));
        let directory = format!("{}:/data/new", inside.text("host"));
        // The modes are looked at from outside, through a volume, while all of it is there.
        let outside = format!("{}:/outside", inside.text("keep"));
        let options = ["--keep", &keep, "-v", &volume, "-v", &directory, "-v", &outside];
        let script = "umask 0; rm /etc/gone; echo mine >/etc/mine; cat /etc/profile.d/x.sh
            cd /outside/upper && stat -c '%a %n' etc/hosts etc/resolv.conf etc/profile.d \
            etc/profile.d/x.sh data data/new";
        let words = inside::chroot(&options, &["sh", "-c", script]);
        let mut command = inside.command(&words);
        // What the caller's files are made with is nothing to the image.
        let program = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut masked = std::process::Command::new("sh");
        masked.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(program).args(arguments);
        masked.env("top", inside.path("")).env("HOME", inside.path(""));
        command = masked;
        let ran = ran(command.stdin(std::process::Stdio::null()));
        let wanted = "host\n644 etc/hosts\n644 etc/resolv.conf\n755 etc/profile.d\n\
            644 etc/profile.d/x.sh\n755 data\n755 data/new\n";
        assert_eq!((ran.code, &*ran.out), (0, wanted), "{caller:?}: {ran:?}");
        assert_eq!(inside::names(&upper), ["etc"], "{caller:?}: {ran:?}");
        assert_eq!(inside::names(&upper.join("etc")), ["gone", "mine"], "{caller:?}");
        assert_eq!(fs::read_to_string(upper.join("etc/mine")).unwrap(), "mine\n");
        // What the command put in a place of ours is its own.
        let directory = format!("{}:/data", inside.text("host"));
        let options = ["--keep", &keep, "-v", &directory];
        let ran = inside.sh(&options, "test ! -e /etc/gone && cat /etc/mine /data/here");
        assert_eq!((ran.code, &*ran.out), (0, "mine\nhost\n"), "{caller:?}: {ran:?}");
    }
}

#[test]
fn a_directory_for_changes_is_private_and_of_one_kind() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        let Some(inside) = Inside::new(caller, &[]) else { return };
        let keep = inside.text("deep/keep");
        let at = |ran: &inside::Ran, code, words: &str| {
            assert!(ran.code == code && ran.err.contains(words), "{caller:?} {words}: {ran:?}");
        };
        at(&inside.chroot(&["--keep", &keep], &["true"]), 0, "");
        assert_eq!(inside::mode(&inside.path("deep/keep")), 0o700, "{caller:?}");
        fs::set_permissions(&keep, fs::Permissions::from_mode(0o755)).unwrap();
        let open = inside.chroot(&["--keep", &keep], &["true"]);
        at(&open, 125, "other users may enter it (mode 0755)");
        at(&open, 125, "--keep-shared");
        at(&inside.chroot(&["--keep", &keep, "--keep-shared"], &["true"]), 0, "");
        // Another user's, and the other kind of overlay.
        let (owner, words) = match caller {
            Caller::Root => (65534, "made by a user"),
            Caller::User => (0, "made by root"),
        };
        for mark in [None, Some(if caller == Caller::Root { "user" } else { "root" })] {
            let image = inside.path("deep/keep/image");
            std::os::unix::fs::chown(&keep, Some(owner), Some(owner)).unwrap();
            fs::set_permissions(&keep, fs::Permissions::from_mode(0o700)).unwrap();
            if caller == Caller::Root {
                at(&inside.chroot(&["--keep", &keep], &["true"]), 125, "belongs to another user");
            }
            fs::set_permissions(&keep, fs::Permissions::from_mode(0o777)).unwrap();
            let id = fs::read_to_string(&image).unwrap().lines().next().unwrap().to_owned();
            fs::write(&image, format!("{id}\n{}", mark.unwrap_or_default())).unwrap();
            fs::set_permissions(&image, fs::Permissions::from_mode(0o644)).unwrap();
            if mark.is_some() || caller == Caller::Root {
                std::os::unix::fs::chown(&image, Some(owner), Some(owner)).unwrap();
                let turned = inside.chroot(&["--keep", &keep, "--keep-shared"], &["true"]);
                at(&turned, 125, words);
            }
        }
    }
}

#[test]
fn a_user_removes_what_users_of_the_image_own() {
    let Some(_alone) = can_mount() else { return };
    for caller in BOTH {
        let Some(inside) = Inside::new(caller, &[]) else { return };
        let keep = inside.text("keep");
        let script =
            "mkdir -p /srv/a && touch /srv/a/f && chown -R 5:5 /srv && stat -c %u /srv/a/f";
        let ran = inside.sh(&["--keep", &keep], script);
        assert_eq!((ran.code, &*ran.out), (0, "5\n"), "{caller:?}: {ran:?}");
        let ran = inside.shale(&["keep", "rm", &inside.text("host")]);
        assert!(ran.code == 1 && ran.err.contains("directory of changes"), "{ran:?}");
        let ran = inside.shale(&["keep", "rm", &keep]);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{caller:?}");
        assert!(!inside.path("keep").exists() && inside.path("host/here").exists(), "{caller:?}");
    }
}
