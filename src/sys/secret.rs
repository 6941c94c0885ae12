//! What a process has in its memory of its caller: its environment, which others read as
//! /proc/PID/environ, and keys.

use std::fs;
use std::io;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Overwrites the environment that this program was started with, and closes its memory, with its
/// children's until they execute something, to every process without `CAP_SYS_PTRACE` over it. Only
/// for a forked child that does not ask for a variable any more: all are empty afterwards.
///
/// # Errors
/// /proc cannot be read, or says nothing of where the environment is.
pub fn forget_environment() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (start, end) = environment(&stat).ok_or(io::ErrorKind::InvalidData)?;
    let length = end.checked_sub(start).ok_or(io::ErrorKind::InvalidData)?;
    let first = std::ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: the kernel says that the environment's strings are there, on this process's stack; they
    // are bytes, of which any value is valid, and what points to them then finds empty strings. This
    // process has one thread, so nobody reads them meanwhile.
    unsafe { std::ptr::write_bytes(first, 0, length) };
    Ok(())
}

/// Fields 50 and 51 of /proc/PID/stat.
fn environment(stat: &str) -> Option<(usize, usize)> {
    // The name in field 2 may hold spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(47);
    let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (range.0 != 0).then_some(range)
}

/// Leaves the caller's session keyring for an empty one of its own, as runc does: the keys in it
/// belong to whoever is in the session. A kernel without keys has none to leave.
pub fn leave_keyring() {
    let join = libc::KEYCTL_JOIN_SESSION_KEYRING;
    // SAFETY: the name is absent, so no memory is read; a failure changes nothing.
    unsafe { libc::syscall(libc::SYS_keyctl, join, std::ptr::null::<libc::c_char>()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_where_the_environment_is() {
        let stat = fs::read_to_string("/proc/self/stat").expect("proc");
        let (start, end) = environment(&stat).expect("two fields");
        let length = end - start;
        let shown = fs::read("/proc/self/environ").expect("proc").len();
        assert_eq!(length, shown);
    }

    #[test]
    fn the_session_keyring_is_another() {
        let number = || {
            let (get, session) = (libc::KEYCTL_GET_KEYRING_ID, libc::KEY_SPEC_SESSION_KEYRING);
            // SAFETY: numbers alone.
            unsafe { libc::syscall(libc::SYS_keyctl, get, session, 1) }
        };
        let before = number();
        leave_keyring();
        // A machine without keys says so both times.
        assert!(number() != before || before < 0, "{before}");
    }
}
