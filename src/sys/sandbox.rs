//! Giving rights up for good: what a process that reads bytes from strangers does not need.
//!
//! ```text
//! no_new_privs    no program that it starts gains rights
//! capabilities    root becomes an owner of files and nothing more
//! landlock        of all files, only those named
//! seccomp         of all system calls, only those named (sys::seccomp)
//! ```
//!
//! Everything holds for the calling thread and the threads and processes it starts from then on;
//! threads that are there already keep their rights. Nothing can be taken back. A kernel may lack
//! landlock or seccomp: [`missing`] says so beforehand.

use std::fmt;
use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

pub use super::seccomp::{Argument, Rule, Test, refused};

use super::seccomp;

/// The oldest landlock that is used: the first one lets no file change its directory at all.
const OLDEST: i64 = 2;

/// What landlock is asked for; the kernel does without what it does not know.
const NEWEST: ABI = ABI::V7;

/// A part of the sandbox that a kernel may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Which files may be opened.
    Landlock,
    /// Which system calls may be made.
    Seccomp,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        })
    }
}

/// What may be done with a file, or with everything below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Read files and list directories.
    Read,
    /// Also make, write, rename and remove files and directories.
    Change,
    /// Remove files.
    Remove,
    /// Read, write and control a device.
    Device,
}

impl Rights {
    fn access(self) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        match self {
            Self::Read => read,
            Self::Change => {
                read | AccessFs::WriteFile
                    | AccessFs::Truncate
                    | AccessFs::MakeReg
                    | AccessFs::MakeDir
                    | AccessFs::RemoveFile
            }
            Self::Remove => AccessFs::RemoveFile.into(),
            Self::Device => AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev,
        }
    }
}

/// What this kernel lacks.
pub fn missing() -> Vec<Part> {
    let has_landlock = landlock_version().is_some();
    let has = |part: &Part| match part {
        Part::Landlock => has_landlock,
        Part::Seccomp => seccomp::is_available(),
    };
    [Part::Landlock, Part::Seccomp].into_iter().filter(|part| !has(part)).collect()
}

/// The version of landlock's interface; `None` when this kernel has none that is of use.
pub fn landlock_version() -> Option<i64> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the call reads no memory and makes nothing; it returns a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, VERSION)
    };
    (version >= OLDEST).then_some(version)
}

/// No program started from here gains rights by a set-user-id bit or file capabilities.
///
/// # Errors
/// A kernel from before 2012.
pub fn no_new_privileges() -> io::Result<()> {
    Ok(set_no_new_privs(true)?)
}

/// Whether this process may mount and unmount where it is.
pub fn may_mount() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// Drops every capability but those to mount and to pass directories; with `servers` keeps also those
/// that making a server out of this process takes, and with `namespaces` those to enter the mount
/// namespace of another process.
///
/// # Errors
/// What the kernel says.
pub fn keep_mounting(servers: bool, namespaces: bool) -> io::Result<()> {
    let _ = clear_ambient_capability_set();
    let mut kept = CapabilitySet::SYS_ADMIN | CapabilitySet::DAC_READ_SEARCH;
    if servers {
        kept |= CapabilitySet::SETPCAP | CapabilitySet::DAC_OVERRIDE;
    }
    if namespaces {
        kept |= CapabilitySet::SYS_CHROOT | CapabilitySet::SYS_PTRACE;
    }
    let kept = capabilities(None)?.permitted & kept;
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

/// Drops every capability. Root that may no longer pass by permissions may not reach its own files
/// any more, below a directory of somebody else's: when `works` says so, the right to look at
/// everything is all that is kept, and the result is `false`.
///
/// # Errors
/// What the kernel says.
pub fn drop_capabilities(works: impl FnOnce() -> bool) -> io::Result<bool> {
    // An old kernel has no ambient set, and then nothing in it.
    let _ = clear_ambient_capability_set();
    for capability in CapabilitySet::all() {
        // Only for whoever has CAP_SETPCAP; the others gain nothing by it with no_new_privs.
        let _ = remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySet::empty();
    let before = capabilities(None)?;
    set_capabilities(None, CapabilitySets { effective: none, inheritable: none, ..before })?;
    let works = before.effective.is_empty() || works();
    let kept = if works { none } else { before.permitted & CapabilitySet::DAC_READ_SEARCH };
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: none };
    set_capabilities(None, sets)?;
    Ok(works)
}

/// Of all files, leaves only these; a path that is not there is left out. Also takes away TCP, and
/// signals and abstract sockets to processes outside, as far as the kernel knows how to.
///
/// # Errors
/// What the kernel says, and a kernel without landlock.
pub fn restrict_files(rules: &[(&Path, Rights)]) -> io::Result<()> {
    let status =
        ruleset(rules).and_then(RulesetCreated::restrict_self).map_err(io::Error::other)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(io::ErrorKind::Unsupported.into()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

fn ruleset(rules: &[(&Path, Rights)]) -> Result<RulesetCreated, landlock::RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for (path, rights) in rules {
        if let Ok(place) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(place, rights.access()))?;
        }
    }
    Ok(ruleset)
}

/// Of all system calls, leaves only those of these rules, of which no two may be for the same call.
///
/// # Errors
/// What the kernel says, and a kernel or processor without such filters.
pub fn restrict_calls(rules: &[&[Rule]]) -> io::Result<()> {
    seccomp::install(rules)
}
