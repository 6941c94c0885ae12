//! What a run of the tests did, counted by the tests themselves: `target/figures/WHAT/TEST` holds
//! the number of one test. `scripts/figures` adds them up and compares them with what the project
//! asks of a run. Nothing is counted that was not done.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Totals of this process, by what and test.
static TOTALS: Mutex<BTreeMap<(String, String), usize>> = Mutex::new(BTreeMap::new());

/// Adds to a figure of the running test.
pub fn count(what: &str, number: usize) {
    write(what, |total| total + number);
}

/// Counts the running test itself, however often it says so.
pub fn once(what: &str) {
    write(what, |_| 1);
}

fn write(what: &str, change: impl Fn(usize) -> usize) {
    let (directory, test) = place(what);
    let mut totals = TOTALS.lock().unwrap_or_else(PoisonError::into_inner);
    let total = totals.entry((what.to_owned(), test.clone())).or_default();
    *total = change(*total);
    fs::write(directory.join(test), format!("{total}\n")).expect("target/ can be written");
}

/// Where a figure of the running test is kept, and the test's name.
fn place(what: &str) -> (PathBuf, String) {
    // A test's thread has its name; a thread that it started has not, and counts for its process.
    let thread = std::thread::current().name().unwrap_or("other").replace("::", ".");
    let test = format!("{}.{thread}", env!("CARGO_CRATE_NAME"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp");
    let directory = target.join("figures").join(what);
    fs::create_dir_all(&directory).expect("target/ can be written");
    (directory, test)
}

/// Notes a text about the running test, such as why it is not run.
pub fn note(what: &str, text: &str) {
    let (directory, test) = place(what);
    fs::write(directory.join(test), format!("{text}\n")).expect("target/ can be written");
}

/// The running test is none of these after all: it compares, or checks the check.
pub fn not(what: &str) {
    write(what, |_| 0);
}
