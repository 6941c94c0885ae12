//! The server under a command: when it dies the command's end says so; when the command is done it
//! says nothing.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::elf;
use crate::support::images::{TestImage, TestLayer};
use crate::support::program::{Bench, wait_for};
use crate::support::require::{can_mount, has};
use crate::support::shells::busybox;

const IMAGE: &str = "docker.io/library/served:1";

fn bench() -> Option<Bench> {
    if !has("busybox") {
        return None;
    }
    let bench = Bench::new();
    TestImage::with_wishes(vec![busybox()], &json!({})).put(&bench.store(), Some(IMAGE));
    Some(bench)
}

fn layer_of_programs(programs: &[(&str, Vec<u8>)]) -> TestLayer {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in programs {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    TestLayer::of_tar(&builder.into_inner().unwrap())
}

/// The child of `parent` that leads a session of its own.
fn server_of(parent: &Child) -> Pid {
    let fields = |pid: &str| -> Option<Vec<String>> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(stat.rsplit(')').next()?.split_whitespace().map(str::to_owned).collect())
    };
    let is_it = |pid: &str| {
        fields(pid).is_some_and(|fields| fields[1] == parent.id().to_string() && fields[3] == *pid)
    };
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let pid = names.find(|name| is_it(name)).expect("a server");
    Pid::from_raw(pid.parse().unwrap()).unwrap()
}

#[test]
fn a_server_that_dies_is_told_at_the_end_of_the_command() {
    let Some(_alone) = can_mount() else { return };
    // Programs that need nothing of the image any more once they run.
    let programs = [("good", 0, 125), ("bad", 9, 9)];
    let bench = Bench::new();
    let layer = programs.map(|(name, status, _)| (name, elf::waits_and_exits_with(status)));
    TestImage::with_wishes(vec![layer_of_programs(&layer)], &json!({}))
        .put(&bench.store(), Some(IMAGE));
    for (name, _, expected) in programs {
        let mut command = bench.command(&["chroot", IMAGE, &format!("/{name}")]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let server = server_of(&child);
        kill_process(server, Signal::KILL).unwrap();
        let stat = format!("/proc/{}/stat", server.as_raw_nonzero());
        wait_for("the server's end", || !fs::exists(&stat).unwrap());
        child.stdin.take().unwrap().write_all(b"!").unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(expected), "{said}");
        assert!(said.contains("serves the image was killed by signal 9"), "{said}");
    }
}

#[test]
fn nothing_is_left_of_a_command_whose_caller_is_killed() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    assert!(bench.shale(&["chroot", IMAGE, "true"]).success);
    let files = |folder: &str| -> Vec<_> {
        let entries = fs::read_dir(bench.path("store").join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    let mut command = bench.command(&["chroot", IMAGE, "sh", "-c", "echo on; read x"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // The command had it open until its own end.
    assert_eq!(output.read_to_string(&mut line).unwrap(), 0);
    assert!(files("chroot").is_empty());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(bench.path("store").to_str().unwrap()), "{mounts}");
    // At most something that nobody holds any more, until somebody cleans up.
    assert!(bench.shale(&["prune", "-f"]).success);
    assert!(files("ingest").is_empty(), "{:?}", files("ingest"));
}
