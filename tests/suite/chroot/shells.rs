//! Interactive shells in an image, on a terminal of tmux: each goes through the same session, and
//! what was on the screen is kept beside the other figures of the build (`target/tmp/terminal/`).

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::program::{Bench, wait_for};
use crate::support::require::{can_mount, has};
use crate::support::shells::{self, SHELLS};
use crate::support::tmux::Screen;

/// What a shell says that has no terminal to control, or cannot give it back.
const COMPLAINTS: [&str; 5] = [
    "no job control",
    "job control turned off",
    "Cannot set tty",
    "can't access tty",
    "Inappropriate",
];

/// A job in the foreground that says when it runs, is continued and sees another size, and that keys
/// end. A trap of a shell runs as soon as its child has ended.
fn job(name: &str) -> String {
    format!(
        "sh -c 'trap \"echo went on \"{name} CONT; trap \"echo resized \"{name} WINCH; \
         echo run\"\"ning {name}; while :; do sleep 0.02; done'"
    )
}

/// The program in the image, up to the command.
pub(super) fn chroot(bench: &Bench) -> String {
    // The program is put there with the first command.
    bench.command(&["info"]).output().unwrap();
    let (program, store) = (bench.path("shale"), bench.path("store"));
    format!("{} --root {} chroot -e PS1='in> ' {SHELLS}", program.display(), store.display())
}

fn keep_record(name: &str, screen: &Screen) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("terminal");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.txt")), screen.shown().trim_end()).unwrap();
}

/// Keys, stops, sizes and ends of one shell.
fn session(name: &str, shell: &str) {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = shells::bench(&json!({})).filter(|_| has("tmux")) else { return };
    let chroot = chroot(&bench);
    let screen = Screen::start(bench.path("tmux"));
    screen.line(&format!("{chroot} {shell}; echo le''ft=$?"));
    screen.wait("\nin>");
    screen.line("echo fi''rst; tty");
    screen.wait("first\n/dev/console");
    screen.line(&job("one"));
    screen.wait("running one");
    screen.key("C-c");
    screen.line("echo inter''rupted=$?");
    screen.wait("interrupted=130");
    screen.line(&job("two"));
    screen.wait("running two");
    screen.key("C-z");
    screen.line("echo stop''ped=$?");
    screen.wait("stopped=148");
    screen.line("fg");
    screen.wait("went on two");
    screen.resize(100, 30);
    screen.wait("resized two");
    screen.key("C-c");
    screen.line("echo twi''ce=$?; stty size");
    screen.wait("twice=130\n30 100");
    screen.line("exit 7");
    screen.wait("left=7");
    // The terminal is the outer shell's again, and its jobs'.
    screen.line("echo as''ked; read x; echo go''t=$x");
    screen.wait("asked");
    screen.line("line");
    screen.wait("got=line");
    // Asked to be interactive, and left by the end of what is typed.
    screen.line(&format!("{chroot} {shell} -i; echo end''ed=$?"));
    screen.line("echo sec''ond");
    screen.wait("second");
    screen.line("true");
    screen.key("C-d");
    screen.wait("ended=0");
    // Broken off in the middle of a job: nobody is left.
    let mark = format!("97{:06}", std::process::id());
    screen.line(&format!("{chroot} {shell}"));
    screen.line(&format!("echo th''ird; sleep {mark}"));
    screen.wait("third");
    wait_for("the job", || is_running(&mark));
    keep_record(name, &screen);
    let shown = screen.shown();
    screen.hang_up();
    wait_for("the end of the job", || !is_running(&mark));
    for words in COMPLAINTS {
        assert!(!shown.contains(words), "{words}: {shown}");
    }
}

/// Whether somewhere a `sleep` of so many seconds runs.
fn is_running(seconds: &str) -> bool {
    fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line == format!("sleep\0{seconds}\0").as_bytes()
    })
}

#[test]
fn dash_has_the_terminal_and_gives_it_back() {
    session("dash", "dash");
}

#[test]
fn bash_has_the_terminal_and_gives_it_back() {
    session("bash", "bash --norc");
}

#[test]
fn busybox_ash_has_the_terminal_and_gives_it_back() {
    session("ash", "busybox ash");
}

#[test]
fn zsh_has_the_terminal_and_gives_it_back() {
    session("zsh", "zsh -f +Z");
}
