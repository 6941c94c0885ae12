//! The system calls that a server gives up, as a filter that the kernel runs before each.
//!
//! ```text
//! another processor's calls      end the process
//! a number newer than the list   ENOSYS: programs know how to do without
//! clone3                         ENOSYS: its flags cannot be looked at, so the C library uses clone
//! all of DENIED, clone for anything but a thread, memory as code, typing for the user   EPERM
//! everything else                allowed
//! ```
//!
//! A list of what is refused, not of what is allowed: another C library or a newer one may use
//! other calls for the same work, and a server that gets EPERM for those would answer EIO. What a
//! list of refusals misses is new calls, hence the second line.

use std::io;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_003E);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xC000_00B7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<u32> = None;

/// The newest call that was looked at (removexattrat). The x32 calls are far above.
const NEWEST: u32 = 466;

/// Calls that nothing here needs and an intruder may want.
const DENIED: &[libc::c_long] = &[
    // Programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // Files past their names.
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_mknodat,
    // Networks.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_personality,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// Calls that map or change memory; their third argument says as what.
const MEMORY: [libc::c_long; 3] = [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect];

/// Controls of a terminal that type for its user.
const TYPING: [libc::Ioctl; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// Where `struct seccomp_data` has the number, the processor and the lower halves of its
/// arguments (both processors above are little-endian).
const NUMBER: u32 = 0;
const PROCESSOR: u32 = 4;
const FIRST: u32 = 16;
const SECOND: u32 = 24;
const THIRD: u32 = 32;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();

/// Whether the kernel runs such filters, for a processor that they can be written for.
pub(super) fn is_available() -> bool {
    // SAFETY: reads nothing but the number; a kernel without filters says EINVAL.
    ARCHITECTURE.is_some() && unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) } >= 0
}

/// Refuses the calls from now on. The thread must have `no_new_privs`.
pub(super) fn install() -> io::Result<()> {
    let architecture = ARCHITECTURE.ok_or(io::ErrorKind::Unsupported)?;
    let mut program = program(architecture);
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let filter = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: `filter` and the program it leads to are alive; the kernel checks and copies both.
    match unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn program(architecture: u32) -> Vec<libc::sock_filter> {
    let mut program = vec![
        load(PROCESSOR),
        when(libc::BPF_JEQ, architecture, 1, 0),
        give(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
        when(libc::BPF_JGT, NEWEST, 0, 1),
        give(ENOSYS),
    ];
    let is = |call: libc::c_long, answer| [when(libc::BPF_JEQ, number(call), 0, 1), give(answer)];
    program.extend(is(libc::SYS_clone3, ENOSYS));
    program.extend(DENIED.iter().flat_map(|call| is(*call, EPERM)));
    for call in MEMORY {
        let code = libc::PROT_EXEC.unsigned_abs();
        program.extend(looked_at(call, THIRD, libc::BPF_JSET, code, [EPERM, ALLOW]));
    }
    for control in TYPING {
        // Their numbers are 16 bits long, and the kernel looks at 32.
        let control = u32::try_from(control).unwrap_or(u32::MAX);
        let [call, load, test, refuse, _] =
            looked_at(libc::SYS_ioctl, SECOND, libc::BPF_JEQ, control, [EPERM, ALLOW]);
        // Not it: on to the next, with the number loaded again.
        program.extend([call, load, test, refuse, self::load(NUMBER)]);
    }
    let thread = libc::CLONE_THREAD.unsigned_abs();
    program.extend(looked_at(libc::SYS_clone, FIRST, libc::BPF_JSET, thread, [ALLOW, EPERM]));
    program.push(give(ALLOW));
    program
}

/// What to answer to `call` when the test of an argument holds, and when not.
fn looked_at(
    call: libc::c_long,
    argument: u32,
    test: u32,
    value: u32,
    [yes, no]: [u32; 2],
) -> [libc::sock_filter; 5] {
    [
        when(libc::BPF_JEQ, number(call), 0, 4),
        load(argument),
        when(test, value, 0, 1),
        give(yes),
        give(no),
    ]
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
