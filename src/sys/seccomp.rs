//! The system calls that a process may still make, as a filter that the kernel runs before each.
//!
//! ```text
//! clone3                        ENOSYS: its flags cannot be looked at, so the C library uses clone
//! a rule's call                 allowed when one of the rule's cases fits its arguments
//! clone otherwise, fork, vfork  EPERM
//! everything else, another      EPERM, and counted: the kernel sends SIGSYS in the call's place, and
//! processor's calls too         a handler counts it and puts EPERM where the result would be
//! ```
//!
//! A list of what is allowed: a call that nobody thought of, or that comes with a later kernel, is
//! refused. The C library blocks all signals around `clone` and the like, and a blocked SIGSYS
//! ends a process, so those get their error from the kernel itself and are not counted.
//!
//! **Cost.** Of calls that are allowed whatever their arguments are, Linux 5.11 and later remembers so
//! and runs no filter (`seccomp_cache_prepare` in kernel/seccomp.c). The other rules stand in front in
//! the order of the list, the hottest first.
//!
//! **Arguments** are compared in their lower 32 bits: those looked at here are `int`, or flags of which
//! the kernel knows only that half.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_003E);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_00B7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<u32> = None;

/// A call that is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its number on this processor.
    pub call: libc::c_long,
    /// When: one of these holds whole. None: always.
    pub cases: &'static [&'static [Argument]],
}

/// What an argument of a call must be.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Which one; 0 is the first.
    pub index: u8,
    /// What it must be.
    pub test: Test,
}

/// A test of an argument's lower 32 bits.
#[derive(Debug, Clone, Copy)]
pub enum Test {
    /// None of these bits is set.
    Without(u32),
    /// After masking, one of these.
    Masked(u32, &'static [u32]),
    /// The number of this process.
    OwnProcess,
}

/// Calls that make processes: refused without a signal.
const FORKS: &[libc::c_long] = &[
    libc::SYS_clone,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// Where `struct seccomp_data` has the number, the processor and the lower halves of its six
/// arguments (both processors above are little-endian).
const NUMBER: u32 = 0;
const PROCESSOR: u32 = 4;
const ARGUMENTS: u32 = 16;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const TRAP: u32 = libc::SECCOMP_RET_TRAP;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();

/// Calls that were refused in this process, and the number of the first.
static REFUSED: AtomicU64 = AtomicU64::new(0);
static FIRST: AtomicU32 = AtomicU32::new(0);

/// How many calls of this process were refused so far, and the number of the first.
pub fn refused() -> (u64, u32) {
    (REFUSED.load(Relaxed), FIRST.load(Relaxed))
}

/// Whether the kernel runs such filters, for a processor that they can be written for.
pub(super) fn is_available() -> bool {
    // SAFETY: reads nothing but the number; a kernel without filters says EINVAL.
    ARCHITECTURE.is_some() && unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) } >= 0
}

