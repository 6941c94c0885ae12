//! The system calls that each process of a mount may make; THREAT-MODEL.md has the same lists, and a
//! test tries every number of the kernel's table in each of them.
//!
//! ```text
//! every process   memory that is not code, threads of its own, time, waiting, looking at files
//! server          the kernel's questions; new files of mode 0600; renaming and removing
//! keeper          unmounting
//! watcher         unmounting; removing a record
//! supervisor      what it takes to mount, to make tables again, and to start a server
//! ```
//!
//! Which files these calls reach is landlock's to say: a filter sees the number of a descriptor and the
//! address of a path. Calls that the C libraries for Linux use for the same thing are all there, such
//! as `open` beside `openat`.

use libc::c_long;
use rustix::mount::UnmountFlags;

use crate::sys::sandbox::{Argument, Rule, Test};

/// `O_LARGEFILE` as the kernel has it; some C libraries add it, others leave it out.
#[cfg(target_arch = "aarch64")]
const LARGE_FILE: u32 = 0o400_000;
#[cfg(not(target_arch = "aarch64"))]
const LARGE_FILE: u32 = 0o100_000;

/// The C library's `rename` where there is no call of that name.
#[cfg(target_arch = "aarch64")]
const RENAMEAT: c_long = 38;
#[cfg(not(target_arch = "aarch64"))]
const RENAMEAT: c_long = libc::SYS_renameat;

/// What may be said on opening a file to read it: nothing that changes it.
const READING: u32 =
    bits(libc::O_CLOEXEC | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_PATH)
        | LARGE_FILE;

/// A new file, which nobody else has yet.
const NEW_FILE: u32 = bits(libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC);

/// The FUSE device once more, for another thread. Landlock leaves no other file that is of use.
const DEVICE: u32 = bits(libc::O_RDWR | libc::O_CLOEXEC);

/// `FUSE_DEV_IOC_CLONE` (include/uapi/linux/fuse.h).
const CLONE_DEVICE: u32 = 0x8004_e500;

/// The flags with which C libraries start a thread; one of them adds `CLONE_DETACHED`, which means
/// nothing.
const THREAD: u32 = bits(
    libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM
        | libc::CLONE_SETTLS
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_CLEARTID,
);
const DETACHED: u32 = bits(libc::CLONE_DETACHED);

/// The flags with which they fork.
const FORK: u32 = bits(libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD);

/// What `madvise` may be told: `MADV_NORMAL`, `RANDOM`, `SEQUENTIAL`, `WILLNEED`, `DONTNEED`, `FREE`,
/// and the guards of newer C libraries (`MADV_GUARD_INSTALL`, `MADV_GUARD_REMOVE`).
const ADVICE: &[u32] = &[0, 1, 2, 3, 4, 8, 102, 103];

/// Flags and constants are positive.
const fn bits(flags: libc::c_int) -> u32 {
    flags.cast_unsigned()
}

const fn always(call: c_long) -> Rule {
    Rule { call, cases: &[] }
}

const fn when(call: c_long, cases: &'static [&'static [Argument]]) -> Rule {
    Rule { call, cases }
}

const fn argument(index: u8, test: Test) -> Argument {
    Argument { index, test }
}

/// A file opened to be read, its flags being argument number `index`.
const fn reading(index: u8) -> Argument {
    argument(index, Test::Without(!READING))
}

const fn exactly(index: u8, values: &'static [u32]) -> Argument {
    argument(index, Test::Masked(u32::MAX, values))
}

