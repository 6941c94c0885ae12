//! The terminal, lent to the command and taken back: what a shell does for its jobs.
//!
//! A shell with job control needs a process group that has a number where it runs. The caller's has
//! none in the command's PID namespace, so the command gets the group of process 1, and that group
//! becomes the terminal's foreground one:
//!
//! ```text
//! caller's group    shale, and what the caller's shell started beside it (`| less`)
//! group of init     init, the command; has the terminal while shale's job is in the foreground
//! ```
//!
//! So that nobody notices the two groups: a key that interrupts is sent to the caller's group too;
//! when the command stops, the terminal goes back and the caller's group stops with it; when that is
//! continued, the command is. Beside a pipe the caller's group keeps the terminal, which its other
//! members may read from, and the command stays in that group.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::FileType;
use rustix::process::{Pid, getpid, setpgid, test_kill_process_group};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{isatty, tcgetpgrp, tcsetpgrp};

use crate::sys::bell::Bell;
use crate::sys::process::{Guardian, fork_child, keep_only, own_group};
use crate::sys::signal::{self, Blocked, Target};

/// What process 1 tells the caller's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// This signal has stopped the command.
    Stopped(i32),
    /// A key of the terminal sent this signal to the command's group.
    Key(i32),
}

/// From process 1 to the caller's process.
#[derive(Debug)]
pub(super) struct Events(Bell);

impl Events {
    /// Nothing has happened yet.
    pub(super) fn new() -> io::Result<Self> {
        Bell::new().map(Self)
    }

    /// Tells it.
    pub(super) fn send(&self, event: Event) {
        let (place, signal) = match event {
            Event::Stopped(signal) => (0, signal),
            Event::Key(signal) => (1, signal),
        };
        self.0.ring(place, signal.cast_unsigned());
    }

    /// Starts a process that sends SIGIO to this one whenever something is told. (A thread would not
    /// do: there may be none beside children of another PID namespace.)
    pub(super) fn herald(&self, guardian: &Guardian) -> io::Result<Pid> {
        let caller = getpid();
        let pid = fork_child(|| {
            if guardian.bind().is_err() || keep_only(&[]).is_err() {
                return 1;
            }
            let mut heard = 0;
            while let Ok(now) = self.0.wait(heard) {
                heard = now;
                // The guardian's end is this process's.
                let _ = signal::send(Target::Process(caller), libc::SIGIO);
            }
            1
        })?;
        let number = i32::try_from(pid).map_err(io::Error::other)?;
        Pid::from_raw(number).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// What was told. Only signals that it can be: who sees the image writes to the same memory.
    pub(super) fn take(&self) -> Option<Event> {
        const STOPS: [i32; 4] = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
        loop {
            let (place, signal) = self.0.take()?;
            match (place, signal.cast_signed()) {
                (0, signal) if STOPS.contains(&signal) => return Some(Event::Stopped(signal)),
                (1, signal @ (libc::SIGINT | libc::SIGQUIT)) => return Some(Event::Key(signal)),
                _ => {}
            }
        }
    }
}

/// The caller's controlling terminal, if there is one.
#[derive(Debug)]
pub(super) struct Terminal(Option<Job>);

#[derive(Debug)]
struct Job {
    terminal: File,
    /// The caller's process group.
    own: Pid,
    /// That group was in the foreground at the start.
    was_foreground: bool,
    /// The command gets a group of its own.
    lends: bool,
    /// The command has the terminal now.
    lent: bool,
    /// The command's group that had it last.
    theirs: Option<Pid>,
}

impl Terminal {
    /// As it is now.
    pub(super) fn of_caller() -> Self {
        let open = || {
            let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
            let own = own_group()?;
            let was_foreground = tcgetpgrp(&terminal) == Ok(own);
            let lends = isatty(stdin()) && !is_pipe(stdout()) && !is_pipe(stderr());
            let lent = lends && was_foreground;
            Some(Job { terminal, own, was_foreground, lends, lent, theirs: None })
        };
        Self(open())
    }

    /// Whether there is one.
    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the command has a process group of its own.
    pub(super) fn lends(&self) -> bool {
        self.0.as_ref().is_some_and(|job| job.lends)
    }

    /// Called by process 1, before the command starts and with SIGTTOU blocked: takes a group of its
    /// own, which gets the terminal if the caller's group has it.
    pub(super) fn enter(&self) -> io::Result<()> {
        let Some(job) = self.0.as_ref().filter(|job| job.lends) else { return Ok(()) };
        setpgid(None, None)?;
        if job.lent {
            // A terminal that has hung up is nobody's any more.
            let _ = tcsetpgrp(&job.terminal, getpid());
        }
        Ok(())
    }

    /// Process 1, and with it the command's group, is `init`.
    pub(super) fn entered_by(&mut self, init: Pid) {
        if let Some(job) = &mut self.0 {
            job.theirs = Some(init);
        }
    }

    /// `signal` has stopped the command: takes the terminal back and stops like it. Returns when
    /// this process is continued, at once when there is nobody who could continue it.
    pub(super) fn stop(&mut self, signal: i32, signals: &Blocked) {
        let Some(job) = &mut self.0 else { return };
        if job.lent {
            // A shell in the image may have lent it on.
            job.theirs = tcgetpgrp(&job.terminal).ok().or(job.theirs);
            job.take();
        }
        // Without a group of its own, the keys of the command have reached the others already.
        let whom = if job.lends { Target::OwnGroup } else { Target::Process(getpid()) };
        let _ = signals.send_through(whom, signal);
    }

    /// This process was continued: lends the terminal again if it is the caller's group's.
    pub(super) fn resume(&mut self) {
        let Some(job) = self.0.as_mut().filter(|job| job.lends) else { return };
        if let Some(theirs) = job.theirs
            && tcgetpgrp(&job.terminal) == Ok(job.own)
        {
            job.lent = tcsetpgrp(&job.terminal, theirs).is_ok();
        }
    }

    /// A key has sent `signal` to the command: the caller's group gets it too. (This process, which
    /// waits for the command, does not act on what it sends itself.)
    pub(super) fn key(&self, signal: i32) {
        if self.lends() {
            // A group that has this process in it exists.
            let _ = signal::send(Target::OwnGroup, signal);
        }
    }

    /// The command has ended: the caller's group becomes the foreground again, unless another
    /// living one has.
    pub(super) fn give_back(&mut self) {
        let Some(job) = &mut self.0 else { return };
        let alive = |group: Pid| test_kill_process_group(group).is_ok();
        // An error: the foreground group has no number any more.
        let is_theirs = || !tcgetpgrp(&job.terminal).is_ok_and(alive);
        if (job.lent || !job.lends && job.was_foreground) && is_theirs() {
            job.take();
        }
    }
}

impl Job {
    fn take(&mut self) {
        self.lent = false;
        // From the background, the attempt itself sends SIGTTOU.
        if let Ok(quiet) = Blocked::new(&[libc::SIGTTOU]) {
            // As in `enter`.
            let _ = tcsetpgrp(&self.terminal, self.own);
            let _ = quiet.release();
        }
    }
}

fn is_pipe(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| {
        matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket)
    })
}
