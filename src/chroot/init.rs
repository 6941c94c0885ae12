//! Process 1 of the command's PID namespace, and the process outside that waits for it.
//!
//! Process 1 starts the command, passes signals on, reaps orphans, and ends with the command's
//! status; the kernel then ends everything else in the namespace. Both wait with
//! [`Blocked`], so no signal is lost between two steps.
//!
//! Keys on a terminal reach the whole foreground group by themselves: only signals that a process
//! sent are passed on, or the command would see every Ctrl-C twice.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::command::Command;
use super::user::User;
use crate::sys::signal::Blocked;

/// Signals that mean something to the command.
pub(super) const PASSED_ON: [i32; 9] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGCONT,
    libc::SIGWINCH,
    libc::SIGCHLD,
];

/// Docker's exit codes for a command that cannot be started.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Waits for `child` and passes signals on to it. The exit status is the child's, or 128 plus the
/// number of the signal that ended it.
///
/// # Errors
/// What waiting reports.
pub(super) fn supervise(child: Pid, signals: &Blocked) -> io::Result<u8> {
    loop {
        let received = signals.wait()?;
        if received.signal != libc::SIGCHLD {
            if !received.by_kernel
                && let Some(signal) = Signal::from_named_raw(received.signal)
            {
                // A child that has just ended cannot be signalled, and need not be.
                let _ = rustix::process::kill_process(child, signal);
            }
            continue;
        }
        // One SIGCHLD may stand for several ends; as process 1 the orphans are ours too.
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == child {
                return Ok(exit_code(status));
            }
        }
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// Becomes `user` and then the command. Returns only when that fails: the exit code and why.
pub(super) fn execute(command: &Command, user: &User, limited: bool) -> (u8, io::Error) {
    // Docker makes a missing working directory, as root; what fails here fails again below.
    let _ = std::fs::create_dir_all(&command.working_dir);
    if let Err(error) = become_user(user, limited) {
        return (NOT_EXECUTABLE, named("user", &user.uid.to_string(), &error));
    }
    if let Err(error) = rustix::process::chdir(&*command.working_dir) {
        return (NOT_EXECUTABLE, named("working directory", &command.working_dir, &error.into()));
    }
    let Some((program, arguments)) = command.argv.split_first() else {
        return (NOT_FOUND, io::ErrorKind::InvalidInput.into());
    };
    let error = std::process::Command::new(OsStr::new(program))
        .args(arguments)
        .env_clear()
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .exec();
    let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    (code, error)
}

/// `limited`: the user namespace maps one user, who may not set groups.
fn become_user(user: &User, limited: bool) -> io::Result<()> {
    use rustix::process::{Gid, Uid};
    if limited && user.uid == 0 {
        return Ok(());
    }
    let groups: Vec<Gid> = user.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    rustix::thread::set_thread_groups(&groups)?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// The same failure, saying of what.
fn named(what: &str, name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {name}: {error}"))
}
