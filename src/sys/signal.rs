//! Signals taken one at a time by `sigwaitinfo`, never by a handler.
//!
//! A handler may run between any two instructions and may call almost nothing; a blocked signal
//! that somebody waits for is an ordinary value. Blocking is inherited by `fork` and by `exec`, so
//! whoever starts a program unblocks first.

use std::io;
use std::mem::MaybeUninit;

/// Ask a server to end.
pub const ENDINGS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// A set of signals that this thread, and threads it starts, will not be interrupted by.
#[derive(Debug, Clone, Copy)]
pub struct Blocked(libc::sigset_t);

/// One signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// Whether the kernel sent it (a key on the terminal, a child's end) and not a process.
    pub by_kernel: bool,
}

impl Blocked {
    /// Blocks `signals`; they wait until [`Blocked::wait`] takes them.
    ///
    /// # Errors
    /// A number that is no signal.
    pub fn new(signals: &[i32]) -> io::Result<Self> {
        let set = set_of(signals)?;
        change(libc::SIG_BLOCK, &set)?;
        Ok(Self(set))
    }

    /// Waits for the next of the set.
    ///
    /// # Errors
    /// What `sigwaitinfo(2)` reports; interruptions by other signals are waited out.
    pub fn wait(&self) -> io::Result<Received> {
        loop {
            let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
            // SAFETY: both pointers lead to live values of the right types.
            let signal = unsafe { libc::sigwaitinfo(&self.0, info.as_mut_ptr()) };
            if signal > 0 {
                // SAFETY: zeroed is a valid siginfo_t, and the kernel has filled it in.
                let code = unsafe { info.assume_init() }.si_code;
                return Ok(Received { signal, by_kernel: code > 0 });
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Lets them through again, with whatever effect they then have.
    ///
    /// # Errors
    /// None that the system documents for a set made by [`Blocked::new`].
    pub fn release(&self) -> io::Result<()> {
        change(libc::SIG_UNBLOCK, &self.0)
    }
}

/// Lets a signal through to this thread and those it starts.
///
/// # Errors
/// A number that is no signal.
pub(super) fn unblock(signal: i32) -> io::Result<()> {
    change(libc::SIG_UNBLOCK, &set_of(&[signal])?)
}

fn set_of(signals: &[i32]) -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set that the pointer leads to.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset has just initialised it.
    let mut set = unsafe { set.assume_init() };
    for &signal in signals {
        // SAFETY: an initialised set; a wrong number is reported, not acted on.
        if unsafe { libc::sigaddset(&mut set, signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(set)
}

fn change(how: libc::c_int, set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: an initialised set; the old set is not asked for.
    match unsafe { libc::pthread_sigmask(how, set, std::ptr::null_mut()) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}
