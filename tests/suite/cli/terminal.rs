//! What people see on a terminal, by `script`, which runs a command on one of its own.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use crate::support::cli::{Home, Said};
use crate::support::images::{TestImage, TestLayer};
use crate::support::layout_registry::LayoutRegistry;
use shalefs::store::Store;

const SHALE: &str = env!("CARGO_BIN_EXE_shale");

/// Runs a shell's line on a terminal. What it prints comes with the terminal's line ends.
fn on_terminal(home: &Home, line: &str, typed: &str, variables: &[(&str, &str)]) -> Said {
    let mut script: Command = home.program("script");
    script.env("TERM", "xterm").envs(variables.iter().copied()).env("SHALE", SHALE);
    script.args(["-qec", line, "/dev/null"]);
    let said = home.run(&mut script, typed);
    Said { stdout: said.stdout.replace("\r\n", "\n"), ..said }
}

/// A home whose store has two images, one of them without a tag.
fn home() -> Home {
    let home = Home::new();
    let store = Store::open(&home.path("store")).unwrap();
    TestImage::small("one").put(&store, Some("docker.io/library/a:1"));
    TestImage::small("two").put(&store, Some("docker.io/library/a:1"));
    home
}

#[test]
fn colours_are_for_terminals() {
    let home = home();
    let ls = |line: &str, variables: &[(&str, &str)]| {
        on_terminal(&home, line, "", variables).stdout.contains('\x1b')
    };
    assert!(ls("$SHALE ls", &[]));
    assert!(!ls("$SHALE ls | cat", &[]));
    assert!(ls("$SHALE --color always ls | cat", &[]));
    assert!(!ls("$SHALE ls", &[("NO_COLOR", "1")]));
    assert!(ls("$SHALE ls", &[("NO_COLOR", "")]), "an empty one says nothing");
    assert!(!ls("$SHALE ls --color never", &[]));
    assert!(!ls("$SHALE ls", &[("TERM", "dumb")]));
    assert!(ls("$SHALE rm nope", &[]));
    assert!(!ls("$SHALE rm nope", &[("NO_COLOR", "1")]));
    assert!(!ls("$SHALE inspect a:1", &[]), "JSON has none");
}

#[test]
fn progress_is_drawn_on_terminals_only() {
    let layout = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/docker/layout");
    let name = format!("{}/app:1", LayoutRegistry::serve(&layout).name);
    let pull = |line: &str| {
        let home = Home::new();
        let said = on_terminal(&home, &line.replace("NAME", &name), "", &[]);
        assert_eq!(said.status, 0, "{}", said.stdout);
        said.stdout
    };
    let drawn = pull("$SHALE pull NAME");
    assert!(drawn.contains("[2K") && drawn.contains("total"), "bars: {drawn}");
    assert!(
        drawn.contains("Status: Downloaded newer image") && drawn.ends_with(&format!("{name}\n"))
    );
    let plain = pull("$SHALE pull NAME 2>&1 | cat");
    assert!(!plain.contains('\x1b') && plain.contains("1291d4e4c962: Pull complete\n"), "{plain}");
    assert_eq!(pull("$SHALE pull -q NAME"), format!("{name}\n"));
}

#[test]
fn a_closed_pipe_is_silent() {
    let home = home();
    for line in ["$SHALE ls", "$SHALE inspect a:1 a:1 a:1", "$SHALE pull --help", "$SHALE man"] {
        let line = format!("({line}; echo status $? >&2) | head -1 > /dev/null");
        let said = home.run(home.program("sh").env("SHALE", SHALE).args(["-c", &line]), "");
        assert_eq!(said.stderr, "status 0\n", "{line}");
    }
}

#[test]
fn a_full_disk_is_an_error_of_help_too() {
    let home = home();
    for words in ["ls", "--version", "--help", "help ls", "pull --help"] {
        let line = format!("$SHALE {words} > /dev/full; echo status $? >&2");
        let said = home.run(home.program("sh").env("SHALE", SHALE).args(["-c", &line]), "");
        let wanted = "shale: standard output: No space left on device (os error 28)\nstatus 1\n";
        assert_eq!(said.stderr, wanted, "{words}");
    }
}

#[test]
fn an_id_that_is_not_there_is_not_offered_to_be_pulled() {
    let home = home();
    let said = home.fails(1, &["inspect", "sha256:ab"]);
    assert!(said.contains("no such image: sha256:ab") && !said.contains("shale pull"), "{said}");
    assert!(said.contains("hint: `shale ls` lists"), "{said}");
    assert!(home.fails(1, &["inspect", "nope:ab"]).contains("`shale pull nope:ab`"));
}

#[test]
fn prune_takes_one_moment() {
    let home = home();
    let said = home.fails(1, &["prune", "-f", "--filter", "until=1h", "--filter", "until=2h"]);
    assert!(said.contains("more than one until filter specified"), "{said}");
    home.ok(&["prune", "-f", "--filter", "until=1h", "--filter", "until=1h"]);
}

#[test]
fn prune_asks() {
    for (typed, gone) in [("y\n", true), ("Y\n", true), ("n\n", false), ("\n", false)] {
        let home = home();
        let said = on_terminal(&home, "$SHALE prune", typed, &[]);
        assert!(
            said.stdout.contains("Are you sure you want to continue? [y/N]"),
            "{}",
            said.stdout
        );
        assert_eq!(said.stdout.contains("Total reclaimed space"), gone, "{typed:?}");
        assert_eq!(home.ok(&["ls", "-q"]).lines().count(), if gone { 1 } else { 2 });
    }
    let home = home();
    assert_eq!(home.shale(&["prune"]).status, 0, "nobody answers: nothing is done");
    assert_eq!(home.ok(&["ls", "-q"]).lines().count(), 2);
    home.ok(&["prune", "-f"]);
    assert_eq!(home.ok(&["ls", "-q"]).lines().count(), 1);
}

#[test]
fn nothing_foreign_drives_the_terminal() {
    let home = Home::new();
    let store = Store::open(&home.path("store")).unwrap();
    let evil = "\u{1b}[31m\u{1b}]0;title\u{7}red\r\nsecond\u{202e}line";
    let layer = TestLayer::of(&[("x", b"x")]);
    TestImage::new(vec![layer], evil).put(&store, Some("docker.io/library/evil:1"));
    for line in [
        "history --no-trunc evil:1",
        "inspect evil:1",
        "inspect -f '{{.Comment}}' evil:1",
        "history --format '{{.Comment}}{{.CreatedBy}}' evil:1",
        "layers evil:1",
        "history --format json evil:1",
    ] {
        let shown = on_terminal(&home, &format!("NO_COLOR=1 $SHALE {line}"), "", &[]).stdout;
        let bad = |c: char| matches!(c, '\u{1b}' | '\u{7}' | '\r' | '\u{202e}');
        assert!(!shown.contains(bad), "{line}: {shown:?}");
    }
    let raw = home.ok(&["inspect", "-f", "{{.Comment}}", "evil:1"]);
    assert_eq!(raw, format!("{evil}\n"), "a pipe gets what there is");
}