/// Every process.
pub(super) const EVERY: &[Rule] = &[
    // FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET and FUTEX_WAKE_BITSET, private or not, by either clock.
    when(libc::SYS_futex, &[&[argument(1, Test::Masked(0x7f, &[0, 1, 9, 10]))]]),
    when(libc::SYS_mmap, &[&[argument(2, Test::Without(bits(libc::PROT_EXEC)))]]),
    when(libc::SYS_madvise, &[&[exactly(2, ADVICE)]]),
    when(libc::SYS_mprotect, &[&[argument(2, Test::Without(bits(libc::PROT_EXEC)))]]),
    when(
        libc::SYS_fcntl,
        &[&[exactly(1, &[bits(libc::F_DUPFD_CLOEXEC), bits(libc::F_GETFD), bits(libc::F_GETFL)])]],
    ),
    // Memory.
    always(libc::SYS_brk),
    always(libc::SYS_mremap),
    always(libc::SYS_munmap),
    // Threads and signals.
    always(libc::SYS_exit),
    always(libc::SYS_exit_group),
    always(libc::SYS_getpid),
    always(libc::SYS_gettid),
    always(libc::SYS_restart_syscall),
    always(libc::SYS_rseq),
    always(libc::SYS_rt_sigaction),
    always(libc::SYS_rt_sigprocmask),
    always(libc::SYS_rt_sigreturn),
    always(libc::SYS_rt_sigtimedwait),
    always(libc::SYS_sched_getaffinity),
    always(libc::SYS_sched_yield),
    always(libc::SYS_set_robust_list),
    always(libc::SYS_sigaltstack),
    // Time and waiting.
    always(libc::SYS_clock_gettime),
    always(libc::SYS_clock_nanosleep),
    always(libc::SYS_getrandom),
    always(libc::SYS_nanosleep),
    always(libc::SYS_ppoll),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_poll),
    // Files that are open, and looking at others.
    always(libc::SYS_close),
    always(libc::SYS_fstat),
    always(libc::SYS_fstatfs),
    always(libc::SYS_getdents64),
    always(libc::SYS_geteuid),
    always(libc::SYS_lseek),
    always(libc::SYS_newfstatat),
    always(libc::SYS_pread64),
    always(libc::SYS_read),
    always(libc::SYS_readlinkat),
    always(libc::SYS_readv),
    always(libc::SYS_statfs),
    always(libc::SYS_statx),
    always(libc::SYS_write),
    always(libc::SYS_writev),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_lstat),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_readlink),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_stat),
];

/// Every process but the supervisor.
pub(super) const NO_PROCESSES: &[Rule] = &[
    when(libc::SYS_clone, &[&[argument(0, Test::Masked(!DETACHED, &[THREAD]))]]),
    when(libc::SYS_prctl, &[&[exactly(0, &[bits(libc::PR_SET_NAME)])]]),
    when(libc::SYS_tgkill, &[&[argument(0, Test::OwnProcess)]]),
];

/// The server.
pub(super) const SERVER: &[Rule] = &[
    when(
        libc::SYS_openat,
        &[
            &[reading(2)],
            &[
                argument(2, Test::Masked(!LARGE_FILE, &[NEW_FILE])),
                argument(3, Test::Masked(0xffff, &[0o600])),
            ],
            &[argument(2, Test::Masked(!LARGE_FILE, &[DEVICE]))],
        ],
    ),
    #[cfg(target_arch = "x86_64")]
    when(
        libc::SYS_open,
        &[
            &[reading(1)],
            &[
                argument(1, Test::Masked(!LARGE_FILE, &[NEW_FILE])),
                argument(2, Test::Masked(0xffff, &[0o600])),
            ],
            &[argument(1, Test::Masked(!LARGE_FILE, &[DEVICE]))],
        ],
    ),
    when(libc::SYS_ioctl, &[&[exactly(1, &[CLONE_DEVICE])]]),
    when(libc::SYS_mkdirat, &[&[argument(2, Test::Masked(0xffff, &[0o700]))]]),
    #[cfg(target_arch = "x86_64")]
    when(libc::SYS_mkdir, &[&[argument(1, Test::Masked(0xffff, &[0o700]))]]),
    always(libc::SYS_fadvise64),
    always(libc::SYS_fdatasync),
    always(libc::SYS_flock),
    always(libc::SYS_fsync),
    always(libc::SYS_pwrite64),
    always(RENAMEAT),
    always(libc::SYS_renameat2),
    always(libc::SYS_unlinkat),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_rename),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_unlink),
];

