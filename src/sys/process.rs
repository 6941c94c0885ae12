//! Processes: forking a server off, leaving the terminal, telling whether a process still lives.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, dumpable_behavior, pidfd_open,
    set_dumpable_behavior, set_parent_process_death_signal,
};

/// The exit status of a forked child that panicked.
const PANICKED: u8 = 101;

/// Forks. The child runs `child` and ends with its result as exit status; it never returns from
/// here and runs no destructor of the caller. The parent gets the child's process id.
///
/// Only for a process that has a single thread: of several, the others would be missing in the
/// child with their locks held for ever. No type can say that, so it is checked here and refused.
pub fn fork_child(child: impl FnOnce() -> u8) -> io::Result<u32> {
    if !is_single_threaded()? {
        return Err(io::Error::other("cannot fork a process that has several threads"));
    }
    // SAFETY: the process has one thread, so the child is a whole copy and may run any code.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // The parent's destructors and exit handlers are not the child's to run.
            end(catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED))
        }
        pid => u32::try_from(pid).map_err(io::Error::other),
    }
}

/// A process that its children do not survive.
#[derive(Debug)]
pub struct Guardian(OwnedFd);

impl Guardian {
    /// This process.
    ///
    /// # Errors
    /// No descriptor is free, or Linux is older than 5.3.
    pub fn this() -> io::Result<Self> {
        Ok(Self(pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?))
    }

    /// Called by a child: from now on the kernel kills it when the guardian ends.
    ///
    /// # Errors
    /// The guardian has ended already, which nobody will tell the child any more.
    pub fn bind(&self) -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if readable_within(&self.0, Duration::ZERO)? {
            return Err(io::Error::other("the parent process is gone"));
        }
        Ok(())
    }
}

/// A thread that was joined may still be on its way out: gives it a moment.
fn is_single_threaded() -> io::Result<bool> {
    for _ in 0..100 {
        if fs::read_dir("/proc/self/task")?.count() == 1 {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(false)
}

/// Ends this process at once, without running destructors or exit handlers.
pub fn end(status: u8) -> ! {
    // SAFETY: never returns; what other threads were doing ends with the process.
    unsafe { libc::_exit(i32::from(status)) }
}

/// Makes this process a daemon in all but the fork: a session of its own, `/` as working
/// directory, nothing on stdin and stdout, stderr into `log`, and every descriptor closed that was
/// inherited from whoever started the program, lest a pipe or lock of theirs stays open for the
/// life of a mount. Descriptors that this program opened are marked close-on-exec, as std does,
/// and stay.
pub fn detach(log: File) -> io::Result<()> {
    rustix::process::setsid()?;
    std::env::set_current_dir("/")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&log)?;
    close_inherited()
}

fn close_inherited() -> io::Result<()> {
    for fd in open_descriptors()? {
        // SAFETY: F_GETFD only reads a flag; for a number that is not open it fails.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        if flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
            // SAFETY: a descriptor above 2 without close-on-exec came through exec from another
            // program; nothing in this one owns it.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
    Ok(())
}

/// Closes every descriptor above 2 but `kept`. Only for a forked child that goes on to do something
/// else than its parent: it must never touch again what owned them.
///
/// # Errors
/// When /proc cannot be read.
pub fn keep_only(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    for fd in open_descriptors()? {
        if !kept.iter().any(|kept| kept.as_raw_fd() == fd) {
            // SAFETY: closing a number twice is an error and nothing more, and this process has one
            // thread that could open another file under it. Its owner is never used or dropped.
            unsafe { libc::close(fd) };
        }
    }
    Ok(())
}

/// Closes every descriptor above 2 through which a regular file can be written. Only for a forked
/// child that goes on to do something else than its parent, as above.
///
/// # Errors
/// When /proc cannot be read.
pub fn close_files_to_write() -> io::Result<()> {
    for fd in open_descriptors()? {
        // SAFETY: F_GETFL only reads flags; for a number that is not open it fails.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        let is_file = fs::metadata(format!("/proc/self/fd/{fd}")).is_ok_and(|file| file.is_file());
        if is_file && flags >= 0 && flags & libc::O_ACCMODE != libc::O_RDONLY {
            // SAFETY: as in `keep_only`.
            unsafe { libc::close(fd) };
        }
    }
    Ok(())
}

/// Closes every descriptor above 2. Like [`keep_only`], and only for such a child.
///
/// # Errors
/// Before Linux 5.9, when /proc cannot be read.
pub fn close_all_but_stdio() -> io::Result<()> {
    // SAFETY: as in `keep_only`.
    match unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) } {
        0 => Ok(()),
        _ => keep_only(&[]),
    }
}

/// Ends all other processes that this one can signal, and waits for its children. Only for process 1
/// of a PID namespace, for which these are the others of the namespace.
///
/// # Errors
/// This is not process 1.
pub fn end_all_others() -> io::Result<()> {
    if rustix::process::getpid() != Pid::INIT {
        return Err(io::Error::other("only process 1 may end all others"));
    }
    // SAFETY: a system call on numbers. As process 1 it reaches only what is in its namespace.
    unsafe { libc::kill(-1, libc::SIGKILL) };
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // No child is left; orphans have become children before.
            Err(_) => return Ok(()),
        }
    }
}

fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let names = fs::read_dir("/proc/self/fd")?;
    let numbers = names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(numbers.filter(|fd| *fd > libc::STDERR_FILENO).collect())
}

/// When a process began, in clock ticks since the boot (field 22 of /proc/PID/stat), `None` when
/// there is no such process. With the process id it names a process for the life of the machine.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may hold spaces and parentheses: count from the last one.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    // A zombie holds nothing any more: it only waits for its parent to notice.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The numbers of all processes that can be seen.
///
/// # Errors
/// When /proc cannot be read.
pub fn all() -> io::Result<Vec<u32>> {
    let names = fs::read_dir("/proc")?;
    Ok(names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// Sends a signal to the process that began at `start`; nothing when it has ended.
pub fn signal(pid: u32, start: u64, signal: Signal) -> io::Result<()> {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    let process = match pidfd_open(id, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // As below.
    if start_time(pid) != Some(start) {
        return Ok(());
    }
    Ok(rustix::process::pidfd_send_signal(&process, signal)?)
}

/// Bytes of memory that a process has now, where that can be seen.
pub fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Waits until the process that began at `start` has ended; `false` when it has not after `limit`.
pub fn wait_until_gone(pid: u32, start: u64, limit: Duration) -> io::Result<bool> {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(true) };
    let process = match pidfd_open(id, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    // Asked after the descriptor is there: from now on the number cannot pass to another process.
    if start_time(pid) != Some(start) {
        return Ok(true);
    }
    readable_within(&process, limit)
}

/// Waits until `fd` can be read or has ended; `false` when it cannot after `limit`.
pub fn readable_within(fd: impl AsFd, limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let mut wanted = [PollFd::new(&fd, PollFlags::IN)];
    loop {
        match poll(&mut wanted, Some(&limit)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The process group of this process; `None` when its leader is outside of this PID namespace and
/// the group has no number here.
pub fn own_group() -> Option<Pid> {
    // SAFETY: the call cannot fail and touches no memory.
    Pid::from_raw(unsafe { libc::getpgrp() })
}

/// How many [`NoCoreFile`]s there are, and what the process was before the first.
static NO_CORE_FILE: Mutex<(usize, DumpableBehavior)> = Mutex::new((0, DumpableBehavior::Dumpable));

/// As long as one of these lives, a crash of this process leaves no core file and no debugger of the
/// same user can look into it.
#[derive(Debug)]
pub struct NoCoreFile(());

impl NoCoreFile {
    /// From now on.
    pub fn new() -> Self {
        // Both are changed together; a panic in between is not possible.
        let mut held = NO_CORE_FILE.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 == 0 {
            held.1 = dumpable_behavior().unwrap_or(DumpableBehavior::Dumpable);
            // Every kernel knows it.
            let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        }
        held.0 += 1;
        Self(())
    }
}

impl Default for NoCoreFile {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for NoCoreFile {
    fn drop(&mut self) {
        let mut held = NO_CORE_FILE.lock().unwrap_or_else(PoisonError::into_inner);
        held.0 -= 1;
        if held.0 == 0 && held.1 == DumpableBehavior::Dumpable {
            // The same.
            let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
        }
    }
}

/// Whether this process is root on the machine itself, not merely inside a user namespace.
pub fn is_real_root() -> bool {
    // In the first user namespace all numbers map to themselves; a file that cannot be read means
    // a kernel without user namespaces.
    let first = fs::read_to_string("/proc/self/uid_map")
        .map_or(true, |map| map.split_ascii_whitespace().eq(["0", "0", "4294967295"]));
    rustix::process::geteuid().is_root() && first
}

/// The users that there are in this process's user namespace.
pub fn mapped_uids() -> Vec<Range<u64>> {
    mapped("/proc/self/uid_map")
}

/// The groups that there are in this process's user namespace.
pub fn mapped_gids() -> Vec<Range<u64>> {
    mapped("/proc/self/gid_map")
}

/// As user_namespaces(7) draws such a file. One that cannot be read: a kernel without them.
fn mapped(file: &str) -> Vec<Range<u64>> {
    let map = fs::read_to_string(file).unwrap_or_else(|_| "0 0 4294967295".to_owned());
    let range = |line: &str| {
        let mut fields = line.split_ascii_whitespace().map(str::parse::<u64>);
        let (first, count) = (fields.next()?.ok()?, fields.nth(1)?.ok()?);
        Some(first..first.saturating_add(count))
    };
    map.lines().filter_map(range).collect()
}

/// Lets a program that is started from here inherit `fd`.
pub fn inherit(fd: &OwnedFd) -> io::Result<RawFd> {
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
    Ok(fd.as_raw_fd())
}
