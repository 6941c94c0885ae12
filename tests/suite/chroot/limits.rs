//! Commands and servers started by callers with tight limits, closed descriptors, odd environments
//! and a directory that is gone.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::images::{TestImage, TestLayer};
use crate::support::program::{Bench, Said};
use crate::support::require::{can_mount, has};
use crate::support::shells::busybox;

const IMAGE: &str = "docker.io/library/limited:1";

/// Layers beside busybox: more than a server has descriptors for by default in these tests.
const LAYERS: usize = 120;

fn bench() -> Option<Bench> {
    if !has("busybox") {
        return None;
    }
    let bench = Bench::new();
    let layer = |number| {
        let (name, bytes) = (format!("l/{number}"), format!("{number}\n").repeat(100_000));
        TestLayer::of(&[(&name, bytes.as_bytes())])
    };
    let layers = [busybox()].into_iter().chain((0..LAYERS).map(layer)).collect();
    TestImage::with_wishes(layers, &json!({})).put(&bench.store(), Some(IMAGE));
    // The program, where everybody can reach it; and the image's tables.
    assert!(bench.shale(&["chroot", IMAGE, "true"]).success);
    Some(bench)
}

/// The status and the words of `"$shale" ARGUMENTS` in a script of bash.
fn script(bench: &Bench, script: &str) -> (Option<i32>, Said) {
    let mut command = Command::new("bash");
    command.args(["-c", script]).env("image", IMAGE).env("top", bench.path(""));
    let shale =
        format!("{} --root {}", bench.path("shale").display(), bench.path("store").display());
    let output = command.env("shale", shale).stdin(Stdio::null()).output().unwrap();
    let said = Said {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    (output.status.code(), said)
}

#[track_caller]
fn says(bench: &Bench, text: &str, wanted: &str) {
    let (status, said) = script(bench, text);
    assert_eq!((status, said.stdout.as_str()), (Some(0), wanted), "{}", said.stderr);
}

#[test]
fn the_commands_habits_are_the_callers() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let inside = "'ulimit -n; ulimit -f; cut -d \\  -f 19 /proc/self/stat; umask'";
    says(
        &bench,
        &format!("ulimit -n 300 -f 70; umask 077; nice -n 3 $shale chroot $image sh -c {inside}"),
        "300\n140\n3\n0022\n",
    );
    // The default of what happens at the limit is back: the shell dies of SIGXFSZ.
    let write = "dd if=/dev/zero of=/tmp/x bs=4096 count=40 2>/dev/null";
    says(&bench, &format!("ulimit -f 100; $shale chroot $image sh -c '{write}; echo $?'"), "153\n");
}

#[test]
fn a_server_reads_whatever_the_limits_of_its_caller() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let all = "cat /l/* | wc -l";
    let wanted = format!("{}\n", LAYERS * 100_000);
    says(&bench, &format!("ulimit -f 100; $shale chroot $image sh -c '{all}'"), &wanted);
    says(&bench, &format!("ulimit -Sn 20; $shale chroot $image sh -c '{all}'"), &wanted);
    says(&bench, &format!("ulimit -Sv 200000; $shale chroot $image sh -c '{all}'"), &wanted);
    // Few descriptors and no right to have more: fewer layers are open at once.
    let few = "ulimit -n 256; exec setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource";
    says(&bench, &format!("{few} $shale chroot $image sh -c '{all}'"), &wanted);
    let mount = "mkdir $top/m && $shale mount $image $top/m && cat $top/m/l/* | wc -l
        $shale umount $top/m >/dev/null; rmdir $top/m";
    for limit in ["-f 100", "-Sn 20", "-Sv 200000"] {
        says(&bench, &format!("ulimit {limit}; {mount}"), &wanted);
    }
}

#[test]
fn too_little_for_a_server_is_refused_in_words() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    // Without the right to raise a hard limit.
    let unable = "setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource";
    for (limit, words) in [("-n 20", "open files"), ("-v 200000", "address space")] {
        let text = format!("ulimit {limit}; exec {unable} $shale chroot $image true");
        let (status, said) = script(&bench, &text);
        assert_eq!(status, Some(125), "{said:?}");
        assert!(said.stderr.contains(words) && said.stderr.contains("ulimit"), "{said:?}");
        fs::create_dir_all(bench.path("m")).unwrap();
        let text = format!("ulimit {limit}; exec {unable} $shale mount $image $top/m");
        let (status, said) = script(&bench, &text);
        assert_eq!(status, Some(1), "{said:?}");
        assert!(said.stderr.contains(words), "{said:?}");
    }
}

#[test]
fn a_file_that_may_not_be_that_large_is_an_error_in_words() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let (status, said) = script(&bench, "ulimit -f 100; $shale export -o $top/x.tar $image");
    assert_eq!(status, Some(1), "{said:?}");
    assert!(said.stderr.contains("File too large"), "{said:?}");
    assert!(!bench.path("x.tar").exists());
    let (status, said) = script(
        &bench,
        "$shale save -o $top/i.tar $image && ulimit -f 100 &&
        ${shale%% *} --root $top/other pull docker-archive:$top/i.tar",
    );
    assert_eq!(status, Some(1), "{said:?}");
    assert!(said.stderr.contains("File too large"), "{said:?}");
}

#[test]
fn closed_descriptors_and_a_directory_that_is_gone_are_no_hindrance() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let (status, said) =
        script(&bench, "$shale chroot $image sh -c 'ls /dev/fd | wc -l; exit 4' <&- >&- 2>&-");
    assert_eq!(status, Some(4), "{said:?}");
    says(
        &bench,
        "mkdir $top/gone && cd $top/gone && rmdir $top/gone && $shale chroot $image sh -c pwd",
        "/\n",
    );
    says(&bench, "unset HOME; $shale chroot $image sh -c 'echo $HOME'", "/root\n");
    says(&bench, "HOME=/dev/null $shale chroot $image sh -c 'echo $HOME'", "/root\n");
}

#[test]
fn variables_of_other_programs_change_nothing() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    for value in ["", "0", "1", "yes", "no-such-shell"] {
        says(&bench, &format!("COMPLETE={value} $shale chroot $image sh -c 'echo here'"), "here\n");
    }
    // An empty $SHALE_ROOT is none: the store is where it is without.
    fs::set_permissions(bench.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let text = "install -d -o 65534 $top/data
        SHALE_ROOT= XDG_DATA_HOME=$top/data setpriv --reuid=65534 --regid=65534 \
        --clear-groups ${shale%% *} info --format '{{.Root}}' 2>&1 || true";
    let (_, said) = script(&bench, text);
    assert!(said.stdout.contains("/data/shale"), "{said:?}");
}
