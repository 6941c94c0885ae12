//! The directory of `--keep`: the changes of several runs, one after the other.
//!
//! ```text
//! DIR/image   the ID of the image that the changes were made to, and whose overlay made them
//! DIR/upper   the changes, in overlayfs's form
//! DIR/work    overlayfs's own
//! ```
//!
//! One run at a time has it, under a lock on the directory, which the process outside holds: where
//! paths of the image are walked it is not open. Changes to one image mean nothing on another, and
//! overlayfs marks deletions in one way for root and in another in a user namespace.
//!
//! The changes are programs and set-user-ID bits of other machines' users: nobody else may pass the
//! directory, unless the user says so.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, FlockOperation, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::oci::Digest;

/// The mark has some hundred bytes.
const MARK_LIMIT: u64 = 4096;

/// Permission of anybody but the owner.
const OTHERS: u32 = 0o077;

/// Where the changes are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The directory, made when it is missing.
    pub path: PathBuf,
    /// Take it although others can enter it or own it.
    pub shared: bool,
}

/// Why changes cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Another command runs with it.
    #[error("{path}: another chroot keeps its changes there")]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// It holds changes to another image.
    #[error("{path}: the changes there were made to the image {other}")]
    OtherImage {
        /// The directory.
        path: PathBuf,
        /// What its file says.
        other: String,
    },
    /// Root's changes for a user, or a user's for root.
    #[error(
        "{path}: the changes there were made by {other}, and overlayfs marks deletions in another way for {this}"
    )]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// Who made them.
        other: Side,
        /// Who asks.
        this: Side,
    },
    /// It holds something else.
    #[error("{path}: neither empty nor a directory of changes")]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// Others could run and replace what root or the user has there.
    #[error("{path}: other users may enter it (mode {mode:04o})")]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Likewise its owner.
    #[error("{path}: it belongs to another user")]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// What.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Whose overlay made changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Root of the machine: `trusted.overlay.*`.
    Root,
    /// A user namespace: `user.overlay.*`.
    User,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::User => "a user",
        }
    }
}

/// The directory, locked while this lives.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    directory: File,
}

impl Kept {
    /// Makes the directory when it is missing.
    pub(super) fn open(keep: &Keep, image: &Digest, side: Side) -> Result<Self, KeepError> {
        let kept = Self::lock(&keep.path, true)?;
        if !keep.shared {
            kept.check_access()?;
        }
        kept.check_mark(image, side)?;
        Ok(kept)
    }

