//! Standard output and error opened anew by a user of the image (/dev/stdout), whatever is behind
//! them; and their owners afterwards.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use serde_json::json;

use super::shells::chroot;
use crate::support::images::TestImage;
use crate::support::program::Bench;
use crate::support::require::{can_mount, has};
use crate::support::shells::{self, busybox};
use crate::support::tmux::Screen;

const IMAGE: &str = "docker.io/library/logs:1";
const SCRIPT: &str = "echo out >/dev/stdout && echo error >/dev/stderr && echo done";

fn bench() -> Option<Bench> {
    if !has("busybox") {
        return None;
    }
    let bench = Bench::new();
    TestImage::with_wishes(vec![busybox()], &json!({})).put(&bench.store(), Some(IMAGE));
    Some(bench)
}

fn words<'a>(user: &'a str, script: &'a str) -> [&'a str; 7] {
    ["chroot", "-u", user, IMAGE, "sh", "-c", script]
}

#[test]
fn a_user_of_the_image_opens_pipes() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let said = bench.shale(&words("nobody", SCRIPT));
    assert_eq!((&*said.stdout, &*said.stderr), ("out\ndone\n", "error\n"));
}

#[test]
fn files_belong_to_the_user_meanwhile_and_to_their_owner_afterwards() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let (log, input) = (bench.path("log"), bench.path("input"));
    fs::write(&input, "read only\n").unwrap();
    let append = || File::options().create(true).append(true).open(&log).unwrap();
    let script = format!("{SCRIPT}; stat -L -c %u /dev/fd/0 /dev/fd/1; cat");
    let mut command = bench.command(&words("app", &script));
    command.stdin(File::open(&input).unwrap()).stdout(append()).stderr(append());
    assert!(command.status().unwrap().success());
    // `>` begins at the start of a file; the lines of the command itself are appended.
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.ends_with("done\n0\n1000\nread only\n"), "{text}");
    assert_eq!(fs::metadata(&log).unwrap().uid(), 0, "it is root's again");
    // Devices are the machine's.
    let mut command = bench.command(&words("app", "stat -L -c %u /dev/fd/3 3>&1 >&2"));
    let output = command.stdout(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "0\n");
    assert_eq!(fs::metadata("/dev/null").unwrap().uid(), 0);
}

#[test]
fn a_user_of_the_image_opens_the_terminal() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = shells::bench(&json!({})).filter(|_| has("tmux")) else { return };
    let screen = Screen::start(bench.path("tmux"));
    let chroot = chroot(&bench);
    screen.line(&format!("{chroot} -h >/dev/null; stat -c own''er=%u $(tty)"));
    screen.wait("owner=0");
    let chroot = chroot.replace(" chroot ", " chroot -u nobody ");
    let script = "echo to o''ut >/dev/stdout && echo to er''ror >/dev/stderr";
    screen.line(&format!("{chroot} sh -c '{script}'; stat -c then=%u $(tty)"));
    screen.wait("then=0");
    let shown = screen.shown();
    assert!(shown.contains("to out") && shown.contains("to error"), "{shown}");
}
