//! Completion in a real bash, manual pages, and help.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use crate::support::cli::Home;
use crate::support::images::TestImage;
use shalefs::store::Store;

const NAMES: [&str; 4] = [
    "docker.io/library/debian:11",
    "docker.io/library/debian:12",
    "docker.io/library/solo:only",
    "127.0.0.1:5000/team/app:v1",
];

fn home() -> Home {
    let home = Home::new();
    let store = Store::open(&home.path("store")).unwrap();
    for name in NAMES {
        TestImage::small(name).put(&store, Some(name));
    }
    home
}

/// What bash puts in the place of the last piece of `line`, as its `complete` would be asked.
/// The words are cut as readline cuts them: at blanks, and before and after colons and equals.
fn completions(home: &Home, line: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    for c in line.chars() {
        let last = words.last_mut().unwrap();
        match c {
            ' ' => words.push(String::new()),
            ':' | '=' if last.is_empty() => last.push(c),
            ':' | '=' => words.push(c.to_string()),
            c if [":", "="].contains(&last.as_str()) => words.push(c.to_string()),
            c => last.push(c),
        }
    }
    let ask = r#"eval "$(shale completion bash)"
        COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _shale_complete
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash: Command = home.program("bash");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_shale")).parent().unwrap();
    bash.env("PATH", format!("{}:{}", program.display(), std::env::var("PATH").unwrap()));
    let said = home.run(bash.args(["-c", ask, "bash", line]).args(words), "");
    assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{line}");
    said.stdout.lines().map(|word| word.trim_end().to_owned()).filter(|w| !w.is_empty()).collect()
}

#[test]
fn bash_completes_names_with_colons() {
    let home = home();
    for (line, wanted) in [
        ("shale rm sol", &["solo:only"][..]),
        ("shale rm debian", &["debian:11", "debian:12"]),
        // Bash replaces what stands after the colon.
        ("shale rm debian:", &["11", "12"]),
        ("shale rm debian:1", &["11", "12"]),
        ("shale rm debian:11", &["11"]),
        ("shale rm debian:11 solo:o", &["only"]),
        ("shale inspect 127", &["127.0.0.1:5000/team/app:v1"]),
        ("shale inspect 127.0.0.1:5000/team/app:", &["v1"]),
        ("shale inspect docker.io/library/s", &["docker.io/library/solo:only"]),
        ("shale rm nothing", &[]),
        ("shale hist", &["history"]),
        ("shale image hist", &["history"]),
        ("shale pull --plat", &["--platform"]),
        ("shale ls --color=al", &["always"]),
    ] {
        assert_eq!(completions(&home, line), wanted, "{line}");
    }
}

#[test]
fn completion_makes_no_store() {
    let home = Home::new();
    assert_eq!(completions(&home, "shale rm x"), Vec::<String>::new());
    assert!(!home.path("store").exists());
}

#[test]
fn scripts_for_the_other_shells() {
    let home = home();
    for (shell, words) in [("zsh", "#compdef shale"), ("fish", "complete "), ("elvish", "edit:")] {
        assert!(home.ok(&["completion", shell]).contains(words), "{shell}");
        if !matches!(shell, "elvish") && Command::new(shell).arg("--version").output().is_ok() {
            home.write("script", &home.ok(&["completion", shell]));
            let said = home.run(home.program(shell).args(["-n", "script"]), "");
            assert_eq!(said.status, 0, "{shell}: {}", said.stderr);
        }
    }
}

#[test]
fn every_command_has_help_and_a_page() {
    let home = Home::new();
    home.write("man/empty", "");
    home.ok(&["man", "--output", home.path("man").to_str().unwrap()]);
    let top = home.ok(&["--help"]);
    assert_eq!(home.ok(&["help"]), top);
    let mut count = 0;
    for line in top.lines().filter(|line| line.starts_with("  ")) {
        let Some(name) = line.split_whitespace().next() else { continue };
        let page = home.path(&format!("man/shale-{name}.1"));
        if !page.exists() {
            continue;
        }
        count += 1;
        let help = home.ok(&[name, "--help"]);
        assert!(help.contains("Usage: shale"), "{name}: {help}");
        assert_eq!(home.ok(&["help", name]), help);
        let page = std::fs::read_to_string(page).unwrap();
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS"] {
            assert!(page.contains(section), "{name}: {section}");
        }
        assert!(!page.contains(".SH EXTRA"), "{name}: examples with their lines as they are");
    }
    assert!(count > 20, "{count}");
    let page = home.ok(&["man", "ls"]);
    assert!(page.contains(".SH EXAMPLES\n.nf\n\\&  shale ls "), "{page}");
    assert_eq!(
        home.fails(2, &["man", "nope"]),
        "shale: no such command: nope\nhint: `shale --help` lists them\n"
    );
}
