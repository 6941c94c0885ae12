//! Signals taken one at a time by `sigwaitinfo`, never by a handler.
//!
//! A handler may run between any two instructions and may call almost nothing; a blocked signal
//! that somebody waits for is an ordinary value. Blocking is inherited by `fork` and by `exec`, so
//! whoever starts a program restores what was blocked before.

use std::io;
use std::mem::MaybeUninit;

use rustix::process::Pid;

/// Ask a server to end.
pub const ENDINGS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// A set of signals that this thread, and threads it starts, will not be interrupted by.
#[derive(Debug, Clone, Copy)]
pub struct Blocked {
    set: libc::sigset_t,
    before: libc::sigset_t,
}

/// One signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// Who sent it.
    pub sender: Sender,
}

/// Where a signal came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The kernel: a key on the terminal, a child's end.
    Kernel,
    /// A process of this PID namespace.
    Process(Pid),
    /// A process outside of this PID namespace.
    Outside,
}

/// Whom a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// One process.
    Process(Pid),
    /// All processes of the group.
    Group(Pid),
    /// All processes of the caller's own group, itself among them.
    OwnGroup,
}

impl Blocked {
    /// Blocks `signals`; they wait until [`Blocked::wait`] takes them.
    ///
    /// # Errors
    /// A number that is no signal.
    pub fn new(signals: &[i32]) -> io::Result<Self> {
        let set = set_of(signals)?;
        let before = change(libc::SIG_BLOCK, &set)?;
        Ok(Self { set, before })
    }

    /// Waits for the next of the set.
    ///
    /// # Errors
    /// What `sigwaitinfo(2)` reports; interruptions by other signals are waited out.
    pub fn wait(&self) -> io::Result<Received> {
        loop {
            let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
            // SAFETY: both pointers lead to live values of the right types.
            let signal = unsafe { libc::sigwaitinfo(&self.set, info.as_mut_ptr()) };
            if signal > 0 {
                // SAFETY: zeroed is a valid siginfo_t, and the kernel has filled it in.
                let info = unsafe { info.assume_init() };
                return Ok(Received { signal, sender: sender(&info) });
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Whether `signal`, which is of the set, has arrived and waits to be taken.
    #[must_use]
    pub fn has(&self, signal: i32) -> bool {
        let mut waiting = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: room for a set, which the call fills in; zeroed is a valid one already.
        unsafe { libc::sigpending(waiting.as_mut_ptr()) };
        // SAFETY: the same; a wrong number is reported, not acted on.
        unsafe { libc::sigismember(waiting.as_ptr(), signal) == 1 }
    }

    /// Sends `signal` and lets it have its effect on this thread too, although it is of the set.
    ///
    /// # Errors
    /// As of [`send`].
    pub fn send_through(&self, to: Target, signal: i32) -> io::Result<()> {
        let one = set_of(&[signal])?;
        change(libc::SIG_UNBLOCK, &one)?;
        // Of a thread that does not block it, the kernel delivers it before `kill(2)` returns.
        let sent = send(to, signal);
        change(libc::SIG_BLOCK, &self.set)?;
        sent
    }

    /// Blocks again only what was blocked before.
    ///
    /// # Errors
    /// None that the system documents for a set made by [`Blocked::new`].
    pub fn release(&self) -> io::Result<()> {
        change(libc::SIG_SETMASK, &self.before).map(drop)
    }
}

/// Lets a signal through to this thread and those it starts.
///
/// # Errors
/// A number that is no signal.
pub(super) fn unblock(signal: i32) -> io::Result<()> {
    change(libc::SIG_UNBLOCK, &set_of(&[signal])?).map(drop)
}

/// Sends a signal of any number, also one that has no name (`kill(2)`).
///
/// # Errors
/// There is no such process or signal, or the caller may not.
pub fn send(to: Target, signal: i32) -> io::Result<()> {
    let whom = match to {
        Target::Process(pid) => pid.as_raw_nonzero().get(),
        Target::Group(group) => -group.as_raw_nonzero().get(),
        Target::OwnGroup => 0,
    };
    // SAFETY: two numbers; what is wrong with them is reported.
    match unsafe { libc::kill(whom, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes a file that reaches the limit of its size (`ulimit -f`) an error, EFBIG, and no longer the
/// death of this process. [`super::exec`] gives programs the default back.
pub fn survive_file_size_limit() {
    // SAFETY: to ignore is a valid disposition, and this program has no handler that it could lose.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

fn sender(info: &libc::siginfo_t) -> Sender {
    // Codes above zero are the kernel's; of the others only these carry a process.
    if info.si_code > 0 || !matches!(info.si_code, libc::SI_USER | libc::SI_TKILL | libc::SI_QUEUE)
    {
        return Sender::Kernel;
    }
    // SAFETY: with these codes the kernel has filled in the sender's number.
    let number = unsafe { info.si_pid() };
    Pid::from_raw(number).map_or(Sender::Outside, Sender::Process)
}

fn set_of(signals: &[i32]) -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set that the pointer leads to.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset has just initialised it.
    let mut set = unsafe { set.assume_init() };
    for &signal in signals {
        // SAFETY: an initialised set; a wrong number is reported, not acted on.
        if unsafe { libc::sigaddset(&raw mut set, signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(set)
}

/// Gives what was blocked before.
fn change(how: libc::c_int, set: &libc::sigset_t) -> io::Result<libc::sigset_t> {
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: an initialised set, and room for the old one.
    match unsafe { libc::pthread_sigmask(how, set, before.as_mut_ptr()) } {
        // SAFETY: the call has filled it in, and zeroed is a valid set already.
        0 => Ok(unsafe { before.assume_init() }),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}