/// The keeper and the watcher.
pub(super) const UNMOUNTING: &[Rule] = &[
    when(libc::SYS_openat, &[&[reading(2)]]),
    #[cfg(target_arch = "x86_64")]
    when(libc::SYS_open, &[&[reading(1)]]),
    // Back into the private mount namespace that the mount is in.
    when(libc::SYS_setns, &[&[exactly(1, &[bits(libc::CLONE_NEWNS)])]]),
    // Of a path never what a link there leads to; of a descriptor's link in /proc what is open there.
    when(
        libc::SYS_umount2,
        &[&[exactly(
            1,
            &[
                UnmountFlags::NOFOLLOW.bits(),
                UnmountFlags::NOFOLLOW.bits() | UnmountFlags::DETACH.bits(),
                UnmountFlags::DETACH.bits(),
            ],
        )]],
    ),
];

/// The watcher besides.
pub(super) const WATCHER: &[Rule] = &[
    always(libc::SYS_flock),
    always(libc::SYS_pidfd_open),
    always(libc::SYS_unlinkat),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_unlink),
];

/// The supervisor, and with it whatever its servers do before they give it up.
pub(super) const SUPERVISOR: &[Rule] = &[
    when(libc::SYS_clone, &[&[argument(0, Test::Masked(!DETACHED, &[THREAD, FORK]))]]),
    when(
        libc::SYS_prctl,
        &[&[exactly(
            0,
            &[
                bits(libc::PR_SET_NAME),
                bits(libc::PR_SET_NO_NEW_PRIVS),
                bits(libc::PR_GET_SECCOMP),
                bits(libc::PR_SET_SECCOMP),
                bits(libc::PR_CAPBSET_READ),
                bits(libc::PR_CAPBSET_DROP),
                bits(libc::PR_CAP_AMBIENT),
            ],
        )]],
    ),
    when(libc::SYS_ioctl, &[&[exactly(1, &[CLONE_DEVICE])]]),
    when(libc::SYS_prlimit64, &[&[exactly(0, &[0])]]),
    when(libc::SYS_setns, &[&[exactly(1, &[bits(libc::CLONE_NEWNS)])]]),
    when(libc::SYS_unshare, &[&[exactly(0, &[bits(libc::CLONE_NEWNS)])]]),
    // Mounts.
    always(libc::SYS_fsconfig),
    always(libc::SYS_fsmount),
    always(libc::SYS_fsopen),
    always(libc::SYS_mount),
    always(libc::SYS_move_mount),
    always(libc::SYS_umount2),
    // Processes.
    always(libc::SYS_capget),
    always(libc::SYS_capset),
    always(libc::SYS_chdir),
    always(libc::SYS_dup3),
    always(libc::SYS_getegid),
    always(libc::SYS_kill),
    always(libc::SYS_landlock_add_rule),
    always(libc::SYS_landlock_create_ruleset),
    always(libc::SYS_landlock_restrict_self),
    always(libc::SYS_pidfd_open),
    always(libc::SYS_pipe2),
    always(libc::SYS_setsid),
    always(libc::SYS_set_tid_address),
    always(libc::SYS_tgkill),
    always(libc::SYS_wait4),
    always(libc::SYS_waitid),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_dup2),
    // The store.
    always(libc::SYS_fadvise64),
    always(libc::SYS_fdatasync),
    always(libc::SYS_flock),
    always(libc::SYS_fsync),
    always(libc::SYS_ftruncate),
    always(libc::SYS_mkdirat),
    always(libc::SYS_openat),
    always(libc::SYS_pwrite64),
    always(RENAMEAT),
    always(libc::SYS_renameat2),
    always(libc::SYS_unlinkat),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_mkdir),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_open),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_rename),
    #[cfg(target_arch = "x86_64")]
    always(libc::SYS_unlink),
];