    fn lock(path: &Path, make: bool) -> Result<Self, KeepError> {
        let failed = |source: io::Error| KeepError::Io { path: path.to_owned(), source };
        if make {
            make_private(path).map_err(failed)?;
        }
        let path = path.canonicalize().map_err(failed)?;
        let directory = File::open(&path).map_err(failed)?;
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path, directory }),
            Err(Errno::WOULDBLOCK) => Err(KeepError::Busy { path }),
            Err(error) => Err(failed(error.into())),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Mounts the very directory that is locked at `place`, in this process's mount namespace.
    pub(super) fn mount_at(&self, place: &Path) -> Result<(), KeepError> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        let cwd = rustix::fs::CWD;
        fs::create_dir(place)
            .and_then(|()| Ok(open_tree(&self.directory, "", flags)?))
            .and_then(|tree| {
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                Ok(move_mount(tree, "", cwd, place, flags)?)
            })
            .map_err(|source| KeepError::Io { path: self.path.clone(), source })
    }

    fn failed(&self) -> impl Fn(Errno) -> KeepError {
        |error| KeepError::Io { path: self.path.clone(), source: error.into() }
    }

    fn check_access(&self) -> Result<(), KeepError> {
        let found = rustix::fs::fstat(&self.directory).map_err(self.failed())?;
        let path = || self.path.clone();
        if found.st_uid != rustix::process::geteuid().as_raw() {
            return Err(KeepError::NotOurs { path: path() });
        }
        let mode = found.st_mode & 0o7777;
        if mode & OTHERS != 0 {
            return Err(KeepError::Open { path: path(), mode });
        }
        Ok(())
    }

    fn check_mark(&self, image: &Digest, side: Side) -> Result<(), KeepError> {
        let Some((other, by)) = self.mark()? else {
            return self.write_mark(image, side);
        };
        let path = self.path.clone();
        if other != image.to_string() {
            return Err(KeepError::OtherImage { path, other: other.chars().take(100).collect() });
        }
        match by == side {
            true => Ok(()),
            false => Err(KeepError::OtherOwner { path, other: by, this: side }),
        }
    }

    /// The image and whose overlay; `None` for an empty directory.
    fn mark(&self) -> Result<Option<(String, Side)>, KeepError> {
        let foreign = || KeepError::Foreign { path: self.path.clone() };
        // Whatever is there: a pipe is not waited for, and no device is asked for its end.
        let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mark = match openat(&self.directory, "image", OFlags::RDONLY | flags, Mode::empty()) {
            Ok(mark) => File::from(mark),
            Err(Errno::NOENT) => {
                let failed = |source| KeepError::Io { path: self.path.clone(), source };
                let is_empty = fs::read_dir(&self.path).map_err(failed)?.next().is_none();
                return if is_empty { Ok(None) } else { Err(foreign()) };
            }
            Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => return Err(foreign()),
            Err(error) => return Err(self.failed()(error)),
        };
        let found = rustix::fs::fstat(&mark).map_err(self.failed())?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(foreign());
        }
        let mut text = String::new();
        mark.take(MARK_LIMIT).read_to_string(&mut text).map_err(|_| foreign())?;
        let mut lines = text.lines();
        let image = lines.next().unwrap_or_default().trim().to_owned();
        // Before it was written down, whoever owns the mark made the changes.
        let owner = if found.st_uid == 0 && !is_mapped() { Side::Root } else { Side::User };
        let by = match lines.next() {
            Some("root") => Side::Root,
            Some("user") => Side::User,
            _ => owner,
        };
        Ok(Some((image, by)))
    }

    fn write_mark(&self, image: &Digest, side: Side) -> Result<(), KeepError> {
        let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut mark =
            openat(&self.directory, "image", new, mode).map(File::from).map_err(self.failed())?;
        let by = if side == Side::Root { "root" } else { "user" };
        writeln!(mark, "{image}\n{by}")
            .map_err(|source| KeepError::Io { path: self.path.join("image"), source })
    }
}

/// Removes a directory of changes. The caller has become root of a user namespace, or is root: some of
/// it belongs to users of the image, and overlayfs's own may be closed to everybody.
///
/// # Errors
/// It is none, or in use; the system refuses.
pub(super) fn remove(path: &Path) -> Result<(), KeepError> {
    let kept = Kept::lock(path, false)?;
    if kept.mark()?.is_none() {
        return Err(KeepError::Foreign { path: path.to_owned() });
    }
    // Through the descriptor: what is locked is removed, whatever takes its name meanwhile.
    let held = PathBuf::from(format!("/proc/self/fd/{}", kept.directory.as_raw_fd()));
    for name in ["upper", "work"] {
        match fs::remove_dir_all(held.join(name)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(KeepError::Io { path: kept.path.join(name), source });
            }
            _ => {}
        }
    }
    // The mark goes last: what is interrupted is still a directory of changes.
    fs::remove_file(held.join("image"))
        .and_then(|()| fs::remove_dir(&kept.path))
        .map_err(|source| KeepError::Io { path: kept.path.clone(), source })
}

/// Whether numbers of users are not the machine's: this is a user namespace.
fn is_mapped() -> bool {
    !crate::sys::process::is_real_root()
}

