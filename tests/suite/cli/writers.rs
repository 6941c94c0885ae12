//! What `save`, `export` and `load` leave when they are ended or nobody takes what they write.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::support::images::{TestImage, TestLayer};
use crate::support::program::Bench;
use rustix::process::{Pid, Signal, kill_process};

const BIG: &str = "docker.io/library/big:1";

/// A store with an image that takes a while to be written.
fn bench() -> Bench {
    let bench = Bench::new();
    let layer = TestLayer::of(&[("big", vec![0; 64 << 20].as_slice())]);
    TestImage::new(vec![layer], "big").put(&bench.store(), Some(BIG));
    bench
}

/// Waits until the process has a file in `directory` open, with a name or without; false when it
/// ended first.
fn has_open_file(child: &mut Child, directory: &Path) -> bool {
    let descriptors = format!("/proc/{}/fd", child.id());
    loop {
        let open = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        let mut targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        if targets.any(|target| target != directory && target.starts_with(directory)) {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
}

/// Ends a process in the middle of its work: whether it was so ended.
fn end(child: &mut Child, signal: Signal) -> bool {
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
    child.wait().unwrap().signal() == Some(signal.as_raw())
}

#[test]
fn a_writer_that_is_ended_leaves_what_was_there() {
    let bench = bench();
    let directory = bench.path("out");
    fs::create_dir(&directory).unwrap();
    let target = directory.join("image.tar");
    let path = target.to_str().unwrap();
    for words in [["save", "-o", path, BIG], ["export", "-o", path, BIG]] {
        for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
            let is_hit = (0..100).any(|_| {
                fs::write(&target, "old").unwrap();
                let mut child = bench.command(&words).stderr(Stdio::null()).spawn().unwrap();
                has_open_file(&mut child, &directory) && end(&mut child, signal)
            });
            assert!(is_hit, "{words:?} was always done before");
            let names: Vec<_> = fs::read_dir(&directory).unwrap().flatten().collect();
            assert_eq!(names.len(), 1, "{words:?}, {signal:?}: {names:?}");
            assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        }
    }
    assert!(bench.shale(&["save", "-o", path, BIG]).success);
    assert!(fs::metadata(&target).unwrap().len() > 64 << 10, "it takes the place of the old one");
    let new = directory.join("new.tar");
    assert!(bench.shale(&["export", "-o", new.to_str().unwrap(), BIG]).success);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
}

#[test]
fn a_load_that_is_ended_leaves_no_spooled_input() {
    let bench = bench();
    let directory = bench.path("temporary");
    fs::create_dir(&directory).unwrap();
    let mut command = bench.command(&["load"]);
    let mut child = command.env("TMPDIR", &directory).stdin(Stdio::piped()).spawn().unwrap();
    assert!(has_open_file(&mut child, &directory), "it waits for its input");
    assert!(end(&mut child, Signal::TERM));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}

/// A list that is cut off says so by its looks; an archive does not.
#[test]
fn an_archive_that_nobody_takes_is_a_failure() {
    let bench = bench();
    for words in [&["save", BIG][..], &["export", BIG]] {
        let mut command = bench.command(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("closed before the archive was whole"), "{words:?}: {said}");
    }
}
