//! This program from a file that nobody can change, as runc runs (CVE-2019-5736).
//!
//! Whoever executes a file of an image may be led back to the program that executes it: a script whose
//! interpreter is `/proc/self/exe`, or an interpreter of the image that is such a link. The kernel
//! follows it by itself, and the process then holds the file that it runs from. That file must be
//! on a mount that refuses changes and is nowhere to be seen, or, without the right to make one, a sealed
//! copy in memory.

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::{CWD, MemfdFlags, SealFlags, StatVfsMountFlags};
use rustix::fs::{fcntl_add_seals, fcntl_get_seals, fstatvfs, memfd_create};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::limits::Raised;
use super::mount_attributes::{self, Attributes};

/// The link to the file that this process runs from.
const PROGRAM: &str = "/proc/self/exe";

/// Nobody writes to it, changes its length or takes a seal off.
const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// `MFD_EXEC`, which Linux knows from 6.3 on and may insist on (`vm.memfd_noexec`).
const EXECUTABLE: MemfdFlags = MemfdFlags::from_bits_retain(0x10);

/// Starts this program again from a file that cannot be changed, with its words and its environment,
/// unless it runs from one already. To be called while nothing is done yet: what was, is forgotten.
///
/// # Errors
/// There is no /proc, no memory, or no leave to execute from memory. On success it comes back only in
/// the program that was started.
pub fn run_sealed() -> io::Result<()> {
    let program = File::open(PROGRAM)?;
    if cannot_change(&program)? {
        // The kernel names it after the descriptor.
        return Ok(rustix::thread::set_name(c"shale")?);
    }
    let copy = match read_only_mount() {
        Ok(mount) => mount,
        Err(_) => sealed_copy(&program)?.into(),
    };
    let mut words = env::args_os();
    let name = words.next().unwrap_or_else(|| "shale".into());
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    Err(Command::new(path).arg0(name).args(words).exec())
}

fn cannot_change(program: impl AsFd + Copy) -> io::Result<bool> {
    let is_sealed = fcntl_get_seals(program).is_ok_and(|seals| seals.contains(SEALS));
    Ok(is_sealed || fstatvfs(program)?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// The program's file on a mount of its own, which no directory leads to. Needs `CAP_SYS_ADMIN`.
fn read_only_mount() -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, PROGRAM, flags)?;
    mount_attributes::add(&mount, Attributes { read_only: true, ..Attributes::default() })?;
    Ok(mount)
}

fn sealed_copy(mut program: &File) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = match memfd_create(c"shale", flags | EXECUTABLE) {
        Err(Errno::INVAL) => memfd_create(c"shale", flags),
        result => result,
    };
    let mut copy = File::from(copy?);
    // A limit of the length of files holds for memory too. What is too low is told later.
    let limits = Raised::new().ok();
    let copied = io::copy(&mut program, &mut copy);
    if let Some(limits) = limits {
        limits.undo();
    }
    copied?;
    fcntl_add_seals(&copy, SEALS)?;
    Ok(copy)
}
