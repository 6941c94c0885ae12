//! Commands in an image for a normal user: with a range of subordinate users, and without.
//!
//! The user is `nobody`; /dev/fuse, /etc/subuid and /etc/subgid are the test's own, in a mount
//! namespace of its own, so nothing on the machine is changed.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use crate::support::real_parts::{Corpus, run};

/// A store of nobody's with the image `debian`, and a copy of the program.
struct UserBench {
    top: tempfile::TempDir,
}

const RANGE: &str = "nobody:200000:65536";

impl UserBench {
    fn new(corpus: &Corpus) -> Self {
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let bench = Self { top };
        fs::copy(env!("CARGO_BIN_EXE_shale"), bench.path("shale")).unwrap();
        let mut pull = Command::new(bench.path("shale"));
        pull.args(["--root", &bench.path("store"), "pull", "-q", &corpus.oci("debian")]);
        run(pull.stdin(Stdio::null()));
        let name = ["--root", &bench.path("store"), "tag"].map(str::to_owned);
        let ids = Command::new(bench.path("shale"))
            .args(["--root", &bench.path("store"), "ls", "-q"])
            .output()
            .unwrap();
        let id = String::from_utf8(ids.stdout).unwrap();
        run(Command::new(bench.path("shale")).args(name).args([id.trim(), "debian:12"]));
        run(Command::new("chown").args(["-R", "65534:65534", &bench.path("")]));
        bench
    }

    fn path(&self, name: &str) -> String {
        self.top.path().canonicalize().unwrap().join(name).display().to_string()
    }

    /// `shale chroot ARGUMENTS` as nobody, with `range` in /etc/subuid and /etc/subgid.
    fn chroot(&self, range: &str, arguments: &[&str]) -> (i32, String, String) {
        self.chroot_with("0666", range, arguments)
    }

    /// The same where /dev/fuse has this mode.
    fn chroot_with(&self, mode: &str, range: &str, arguments: &[&str]) -> (i32, String, String) {
        let script = "set -e; mkdir -p \"$top/dev\"; mount -t tmpfs -o mode=755 none \"$top/dev\"
            mknod -m $mode \"$top/dev/fuse\" c 10 229; mount --bind \"$top/dev/fuse\" /dev/fuse
            echo \"$range\" >\"$top/dev/range\"; touch /etc/subuid /etc/subgid
            mount --bind \"$top/dev/range\" /etc/subuid; mount --bind \"$top/dev/range\" /etc/subgid
            cd /; exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
            \"$top/shale\" --root \"$top/store\" chroot --pull never \"$@\"";
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .args(arguments)
            .env("top", self.path(""))
            .env("range", range)
            .env("mode", mode)
            .env("HOME", self.path(""))
            .stdin(Stdio::null())
            .output();
        let Output { status, stdout, stderr } = output.unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (status.code().unwrap_or(-1), text(&stdout), text(&stderr))
    }
}

#[test]
fn with_a_range_all_users_of_the_image_exist() {
    let Some(corpus) = Corpus::find() else { return };
    let bench = UserBench::new(&corpus);
    let script = "id -u; wc -l </proc/self/uid_map; chown daemon:mail /srv; stat -c %U:%G /srv
        echo x >/etc/new; cat /etc/new; ls /dev/null /dev/pts/ptmx /proc/1/stat >/dev/null
        echo y >/dev/null; (echo z >/sys/x) 2>/dev/null || echo refused; hostname >/dev/null";
    let (code, out, error) = bench.chroot(RANGE, &["debian:12", "--", "sh", "-ec", script]);
    assert_eq!((code, &*out), (0, "0\n2\ndaemon:mail\nx\nrefused\n"), "{error}");
    let script =
        "id -un; touch /tmp/t; stat -c %U /tmp/t; touch /etc/no 2>/dev/null || echo refused";
    let (code, out, error) =
        bench.chroot(RANGE, &["-u", "daemon", "debian:12", "--", "sh", "-c", script]);
    assert_eq!((code, &*out), (0, "daemon\ndaemon\nrefused\n"), "{error}");
}

#[test]
fn without_a_range_there_is_one_user_of_any_number() {
    let Some(corpus) = Corpus::find() else { return };
    let bench = UserBench::new(&corpus);
    let script = "id -u; wc -l </proc/self/uid_map; stat -c %u /etc/passwd /etc/shadow
        rm -r /usr/share/doc; touch /etc/new; stat -c %u /etc/new";
    let (code, out, error) = bench.chroot("", &["debian:12", "--", "sh", "-ec", script]);
    assert_eq!((code, &*out), (0, "0\n1\n0\n0\n0\n"), "{error}");
    let script = "id -un; id -gn; grep CapEff /proc/self/status; touch /tmp/t; stat -c %U /tmp/t";
    let (code, out, error) =
        bench.chroot("", &["-u", "daemon:mail", "debian:12", "--", "sh", "-ec", script]);
    let wanted = "daemon\nmail\nCapEff:\t0000000000000000\ndaemon\n";
    assert_eq!((code, &*out), (0, wanted), "{error}");
}

#[test]
fn without_leave_to_open_the_device_the_hint_says_what_to_do() {
    let Some(corpus) = Corpus::find() else { return };
    let bench = UserBench::new(&corpus);
    let (code, _, error) = bench.chroot_with("0600", "", &["debian:12", "true"]);
    assert_eq!(code, 125, "{error}");
    assert!(error.starts_with("shale: /dev/fuse may not be opened"), "{error}");
    assert!(error.contains("hint: ") && error.contains("chmod 0666 /dev/fuse"), "{error}");
}

#[test]
fn a_user_keeps_changes_and_shows_directories() {
    let Some(corpus) = Corpus::find() else { return };
    let bench = UserBench::new(&corpus);
    let (keep, shown) = (bench.path("keep"), bench.path("dev"));
    // Below a mount that is nosuid and nodev, which a user namespace may not change.
    let volume = format!("{shown}:/v:ro");
    for (script, wanted) in [
        ("rm -r /usr/share/doc; mv /media /medium; echo kept >/srv/k", ""),
        (
            "cat /srv/k; ls -d /medium; test ! -e /usr/share/doc; test ! -e /media",
            "kept\n/medium\n",
        ),
    ] {
        let arguments = ["--keep", &keep, "debian:12", "--", "sh", "-ec", script];
        let (code, out, error) = bench.chroot(RANGE, &arguments);
        assert_eq!((code, &*out), (0, wanted), "{error}");
    }
    let script = "test -c /v/fuse; touch /v/x 2>/dev/null || echo refused";
    let (code, out, error) =
        bench.chroot(RANGE, &["-v", &volume, "debian:12", "--", "sh", "-ec", script]);
    assert_eq!((code, &*out), (0, "refused\n"), "{error}");
    let script = "cat /proc/net/dev | grep -c :; exit 5";
    let (code, out, error) =
        bench.chroot("", &["--net", "none", "--read-only", "debian:12", "--", "sh", "-c", script]);
    assert_eq!((code, &*out), (5, "1\n"), "{error}");
}
