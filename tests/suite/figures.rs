//! The figures of a run: what tests count is added up, and too little fails the run.

#![allow(clippy::unwrap_used)]

use crate::support::figures;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Every figure that is asked for, with `number` in it.
fn judge(directory: &Path, number: &str) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/figures");
    let asked = fs::read_to_string(&script).unwrap();
    let rows = asked
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(_, bar)| bar.parse::<usize>().is_ok());
    for (what, _) in rows {
        fs::create_dir_all(directory.join(what)).unwrap();
        fs::write(directory.join(what).join("one"), number).unwrap();
        fs::write(directory.join(what).join("two"), "5\n").unwrap();
    }
    let output = Command::new(&script).arg(directory).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn figures_are_added_up() {
    let directory = tempfile::tempdir().unwrap();
    let (enough, table) = judge(directory.path(), "1000\n");
    assert!(enough, "{table}");
    assert!(
        table.lines().count() >= 8 && table.lines().all(|row| row.contains(" 1005 ")),
        "{table}"
    );
}

#[test]
fn planted_figures_below_the_bar_fail_the_run() {
    figures::once("planted faults");
    let directory = tempfile::tempdir().unwrap();
    judge(directory.path(), "1000\n");
    fs::write(directory.path().join("registry faults/one"), "54\n").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/figures");
    let output = Command::new(&script).arg(directory.path()).output().unwrap();
    assert!(!output.status.success());
    let table = String::from_utf8(output.stdout).unwrap();
    let bad: Vec<_> = table.lines().filter(|row| row.ends_with("TOO FEW")).collect();
    assert_eq!(bad.len(), 1, "{table}");
    assert!(bad[0].starts_with("registry faults ") && bad[0].contains(" 59 "), "{table}");
    fs::remove_dir_all(directory.path().join("bad inputs")).unwrap();
    let output = Command::new(&script).arg(directory.path()).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().matches("TOO FEW").count() == 2);
}
