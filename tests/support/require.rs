//! What tests that mount need of the machine, and of each other.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// While one test starts a process, that process has for a moment what all tests of this binary
/// have open, and would keep their mounts busy.
static ALONE: Mutex<()> = Mutex::new(());

/// Leave to mount, to be held for the whole test. Without root and /dev/fuse says so loudly and
/// gives `None`; in CI that is a failure.
pub fn can_mount() -> Option<MutexGuard<'static, ()>> {
    if rustix::process::geteuid().is_root() && Path::new("/dev/fuse").exists() {
        return Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner));
    }
    assert!(std::env::var_os("CI").is_none(), "CI must run the tests that mount: needs root");
    // Straight to the stream, past the capture of a passing test's output.
    let _ = writeln!(io::stderr(), "\n*** NOT RUN: needs root and /dev/fuse ***\n");
    None
}

/// Whether a tool is there that a test needs; says loudly when not, and in CI that is a failure.
#[allow(dead_code, reason = "most tests that mount need no other tool")]
pub fn has(tool: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&paths).any(|folder| folder.join(tool).exists()) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI must run the tests with {tool}");
    let _ = writeln!(io::stderr(), "\n*** NOT RUN: {tool} is not installed ***\n");
    false
}
