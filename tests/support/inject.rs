//! System calls made in a stopped thread of another process, as somebody would make them who took it
//! over.
//!
//! The thread is stopped where it waits in a system call: the instruction before the one that it would go on
//! with then makes one. Its registers are set for each call, and put back so that it waits again as
//! before. x86-64 only.

#![allow(clippy::unwrap_used)]

use std::fs;

use nix::libc::user_regs_struct;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was made; its result, a negative error number when it failed.
    Made(i64),
    /// SIGSYS came in its place; the result that the handler left.
    Refused(i64),
    /// The thread is no more.
    Ended,
}

/// `syscall`, as the two bytes lie in memory.
const INSTRUCTION: i64 = 0x050f;

/// Results of interrupted calls: EINTR, and those that only the kernel sees (include/linux/errno.h).
const INTERRUPTED: [i64; 5] = [-4, -512, -513, -514, -516];

/// `rt_sigreturn`, which ends a handler.
const SIGRETURN: u64 = 15;

/// A thread that is stopped, until this is dropped.
#[derive(Debug)]
pub struct Stopped {
    process: u32,
    thread: Pid,
    before: user_regs_struct,
    ended: bool,
}

impl Stopped {
    pub fn new(process: u32, thread: u32) -> Self {
        let tid = Pid::from_raw(i32::try_from(thread).unwrap());
        ptrace::seize(tid, Options::PTRACE_O_TRACESYSGOOD).expect("root may");
        let mut before = interrupt(tid);
        // On its way to where it waits.
        while !is_waiting(tid, &before) {
            ptrace::cont(tid, None).unwrap();
            std::thread::yield_now();
            before = interrupt(tid);
        }
        Self { process, thread: tid, before, ended: false }
    }

    /// An address that may be written to: on its stack.
    pub fn address(&self) -> u64 {
        self.before.rsp
    }

    /// Makes a call.
    pub fn call(&mut self, number: u64, arguments: [u64; 6]) -> Outcome {
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        let mut registers = user_regs_struct { rdi, rsi, rdx, r10, r8, r9, ..self.before };
        registers.rax = number;
        if number == SIGRETURN {
            // Without a frame to return to: a fault, which is kept from the thread.
            registers.rsp = 0;
        }
        self.go_to(registers);
        for _ in ["the call", "its end"] {
            if !self.resume(None) {
                self.ended = true;
                return Outcome::Ended;
            }
        }
        if !self.has_sigsys() {
            return Outcome::Made(ptrace::getregs(self.thread).unwrap().rax.cast_signed());
        }
        ptrace::syscall(self.thread, None).unwrap();
        assert_eq!(wait(self.thread), WaitStatus::Stopped(self.thread, Signal::SIGSYS));
        if !self.resume(Some(Signal::SIGSYS)) {
            self.ended = true;
            return Outcome::Ended;
        }
        let handler = ptrace::getregs(self.thread).unwrap();
        assert_eq!(handler.orig_rax, SIGRETURN, "the handler makes no call but its last");
        assert!(self.resume(None));
        Outcome::Refused(ptrace::getregs(self.thread).unwrap().rax.cast_signed())
    }

    /// Sets the registers, the next instruction being the one that makes a call.
    fn go_to(&self, mut registers: user_regs_struct) {
        registers.rip = self.before.rip - 2;
        // Not in a call any more: none is to be started again.
        registers.orig_rax = u64::MAX;
        ptrace::setregs(self.thread, registers).unwrap();
    }

    /// Goes on to the beginning or end of a system call; false when there is no thread any more.
    /// Signals that come in between are kept from it.
    fn resume(&self, signal: Option<Signal>) -> bool {
        let mut signal = signal;
        loop {
            ptrace::syscall(self.thread, signal.take()).unwrap();
            match wait(self.thread) {
                WaitStatus::PtraceSyscall(_) => return true,
                WaitStatus::Stopped(..) | WaitStatus::PtraceEvent(..) => {}
                _ => return false,
            }
        }
    }

    fn has_sigsys(&self) -> bool {
        let path = format!("/proc/{}/task/{}/status", self.process, self.thread);
        let status = fs::read_to_string(path).unwrap();
        let pending = status.lines().find_map(|line| line.strip_prefix("SigPnd:\t")).unwrap();
        u64::from_str_radix(pending, 16).unwrap() & (1 << (Signal::SIGSYS as u32 - 1)) != 0
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let again = user_regs_struct { rax: self.before.orig_rax, ..self.before };
        self.go_to(again);
        let _ = ptrace::detach(self.thread, None);
    }
}

fn interrupt(thread: Pid) -> user_regs_struct {
    ptrace::interrupt(thread).unwrap();
    let stopped = wait(thread);
    assert!(matches!(stopped, WaitStatus::PtraceEvent(..)), "{stopped:?}");
    ptrace::getregs(thread).unwrap()
}

/// Whether a system call was interrupted.
fn is_waiting(thread: Pid, registers: &user_regs_struct) -> bool {
    let word = ptrace::read(thread, (registers.rip - 2) as ptrace::AddressType).unwrap();
    let begun = registers.orig_rax.cast_signed() >= 0;
    begun && word & 0xffff == INSTRUCTION && INTERRUPTED.contains(&registers.rax.cast_signed())
}

fn wait(thread: Pid) -> WaitStatus {
    waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap()
}
