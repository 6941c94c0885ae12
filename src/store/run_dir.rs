//! Where records and logs of mounts are when the store cannot be written: it is another user's, it
//! is on a read-only file system, or its disk is full. A mount does not outlive the machine's run,
//! so neither does that directory:
//!
//! ```text
//! /run/shale/HASH            root's
//! /run/user/UID/shale/HASH   a user's, where a login made the directory
//! /tmp/shale-UID/HASH        else
//! ```
//!
//! HASH are the first 16 digits of the SHA-256 of the store's path. A directory that is somebody
//! else's, or that somebody else may write to, is not used.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Store;
use crate::oci::Digest;
use crate::sys::process;

impl Store {
    /// The directories in which there may be records and logs of mounts: the store's own, and the
    /// one for stores that cannot be written, where that is there.
    pub fn mount_dirs(&self) -> Vec<PathBuf> {
        let (base, directory) = self.run_dir();
        let run = is_ours(base) && is_ours(directory);
        [self.mounts_dir()].into_iter().chain(run.then(|| directory.clone())).collect()
    }

    /// Makes that directory; `None` where that cannot be.
    pub(super) fn make_run_dir(&self) -> Option<PathBuf> {
        let (base, directory) = self.run_dir();
        for path in [base, directory] {
            // What is there already is looked at.
            let _ = DirBuilder::new().mode(0o700).create(path);
            if !is_ours(path) {
                return None;
            }
        }
        Some(directory.clone())
    }

    /// The user's directory, and the store's in it.
    fn run_dir(&self) -> &(PathBuf, PathBuf) {
        // Found out once: a server in its sandbox could not.
        self.run_dir_cell().get_or_init(|| self.find_run_dir())
    }

    fn find_run_dir(&self) -> (PathBuf, PathBuf) {
        let user = rustix::process::geteuid().as_raw();
        let base = if process::is_real_root() {
            PathBuf::from("/run/shale")
        } else {
            let login = PathBuf::from(format!("/run/user/{user}"));
            match is_ours(&login) {
                true => login.join("shale"),
                false => PathBuf::from(format!("/tmp/shale-{user}")),
            }
        };
        let root = self.root().canonicalize();
        let root = root.as_deref().unwrap_or(self.root()).as_os_str().as_bytes();
        let hash = Digest::sha256(root).hex().chars().take(16).collect::<String>();
        let directory = base.join(hash);
        (base, directory)
    }
}

/// Whether this is a directory, no link, of this user, which nobody else may write to.
fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| {
        let mine = found.uid() == rustix::process::geteuid().as_raw();
        found.is_dir() && mine && found.mode() & 0o022 == 0
    })
}

/// Whether an error says that there is no room, or no right to write.
pub(super) fn cannot_write(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EROFS | libc::ENOSPC | libc::EDQUOT | libc::EACCES | libc::EPERM)
    )
}
