//! What tests need of the machine, and of each other; and the one way to say that a test is not run.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::support::figures;

/// While one test starts a process, that process has for a moment what all tests of this binary
/// have open, and would keep their mounts busy.
static ALONE: Mutex<()> = Mutex::new(());

/// The running test, or a part of it, is not run. In CI that is a failure; elsewhere it is said past
/// the capture of a passing test's output, and the summary of the run lists it (`scripts/figures`).
#[track_caller]
pub fn not_run(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI must run every test: {why}");
    figures::note("not run", why);
    let _ = writeln!(io::stderr(), "\n*** NOT RUN: {why} ***\n");
}

/// Leave to mount, to be held for the whole test.
#[track_caller]
pub fn can_mount() -> Option<MutexGuard<'static, ()>> {
    if rustix::process::geteuid().is_root() && Path::new("/dev/fuse").exists() {
        return Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner));
    }
    not_run("needs root and /dev/fuse");
    None
}

/// Whether the test may do what only root may.
#[track_caller]
pub fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        not_run("needs root");
    }
    is_root
}

/// Whether a tool is there that a test needs.
#[track_caller]
pub fn has(tool: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).any(|folder| folder.join(tool).exists());
    if !found {
        not_run(&format!("{tool} is not installed"));
    }
    found
}
