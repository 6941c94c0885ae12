//! Process 1 of the command's PID namespace, and the process outside that waits for it.
//!
//! Process 1 starts the command, passes signals on, reaps orphans, and ends with the command's
//! status; the kernel then ends everything else in the namespace. Both wait with
//! [`Blocked`], so no signal is lost between two steps.
//!
//! Keys on a terminal reach the whole foreground group by themselves: only signals that a process
//! sent are passed on, or the command would see every Ctrl-C twice.

use std::io;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, wait, waitpid};

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

/// Waits for `child` and passes signals on to it, reaping it and what else ends: every child when
/// `whom` is `None`, as process 1 must. The exit status is the child's, or 128 plus the
/// number of the signal that ended it.
///
/// # Errors
/// What waiting reports.
pub(super) fn supervise(child: Pid, whom: Option<Pid>, signals: &Blocked) -> io::Result<u8> {
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
        // One SIGCHLD may stand for several ends. (`waitpid` of nobody is the process group.)
        let next = || match whom {
            Some(pid) => waitpid(Some(pid), WaitOptions::NOHANG),
            None => wait(WaitOptions::NOHANG),
        };
        while let Ok(Some((pid, status))) = next() {
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