/// Allows this thread, and those it starts, the calls of these rules alone. The thread must have
/// `no_new_privs`.
pub(super) fn install(rules: &[&[Rule]]) -> io::Result<()> {
    let architecture = ARCHITECTURE.ok_or(io::ErrorKind::Unsupported)?;
    let mut program = program(architecture, rules);
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let filter = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    catch_refusals()?;
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: `filter` and the program it leads to are alive; the kernel checks and copies both.
    match unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has SIGSYS handled, in all threads of this process.
fn catch_refusals() -> io::Result<()> {
    // SAFETY: a structure of integers and a pointer that may be null: zeros are a value of it.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_refusal;
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the handler has the type that SA_SIGINFO asks for and does only what a handler may.
    if unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    super::signal::unblock(libc::SIGSYS)
}

/// Counts a refused call and makes its result EPERM. Runs in the middle of anything: touches atomics
/// and its own arguments alone.
extern "C" fn on_refusal(_: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a siginfo_t that lives as long as the handler runs.
    let (code, number) = unsafe { ((*info).si_code, number_in(info)) };
    if code != SYS_SECCOMP {
        return;
    }
    if REFUSED.fetch_add(1, Relaxed) == 0 {
        FIRST.store(number, Relaxed);
    }
    let result = -i64::from(libc::EPERM);
    let context = context.cast::<libc::ucontext_t>();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel passes the context that it restores when the handler returns; the result
    // of a call is in this register.
    unsafe {
        (*context).uc_mcontext.gregs[libc::REG_RAX as usize] = result;
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the same.
    unsafe {
        (*context).uc_mcontext.regs[0] = result.cast_unsigned();
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (context, result);
}

/// `si_code` of a SIGSYS that a filter sent (include/uapi/asm-generic/siginfo.h).
const SYS_SECCOMP: i32 = 1;

/// `si_syscall`: behind three numbers, padding and an address.
///
/// # Safety
/// `info` must lead to a whole `siginfo_t`.
unsafe fn number_in(info: *const libc::siginfo_t) -> u32 {
    // SAFETY: a siginfo_t has 128 bytes and is aligned for pointers; offset 24 is within it.
    unsafe { info.cast::<u8>().add(24).cast::<u32>().read() }
}

fn program(architecture: u32, rules: &[&[Rule]]) -> Vec<libc::sock_filter> {
    let mut program =
        vec![load(PROCESSOR), when(libc::BPF_JEQ, architecture, 1, 0), give(TRAP), load(NUMBER)];
    let rules = || rules.iter().copied().flatten();
    // Those with cases first: the kernel asks for the others only where it remembers nothing.
    for rule in rules().filter(|rule| !rule.cases.is_empty()) {
        program.extend(block(rule));
    }
    for rule in rules().filter(|rule| rule.cases.is_empty()) {
        program.extend([when(libc::BPF_JEQ, number(rule.call), 0, 1), give(ALLOW)]);
    }
    program.extend([when(libc::BPF_JEQ, number(libc::SYS_clone3), 0, 1), give(ENOSYS)]);
    for call in FORKS {
        program.extend([when(libc::BPF_JEQ, number(*call), 0, 1), give(EPERM)]);
    }
    program.push(give(TRAP));
    program
}

/// A rule with cases: a block that is skipped for other calls and never left at its end.
fn block(rule: &Rule) -> Vec<libc::sock_filter> {
    let refused = if FORKS.contains(&rule.call) { EPERM } else { TRAP };
    let mut block = vec![give(refused)];
    // From the back, because a test that fails skips what stands behind it.
    for case in rule.cases.iter().rev() {
        let mut code = vec![give(ALLOW)];
        for argument in case.iter().rev() {
            code.splice(0..0, test(argument, code.len()));
        }
        block.splice(0..0, code);
    }
    let length = jump(block.len());
    block.insert(0, when(libc::BPF_JEQ, number(rule.call), 0, length));
    block
}

/// The test of one argument, which skips `rest` more instructions when it fails.
fn test(argument: &Argument, rest: usize) -> Vec<libc::sock_filter> {
    let load = load(ARGUMENTS + 8 * u32::from(argument.index));
    let fails = jump(rest);
    let own = [std::process::id()];
    let (mask, values): (u32, &[u32]) = match argument.test {
        Test::Without(bits) => return vec![load, when(libc::BPF_JSET, bits, fails, 0)],
        Test::Masked(mask, values) => (mask, values),
        Test::OwnProcess => (u32::MAX, &own),
    };
    let mut code = vec![load, instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask, 0, 0)];
    for (at, value) in values.iter().enumerate() {
        let left = values.len() - at - 1;
        let no = if left == 0 { fails } else { 0 };
        code.push(when(libc::BPF_JEQ, *value, jump(left), no));
    }
    code
}

/// A rule has a handful of tests. One with so many that a jump does not fit would not get past the
/// tests, and the kernel refuses jumps beyond the end.
fn jump(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// Every number of a call is small and not negative.
fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

fn load(offset: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

/// Skips `yes` instructions when the test holds, `no` when not.
fn when(test: u32, value: u32, yes: u8, no: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | test | libc::BPF_K, value, yes, no)
}

fn give(answer: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, answer, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    // All codes fit; one that did not would be refused by the kernel.
    libc::sock_filter { code: u16::try_from(code).unwrap_or(u16::MAX), jt, jf, k }
}
