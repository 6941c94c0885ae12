//! The process outside of the command's namespaces, while the command runs: it waits for process 1
//! and for the server, passes signals on, and follows the command's stops with the caller's job.

use std::io;

use rustix::process::{Pid, WaitOptions, WaitStatus, getpid, waitpid};

use super::init::exit_code;
use super::terminal::{Event, Events, Terminal};
use crate::sys::signal::{self, Blocked, Received, Sender, Target};

/// What the caller's process watches.
pub(super) struct Watch<'a> {
    pub(super) init: Pid,
    pub(super) server: Pid,
    pub(super) signals: &'a Blocked,
    pub(super) terminal: &'a mut Terminal,
    /// What process 1 says.
    pub(super) events: &'a Events,
    /// The process that tells this one of them.
    pub(super) herald: Option<Pid>,
}

/// How it all ended.
pub(super) struct Ended {
    /// The exit status of the command.
    pub(super) code: u8,
    /// How the server ended, if it did so before the command, and is reaped.
    pub(super) server: Option<WaitStatus>,
}

impl Watch<'_> {
    /// Waits for process 1.
    ///
    /// # Errors
    /// What waiting reports.
    pub(super) fn run(mut self) -> io::Result<Ended> {
        let mut server = None;
        loop {
            let received = self.signals.wait()?;
            if received.signal != libc::SIGCHLD {
                self.pass_on(received);
                continue;
            }
            if server.is_none() {
                server = ended(self.server);
            }
            if let Some(status) = ended(self.init) {
                self.hear(true);
                self.terminal.give_back();
                self.dismiss();
                return Ok(Ended { code: exit_code(status), server });
            }
        }
    }

    /// Ends the herald.
    fn dismiss(&self) {
        if let Some(herald) = self.herald {
            // It is not reaped yet, so its number is its own.
            let _ = signal::send(Target::Process(herald), libc::SIGKILL);
            let _ = waitpid(Some(herald), WaitOptions::empty());
        }
    }

    fn hear(&mut self, is_over: bool) {
        while let Some(event) = self.events.take() {
            match event {
                Event::Key(signal) => self.terminal.key(signal),
                Event::Stopped(_) if is_over => {}
                Event::Stopped(signal) => {
                    self.terminal.stop(signal, self.signals);
                    // Without a terminal nobody waits for this process to stop: who continues the
                    // command is left to itself.
                    if self.terminal.is_there() && !self.signals.has(libc::SIGCONT) {
                        self.resume();
                    }
                }
            }
        }
    }

    fn pass_on(&mut self, Received { signal, sender }: Received) {
        if let Sender::Process(pid) = sender {
            if self.herald == Some(pid) {
                return self.hear(false);
            }
            if pid == getpid() {
                return;
            }
        }
        if signal == libc::SIGCONT {
            self.resume();
        } else if sender != Sender::Kernel {
            self.send(signal);
        }
    }

    fn resume(&mut self) {
        self.terminal.resume();
        self.send(libc::SIGCONT);
    }

    /// One that has just ended cannot be signalled, and need not be.
    fn send(&self, signal: i32) {
        let _ = signal::send(Target::Process(self.init), signal);
    }
}

fn ended(pid: Pid) -> Option<WaitStatus> {
    waitpid(Some(pid), WaitOptions::NOHANG).ok().flatten().map(|(_, status)| status)
}
