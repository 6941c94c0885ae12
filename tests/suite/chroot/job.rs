//! A command in an image as a job of the caller's shell: the two groups of processes behave as one;
//! and signals of every number.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::json;

use super::shells::chroot;
use crate::support::program::{Bench, wait_for};
use crate::support::require::{can_mount, has};
use crate::support::shells::{self, SHELLS};
use crate::support::tmux::Screen;

/// A command that says that it runs, and that it was continued.
const JOB: &str =
    "sh -c 'trap \"echo went on\" CONT; echo run\"\"ning; while :; do sleep 0.02; done'";

#[test]
fn the_callers_job_stops_goes_on_and_ends_with_the_command() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = shells::bench(&json!({})).filter(|_| has("tmux")) else { return };
    let chroot = chroot(&bench);
    let screen = Screen::start(bench.path("tmux"));
    screen.line(&format!("{chroot} {JOB}"));
    screen.wait("running");
    screen.key("C-z");
    screen.line("echo stop''ped=$?");
    screen.wait("stopped=148");
    screen.line("fg");
    screen.wait("went on");
    screen.key("C-c");
    screen.line("echo inter''rupted=$?");
    screen.wait("interrupted=130");
    // A script ends with the key, as with any other command.
    screen.line(&format!("sh -c \"{chroot} sleep 1000; echo not''reached\""));
    let ours = || processes().into_iter().any(|(_, line)| line == "sleep\x001000\0");
    wait_for("the command", ours);
    screen.key("C-c");
    screen.line("echo scr''ipt=$?");
    screen.wait("script=130");
    assert!(!screen.shown().contains("notreached"), "{}", screen.shown());
    // Beside a pipe the rest of the job keeps the terminal.
    let beside = "sh -c 'cat; read x </dev/tty; echo got=$x'";
    screen.line(&format!("{chroot} sh -c 'echo pi''ped' | {beside}"));
    screen.wait("piped");
    screen.line("line");
    screen.wait("got=line");
    // In the background it does not get the terminal, until it is taken to the foreground.
    // (dash reads at once; busybox would wait until there is something to read.)
    screen.line(&format!("{chroot} dash -c 'read y; echo he''ard=$y' &"));
    screen.line("until jobs | grep -q Stopped; do sleep 0.02; done; echo wait''ing");
    screen.wait("waiting");
    screen.line("fg");
    screen.line("more");
    screen.wait("heard=more");
}

#[test]
fn a_stop_that_a_process_asks_for_stops_the_command_too() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = shells::bench(&json!({})).filter(|_| has("tmux")) else { return };
    let chroot = chroot(&bench);
    let screen = Screen::start(bench.path("tmux"));
    let mark = format!("98{:06}", std::process::id());
    screen.line(&format!("{chroot} sleep {mark} &"));
    let command = || {
        let line = format!("sleep\0{mark}\0");
        processes().into_iter().find(|(_, found)| *found == line).map(|(pid, _)| pid)
    };
    wait_for("the command", || command().is_some());
    let pid = command().unwrap();
    screen.line("kill -TSTP $!");
    wait_for("the stop", || state(&pid) == Some('T'));
    screen.line("until jobs | grep -q Stopped; do sleep 0.02; done; echo st''opped");
    screen.wait("stopped");
    screen.line("bg");
    wait_for("the command to go on", || state(&pid).is_some_and(|state| state != 'T'));
    screen.line("kill %1; wait %1; echo e''nd=$?");
    screen.wait("end=143");
}

/// Every process, and its words.
fn processes() -> Vec<(String, String)> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let line = |pid: &String| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    numbers.map(|pid| (pid.clone(), String::from_utf8_lossy(&line(&pid)).into_owned())).collect()
}

fn state(pid: &str) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

/// Starts it and waits for its first line.
fn start(bench: &Bench, words: &[&str]) -> Child {
    let mut command = bench.command(&[&["chroot", SHELLS], words].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "on\n");
    child
}

#[test]
fn every_signal_goes_in() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = shells::bench(&json!({})) else { return };
    let signals = [
        libc::SIGALRM,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGIO,
        libc::SIGPWR,
        libc::SIGURG,
        libc::SIGPIPE,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGUSR1,
        libc::SIGRTMIN(),
        libc::SIGRTMIN() + 5,
        libc::SIGRTMAX(),
    ];
    for signal in signals {
        let script = format!("trap 'exit 3' {signal}; echo on; while :; do sleep 0.02; done");
        let mut child = start(&bench, &["bash", "-c", &script]);
        // By number, also those without a name.
        let number = signal.to_string();
        let sent = std::process::Command::new("kill")
            .args([format!("-{number}"), child.id().to_string()])
            .status();
        assert!(sent.unwrap().success(), "{signal}");
        assert_eq!(child.wait().unwrap().code(), Some(3), "{signal}");
    }
}