fn make_private(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn open(path: &Path, image: &Digest) -> Result<Kept, KeepError> {
        open_as(path, image, Side::Root)
    }

    fn open_as(path: &Path, image: &Digest, side: Side) -> Result<Kept, KeepError> {
        Kept::open(&Keep { path: path.to_owned(), shared: false }, image, side)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    #[test]
    fn one_run_at_a_time_on_one_image() {
        let top = tempfile::tempdir().expect("a directory");
        let path = top.path().join("a/keep");
        let (one, two) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
        let kept = open(&path, &one).expect("a new one");
        assert!(matches!(open(&path, &one), Err(KeepError::Busy { .. })));
        drop(kept);
        assert!(open(&path, &one).is_ok());
        let error = open(&path, &two).expect_err("another image");
        assert!(error.to_string().ends_with(&format!("to the image {one}")), "{error}");
        let other = top.path().join("a");
        set_mode(&other, 0o700);
        assert!(matches!(open(&other, &one), Err(KeepError::Foreign { .. })));
    }

    #[test]
    fn it_is_private_or_not_taken() {
        let top = tempfile::tempdir().expect("a directory");
        let (path, image) = (top.path().join("keep"), Digest::sha256(b"1"));
        drop(open(&path, &image).expect("a new one"));
        assert_eq!(path.metadata().expect("made").permissions().mode() & 0o7777, 0o700);
        for mode in [0o701, 0o710, 0o705, 0o755, 0o720, 0o1777] {
            set_mode(&path, mode);
            let refused = open(&path, &image);
            assert!(matches!(refused, Err(KeepError::Open { mode: m, .. }) if m == mode));
            let shared = Keep { path: path.clone(), shared: true };
            assert!(Kept::open(&shared, &image, Side::Root).is_ok());
        }
    }

    #[test]
    fn root_and_users_do_not_take_turns() {
        let top = tempfile::tempdir().expect("a directory");
        let (path, image) = (top.path().join("keep"), Digest::sha256(b"1"));
        drop(open_as(&path, &image, Side::User).expect("a new one"));
        assert!(open_as(&path, &image, Side::User).is_ok());
        let error = open_as(&path, &image, Side::Root).expect_err("the other kind");
        assert!(error.to_string().contains("made by a user"), "{error}");
    }

    #[test]
    fn a_mark_that_is_no_file_is_foreign_at_once() {
        let image = Digest::sha256(b"1");
        let make: [&dyn Fn(&Path); 5] = [
            &|mark| {
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(rustix::fs::CWD, mark, FileType::Fifo, mode, 0)
                    .expect("a pipe");
            },
            &|mark| std::os::unix::fs::symlink("/dev/zero", mark).expect("a link"),
            &|mark| fs::create_dir(mark).expect("a directory"),
            &|mark| drop(std::os::unix::net::UnixListener::bind(mark).expect("a socket")),
            &|mark| fs::write(mark, [0xff; 100_000]).expect("bytes"),
        ];
        for make in make {
            let top = tempfile::tempdir().expect("a directory");
            set_mode(top.path(), 0o700);
            make(&top.path().join("image"));
            let refused = open(top.path(), &image);
            assert!(matches!(refused, Err(KeepError::Foreign { .. })), "{refused:?}");
        }
    }

    #[test]
    fn only_a_directory_of_changes_is_removed() {
        let top = tempfile::tempdir().expect("a directory");
        let (path, image) = (top.path().join("keep"), Digest::sha256(b"1"));
        fs::create_dir(&path).expect("made");
        fs::write(path.join("f"), "").expect("written");
        assert!(matches!(remove(&path), Err(KeepError::Foreign { .. })));
        fs::remove_file(path.join("f")).expect("removed");
        assert!(matches!(remove(&path), Err(KeepError::Foreign { .. })));
        set_mode(&path, 0o700);
        let kept = open(&path, &image).expect("a new one");
        assert!(matches!(remove(&path), Err(KeepError::Busy { .. })));
        drop(kept);
        fs::create_dir_all(path.join("upper/etc")).expect("made");
        remove(&path).expect("removed");
        assert!(!path.exists());
    }
}
