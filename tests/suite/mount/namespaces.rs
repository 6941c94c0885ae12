//! Mounts in private mount namespaces: they end with them, and are ended from outside.

#![allow(clippy::unwrap_used)]

use std::process::{Child, Command, Stdio};

use crate::support::program::{Bench, IMAGE, is_gone, wait_for};
use crate::support::require::can_mount;
use shalefs::mount::{self, State};

/// Mounts in a private namespace, in which a process waits for the end of its input.
fn mounted_apart(bench: &Bench, options: &str) -> Child {
    let shale = bench.command(&[]);
    let program = shale.get_program().to_owned();
    let script = format!(
        "\"$shale\" --root \"$root\" -q mount {options} {IMAGE} \"$dir\" || exit; cat >/dev/null"
    );
    let child = Command::new("unshare")
        // A mount that another test unmounts goes here too.
        .args(["--mount", "--propagation=slave", "sh", "-c", &script])
        .env("shale", program)
        .env("root", bench.path("store"))
        .env("dir", &bench.dir)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the mount", || !bench.records().is_empty());
    child
}

#[test]
fn a_mount_ends_with_its_namespace() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    for options in ["", "-o auto_unmount"] {
        let mut child = mounted_apart(&bench, options);
        let record = bench.record();
        assert!(!bench.is_mounted(), "it is not seen here");
        assert_eq!(mount::list(&bench.store()).unwrap()[0].state, State::Elsewhere);
        // The last process of the namespace ends.
        drop(child.stdin.take());
        child.wait().unwrap();
        wait_for("the server to end", || is_gone(&record));
        wait_for("the record to go", || bench.records().is_empty());
    }
}

#[test]
fn umount_from_outside_does_what_it_says() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let directory = bench.dir.to_str().unwrap().to_owned();
    for target in [directory.as_str(), IMAGE, "--all"] {
        let mut child = mounted_apart(&bench, "");
        let record = bench.record();
        let said = bench.shale(&["umount", target]);
        let gone = is_gone(&record);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(said.success && said.stderr.is_empty(), "{target}: {said:?}");
        assert!(gone && bench.records().is_empty(), "{target}");
    }
}
