//! What root's command may not reach in /proc and /sys: files by which whoever is user 0 changes the
//! machine, whatever capabilities are left, and those that tell of other processes' secrets. The lists
//! are docker's and runc's (moby, oci/defaults.go). In a user namespace nobody is the user that these
//! files belong to.

use std::fs;
use std::path::Path;

use rustix::mount::{self, MountFlags};

use super::root::{At, RootError};

/// Below /proc, to be read only.
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Below /proc, not to be seen.
const HIDDEN_IN_PROC: [&str; 10] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];

/// Below /sys, likewise.
const HIDDEN_IN_SYS: [&str; 2] = ["devices/virtual/powercap", "firmware"];

const QUIET: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Masks a new /proc that is mounted at `proc`. `scratch` is a directory of our own.
pub(super) fn proc(proc: &Path, scratch: &Path) -> Result<(), RootError> {
    for name in READ_ONLY {
        let path = proc.join(name);
        if path.exists() {
            mount::mount_bind_recursive(&path, &path).at("bind", &path)?;
            read_only(&path)?;
        }
    }
    HIDDEN_IN_PROC.iter().try_for_each(|name| hide(&proc.join(name), scratch))
}

/// Likewise of /sys.
pub(super) fn sys(sys: &Path, scratch: &Path) -> Result<(), RootError> {
    HIDDEN_IN_SYS.iter().try_for_each(|name| hide(&sys.join(name), scratch))
}

fn hide(path: &Path, scratch: &Path) -> Result<(), RootError> {
    let Ok(found) = path.metadata() else { return Ok(()) };
    if found.is_dir() {
        let flags = QUIET | MountFlags::RDONLY;
        return mount::mount("shale", path, "tmpfs", flags, c"mode=0555,size=4k").at("hide", path);
    }
    let empty = scratch.join("empty");
    fs::write(&empty, "").at("write", &empty)?;
    mount::mount_bind(&empty, path).at("hide", path)?;
    read_only(path)
}

fn read_only(path: &Path) -> Result<(), RootError> {
    let flags = QUIET | MountFlags::BIND | MountFlags::RDONLY;
    mount::mount_remount(path, flags, c"").at("make read-only", path)
}
