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

use std::fs::File;
use std::io;
use std::path::Path;

use super::Error;
use crate::store::{Derived, Store};
use crate::sys::sandbox::{self, Part, Rights};

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
        take("seccomp", required, sandbox::restrict_calls())?;
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
