//! Docker's options of a command in an image, and its rules for entrypoints.

#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::json;

use crate::support::images::TestImage;
use crate::support::program::{Bench, Said};
use crate::support::require::{can_mount, has};
use crate::support::shells::busybox;

const IMAGE: &str = "docker.io/library/docker:1";

/// A store with an image that says all it can of its command.
fn bench() -> Option<Bench> {
    if !has("busybox") {
        return None;
    }
    let bench = Bench::new();
    let wishes = json!({
        "Entrypoint": ["/bin/busybox", "echo", "entry"], "Cmd": ["cmd"],
        "Env": ["A=image", "B=image"], "User": "app",
    });
    TestImage::with_wishes(vec![busybox()], &wishes).put(&bench.store(), Some(IMAGE));
    Some(bench)
}

fn run(bench: &Bench, options: &[&str], command: &[&str]) -> Said {
    bench.shale(&[&["chroot"], options, &[IMAGE], command].concat())
}

#[track_caller]
fn says(bench: &Bench, options: &[&str], command: &[&str], wanted: &str) {
    let said = run(bench, options, command);
    assert_eq!((said.success, said.stdout.as_str()), (true, wanted), "{}", said.stderr);
}

#[test]
fn entrypoints_are_dockers() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    says(&bench, &[], &[], "entry cmd\n");
    says(&bench, &["--entrypoint", "/bin/busybox"], &["echo", "x"], "x\n");
    says(&bench, &["--entrypoint", ""], &["pwd"], "/\n");
    let cleared = json!({ "Entrypoint": [""], "Cmd": ["pwd"] });
    TestImage::with_wishes(vec![busybox()], &cleared).put(&bench.store(), Some(IMAGE));
    says(&bench, &[], &[], "/\n");
}

#[test]
fn options_that_fingers_give_are_taken() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    says(&bench, &["--rm", "-it", "--interactive", "--tty"], &["pwd"], "/\n");
    says(&bench, &["-w", "/new/deep"], &["pwd"], "/new/deep\n");
    let script = ["sh", "-c", "hostname; echo $HOSTNAME; grep -c named.box /etc/hosts"];
    says(&bench, &["--hostname", "named.box"], &script, "named.box\nnamed.box\n1\n");
    let refused = run(&bench, &["--hostname", "a/b"], &["true"]);
    assert!(!refused.success && refused.stderr.contains("letters, digits"), "{refused:?}");
}

#[test]
fn variables_come_from_files_and_options_win() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let file = bench.path("env");
    fs::write(&file, "# of a test\nA=file one\nB=file\nHOME\nNOT_SET_ANYWHERE\n").unwrap();
    let file = file.to_str().unwrap();
    let script = ["sh", "-c", "echo $A,$B,$HOME,${NOT_SET_ANYWHERE-none}"];
    let home = bench.path("");
    let wanted = format!("file one,option,{},none\n", home.display());
    says(&bench, &["--env-file", file, "-e", "B=option"], &script, &wanted);
    fs::write(file, "A=1\nnot a name=2\n").unwrap();
    let said = run(&bench, &["--env-file", file], &["true"]);
    assert!(!said.success && said.stderr.contains("line 2"), "{said:?}");
    let said = run(&bench, &["--env-file", "/no/such"], &["true"]);
    assert!(!said.success && said.stderr.contains("/no/such"), "{said:?}");
}

#[test]
fn groups_are_added() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    says(&bench, &["--group-add", "extra", "--group-add", "77"], &["id", "-G"], "1001 44 55 77\n");
    let said = run(&bench, &["--group-add", "nosuch"], &["true"]);
    assert!(!said.success && said.stderr.contains("nosuch"), "{said:?}");
}

#[test]
fn tmpfs_is_mounted_as_it_is_asked_for() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let script = "stat -c '%a %u' /new/cache /srv; mount | grep -c '/srv type tmpfs.*size=1024k'
        touch /new/cache/x && echo written; (cp /bin/busybox /new/cache/sh && /new/cache/sh true) \
        2>/dev/null || echo no program; cp /bin/busybox /srv/sh 2>/dev/null || echo full";
    let options = ["--tmpfs", "/new/cache", "--tmpfs", "/srv:size=1m,mode=755,exec,uid=1000"];
    let wanted = "1777 0\n755 1000\n1\nwritten\nno program\nfull\n";
    says(&bench, &options, &["sh", "-c", script], wanted);
    for (option, words) in [
        ("relative", "absolute"),
        ("/", "the image itself"),
        ("/x:lowerdir=/", "lowerdir"),
        ("/x:size=1m\n", "size"),
    ] {
        let said = run(&bench, &["--tmpfs", option], &["true"]);
        assert!(!said.success && said.stderr.contains(words), "{option}: {said:?}");
    }
}

#[test]
fn every_file_counts_for_the_root() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let script = "test $(du -xs /bin | cut -f 1) -gt 500 && echo counted
        df /bin/busybox | tail -n 1 | grep -q ' /$' && echo found
        touch /tmp/x; stat -c %d / /bin/busybox /tmp /tmp/x | sort -u | wc -l";
    says(&bench, &["-u", "root"], &["sh", "-c", script], "counted\nfound\n1\n");
}
