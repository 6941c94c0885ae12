//! Commands for those who come with a user namespace of their own, and the ranges of subordinate
//! users that a normal user may have.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::images::TestImage;
use crate::support::program::{Bench, Said};
use crate::support::require::{can_mount, has};
use crate::support::shells::busybox;

const IMAGE: &str = "docker.io/library/users:1";

fn bench() -> Option<Bench> {
    if !has("busybox") {
        return None;
    }
    let bench = Bench::new();
    TestImage::with_wishes(vec![busybox()], &json!({})).put(&bench.store(), Some(IMAGE));
    Some(bench)
}

/// A script around `"$@"`, which is the program with its arguments.
fn around(bench: &Bench, script: &str, arguments: &[&str]) -> Said {
    let inner = bench.command(&[&["chroot"], arguments].concat());
    let mut command = Command::new("sh");
    command.args(["-ec", script, "sh"]).arg(inner.get_program()).args(inner.get_args());
    let output = command.env("HOME", bench.path("")).stdin(Stdio::null()).output().unwrap();
    Said {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[track_caller]
fn says(said: &Said, wanted: &str) {
    assert_eq!((said.success, said.stdout.as_str()), (true, wanted), "{}", said.stderr);
}

#[test]
fn a_namespace_of_one_user_is_enough() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let script = "id -u; stat -c %u:%g /srv; touch /srv/x; cat /proc/self/setgroups";
    let said = around(&bench, "unshare -Ur \"$@\"", &[IMAGE, "sh", "-c", script]);
    says(&said, "0\n0:0\ndeny\n");
    // The one user takes any number.
    let script = "id -u; id -g; touch /tmp/x; stat -c %U /tmp/x";
    let said = around(&bench, "unshare -Ur \"$@\"", &["-u", "app", IMAGE, "sh", "-c", script]);
    says(&said, "1000\n1001\napp\n");
    let said = around(&bench, "unshare -Ur \"$@\"", &["--group-add", "extra", IMAGE, "true"]);
    assert!(!said.success && said.stderr.contains("--group-add"), "{said:?}");
}

#[test]
fn a_namespace_without_leave_to_set_groups_is_enough() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    // A wide map, written from outside, with setgroups denied before.
    let script = "mkfifo \"$dir/wait\" \"$dir/go\"
        unshare -U sh -c 'echo >\"$dir/wait\"; read x <\"$dir/go\"; exec \"$@\"' sh \"$@\" &
        read x <\"$dir/wait\"; echo deny >/proc/$!/setgroups
        echo 0 0 2000 >/proc/$!/uid_map; echo 0 0 2000 >/proc/$!/gid_map
        echo >\"$dir/go\"; wait $!";
    let script = format!("export dir={}; {script}", bench.path("").display());
    let command = ["-u", "app", IMAGE, "sh", "-c", "id -u; id -g; cat /proc/self/setgroups"];
    says(&around(&bench, &script, &command), "1000\n1001\ndeny\n");
    let again = script.replace("mkfifo", "true");
    let said = around(&bench, &again, &["-u", "nobody", IMAGE, "true"]);
    assert!(!said.success, "{said:?}");
    for words in ["\"nobody\"", "65534", "0 to 1999"] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
}

/// As nobody, with /dev/fuse open to all and these ranges in a mount namespace of the test's own.
const AS_NOBODY: &str =
    "export top=$(dirname \"$1\"); chown -R 65534:65534 \"$top/store\"; chown 65534:65534 \"$top\"
    mkdir \"$top/dev\"; printf \"$ranges\" >\"$top/dev/ranges\"
    exec unshare -m sh -ec 'mount -t tmpfs -o mode=755 none /mnt; mknod -m 666 /mnt/fuse c 10 229
    mount --bind /mnt/fuse /dev/fuse
    touch /etc/subuid /etc/subgid; mount --bind \"$top/dev/ranges\" /etc/subuid
    mount --bind \"$top/dev/ranges\" /etc/subgid; cd /
    exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \"$@\"' sh \"$@\"";

#[test]
fn all_ranges_of_a_user_are_used() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench().filter(|_| has("newuidmap")) else { return };
    let ranges = "other:1:7\\nnobody:200000:1000\\nnobody:300000:1000\\n";
    let script = format!("export ranges='{ranges}'; {AS_NOBODY}");
    let inside = "wc -l </proc/self/uid_map; id -u; id -g";
    // 1000 and 1001 are the last of the first range, and the first of the second.
    says(&around(&bench, &script, &["-u", "app", IMAGE, "sh", "-c", inside]), "3\n1000\n1001\n");
    let script = script.replace("mkdir", "mkdir -p");
    let said = around(&bench, &script, &["-u", "nobody", IMAGE, "true"]);
    assert!(!said.success && said.stderr.contains("\"nobody\""), "{said:?}");
    assert!(said.stderr.contains("1001 to 2000"), "{said:?}");
}
