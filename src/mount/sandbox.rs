//! What the server of a mount may still do once it serves: answer the kernel, read the store, write
//! what can be made again, and forget itself.
//!
//! ```text
//! the store                read
//! content/, seekable/      make, write, rename, remove: what lies there is checked by whoever reads it
//! mounts/                  remove: its own record and log; where the store cannot be written, in
//!                          the directory that stands for it
//! /dev/fuse                a descriptor of its own for each thread
//! everything else          nothing: no other file, program, process, socket, mount or capability
//! ```
//!
//! A byte of an image that finds a hole in a decoder finds itself in here. To unmount, which needs
//! rights, the server asks its `keeper`.
//!
//! The keeper, the watcher and the supervisor read nothing from strangers, but have more rights; so
//! each is held to the calls that it makes (`Helper`). Those of a normal user start `fusermount3`,
//! which gains its rights as it starts: no process may both do that and be held to anything (a
//! filter needs `no_new_privs`), so they are as they were.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{Error, calls};
use crate::store::{Derived, Store};
use crate::sys::sandbox::{self, Part, Rights};

/// A process of a mount that keeps the right to mount or unmount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Helper {
    /// Unmounts for the server.
    Keeper,
    /// Unmounts after the server.
    Watcher,
    /// Mounts anew after the server.
    Supervisor,
}

impl Helper {
    /// Takes from this thread, and from those it starts, what the helper does not need. What cannot
    /// be taken is logged. `private`: the mount is in a private mount namespace, which has to be
    /// entered again.
    pub(super) fn confine(self, private: bool) {
        if !sandbox::may_mount() {
            log::debug!("{self:?} starts fusermount3 when it is needed: not confined");
            return;
        }
        let rules: &[&[sandbox::Rule]] = match self {
            Self::Keeper => &[calls::EVERY, calls::NO_PROCESSES, calls::UNMOUNTING],
            Self::Watcher => {
                &[calls::EVERY, calls::NO_PROCESSES, calls::UNMOUNTING, calls::WATCHER]
            }
            Self::Supervisor => &[calls::EVERY, calls::SUPERVISOR],
        };
        let confined = sandbox::no_new_privileges()
            .and_then(|()| sandbox::keep_mounting(self == Self::Supervisor, private))
            .and_then(|()| match sandbox::missing().contains(&Part::Seccomp) {
                true => Ok(()),
                false => sandbox::restrict_calls(rules),
            });
        if let Err(error) = confined {
            log::warn!("the sandbox of {self:?} lacks something: {error}");
        }
    }
}

/// Says at the end of a process what its filter refused.
pub(super) fn report() {
    let (count, first) = sandbox::refused();
    if count > 0 {
        log::warn!("{count} system calls were refused, the first of them number {first}");
    }
}

/// What this machine has of the sandbox, in words.
pub fn describe() -> String {
    let missing = sandbox::missing();
    let mut parts = vec!["no_new_privs".to_owned(), "no capabilities".to_owned()];
    if let Some(version) = sandbox::landlock_version() {
        parts.push(format!("landlock {version}"));
    }
    if !missing.contains(&Part::Seccomp) {
        parts.push(Part::Seccomp.to_string());
    }
    let lacks =
        if missing.is_empty() { String::new() } else { format!("; missing: {}", words(&missing)) };
    parts.join(", ") + &lacks
}

/// Makes sure that nothing is missing.
pub(super) fn insist() -> Result<(), Error> {
    let missing = sandbox::missing();
    if missing.is_empty() { Ok(()) } else { Err(Error::NoSandbox { missing: words(&missing) }) }
}

/// Takes from this thread, and from those it starts, every right that serving `store` does not
/// need, as far as the kernel can. Nothing gives them back.
///
/// # Errors
/// With `required`, anything that could not be taken. Without, that goes to the log.
pub fn enter(store: &Store, required: bool) -> Result<(), Error> {
    let root = store.root();
    let content = root.join(Derived::Content.directory());
    let seekable = root.join(Derived::Seekable.directory());
    let mounts = store.mount_dirs();
    let mut files = vec![
        (root, Rights::Read),
        (content.as_path(), Rights::Change),
        (seekable.as_path(), Rights::Change),
        (Path::new("/dev/fuse"), Rights::Device),
    ];
    files.extend(mounts.iter().map(|directory| (directory.as_path(), Rights::Remove)));
    let missing = sandbox::missing();
    let there = |part: Part| !missing.contains(&part);
    take("no_new_privs", required, sandbox::no_new_privileges())?;
    let dropped = sandbox::drop_capabilities(|| can_read(root));
    if let Ok(false) = dropped {
        log::info!("{}: kept the capability to pass the directories above it", root.display());
    }
    take("capabilities", required, dropped)?;
    if required || there(Part::Landlock) {
        take("landlock", required, sandbox::restrict_files(&files))?;
    }
    // Last: it refuses what the others need.
    if required || there(Part::Seccomp) {
        let rules = [calls::EVERY, calls::NO_PROCESSES, calls::SERVER];
        take("seccomp", required, sandbox::restrict_calls(&rules))?;
    }
    if !missing.is_empty() {
        log::info!("this kernel lacks for the sandbox: {}", words(&missing));
    }
    Ok(())
}

fn take<T>(what: &str, required: bool, result: io::Result<T>) -> Result<(), Error> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if required => Err(Error::NoSandbox { missing: format!("{what} ({error})") }),
        Err(error) => {
            log::warn!("the sandbox lacks {what}: {error}");
            Ok(())
        }
    }
}

fn can_read(root: &Path) -> bool {
    File::open(root.join("format")).is_ok()
}

fn words(missing: &[Part]) -> String {
    missing.iter().map(Part::to_string).collect::<Vec<_>>().join(", ")
}
