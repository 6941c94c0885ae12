//! Process 1 of the command's PID namespace, once the command runs.
//!
//! It passes signals on, reaps orphans, tells the process outside when the command stops, and ends
//! with the command's status; the kernel then ends everything else in the namespace. It waits with
//! [`Blocked`], so no signal is lost between two steps.
//!
//! What the kernel sends (keys on a terminal, a change of its size) reaches the whole foreground
//! group by itself: only signals that a process sent are passed on, or the command would see every
//! Ctrl-C twice. The same holds for what a process of the namespace sends to its own group, when
//! that is also this process's.

use std::io;

use rustix::process::{Pid, WaitOptions, WaitStatus, getpgid, wait};

use super::terminal::{Event, Events};
use crate::sys::signal::{self, Blocked, Received, Sender, Target};

/// Signals that mean something to the command: all that there are, but those that no process can
/// take, and those by which the kernel tells a process what it has done itself.
pub(super) fn passed_on() -> Vec<i32> {
    const OWN: [i32; 10] = [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGSEGV,
        libc::SIGSYS,
        libc::SIGXCPU,
    ];
    let named = (1..=libc::SIGSYS).filter(|signal| !OWN.contains(signal));
    // The C library keeps the ones between for itself.
    named.chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).collect()
}

/// Process 1, waiting for the command.
pub(super) struct Init<'a> {
    pub(super) command: Pid,
    pub(super) signals: &'a Blocked,
    /// To the process outside.
    pub(super) events: &'a Events,
    /// The command is in this process's group, and the caller is not.
    pub(super) has_group: bool,
}

impl Init<'_> {
    /// Returns the command's exit status, or 128 plus the number of the signal that ended it.
    ///
    /// # Errors
    /// What waiting reports.
    pub(super) fn run(self) -> io::Result<u8> {
        loop {
            let received = self.signals.wait()?;
            if received.signal == libc::SIGCHLD {
                if let Some(code) = self.reap() {
                    return Ok(code);
                }
            } else {
                self.pass_on(received);
            }
        }
    }

    /// One SIGCHLD may stand for several ends. Gives the command's.
    fn reap(&self) -> Option<u8> {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            if pid != self.command {
                continue;
            }
            match status.stopping_signal() {
                Some(signal) => self.events.send(Event::Stopped(signal)),
                None => return Some(exit_code(status)),
            }
        }
        None
    }

    fn pass_on(&self, Received { signal, sender }: Received) {
        let to = match sender {
            Sender::Kernel if self.has_group && matches!(signal, libc::SIGINT | libc::SIGQUIT) => {
                return self.events.send(Event::Key(signal));
            }
            Sender::Kernel => return,
            Sender::Process(_) if self.has_group => return,
            // The group of a job is stopped as a whole.
            Sender::Outside if self.has_group && signal == libc::SIGCONT => {
                getpgid(Some(self.command)).map_or(Target::Process(self.command), Target::Group)
            }
            Sender::Process(_) | Sender::Outside => Target::Process(self.command),
        };
        // A command that has just ended cannot be signalled, and need not be.
        let _ = signal::send(to, signal);
    }
}

/// As a shell has it in `$?`.
pub(super) fn exit_code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_is_passed_on_that_can_be() {
        let passed = passed_on();
        for signal in [libc::SIGALRM, libc::SIGTSTP, libc::SIGIO, libc::SIGPWR, libc::SIGRTMAX()] {
            assert!(passed.contains(&signal), "{signal}");
        }
        for signal in [0, libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, 32, 33] {
            assert!(!passed.contains(&signal), "{signal}");
        }
    }
}
