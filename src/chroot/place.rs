//! Paths of an image inside its root.
//!
//! Every path that the image, `-w` or `-v` names is walked by the kernel with `openat2(2)` and two
//! promises: no link leads out of the root, and none of /proc's links to open files, directories and
//! roots of processes is followed (CVE-2024-21626). What is missing is made where the path would lead
//! inside the root, as runc makes it, with modes of our own.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;

/// Links on one path, as the kernel limits them.
const MOST_LINKS: usize = 40;

/// A `..` beside a rename elsewhere makes the kernel ask for another attempt.
const ATTEMPTS: usize = 100;

/// Modes of what is made.
const DIRECTORY: Mode = Mode::from_raw_mode(0o755);
const FILE: Mode = Mode::from_raw_mode(0o644);

/// Why a path of the image leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// Neither is followed.
    #[error("links lead in a circle, or through /proc to something that a process has open")]
    Loop,
    /// A file in the place of a directory.
    #[error("{} is no directory", .0.display())]
    NotDirectory(PathBuf),
    /// The root itself.
    #[error("it leads to the root of the image; choose a directory below it")]
    Root,
    /// What the system said.
    #[error(transparent)]
    Io(io::Error),
}

impl From<Errno> for PlaceError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::LOOP | Errno::XDEV => Self::Loop,
            other => Self::Io(other.into()),
        }
    }
}

impl From<PlaceError> for io::Error {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Io(error) => error,
            other => io::Error::other(other),
        }
    }
}

/// What a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// The root of this process.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

/// Something in the root, open by its name alone (`O_PATH`).
#[derive(Debug)]
pub(super) struct Place {
    pub(super) fd: OwnedFd,
    /// Its path, which has no links.
    pub(super) path: PathBuf,
    /// What had to be made for it, from the top.
    pub(super) made: Vec<Made>,
}

/// Something that was made for a place.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// Its inode.
    inode: u64,
}

impl Root {
    /// # Errors
    /// No descriptor is free.
    pub(super) fn this() -> rustix::io::Result<Self> {
        Self::at(rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// The root of another mount.
    pub(super) fn at(fd: OwnedFd) -> rustix::io::Result<Self> {
        Ok(Self(fd))
    }

    /// Opens what `path` leads to. A descriptor never becomes a controlling terminal and never
    /// survives `exec`.
    ///
    /// # Errors
    /// `ELOOP` also for a link of /proc to something that a process has open.
    pub(super) fn open(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        self.open_with(path, flags, ResolveFlags::empty())
    }

    fn open_with(
        &self,
        path: &Path,
        flags: OFlags,
        more: ResolveFlags,
    ) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | more;
        let mut attempts = 0;
        loop {
            match rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) if attempts < ATTEMPTS => attempts += 1,
                result => return result,
            }
        }
    }

    /// Opens `path`, which has no links.
    fn open_exactly(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        self.open_with(path, OFlags::PATH | OFlags::NOFOLLOW, ResolveFlags::NO_SYMLINKS)
    }

    /// A place for `kind` at `path`, made with its missing parents where nothing is.
    ///
    /// # Errors
    /// See [`PlaceError`]; what was made until then stays.
    pub(super) fn make(&self, path: &Path, kind: Kind) -> Result<Place, PlaceError> {
        self.make_if(path, kind, |_| Ok(()))
    }

    /// The same; `may` is asked about the path without links before anything is made.
    pub(super) fn make_if<E: From<PlaceError>>(
        &self,
        path: &Path,
        kind: Kind,
        may: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Place, E> {
        let (path, missing) = self.resolve(path)?;
        may(&path)?;
        let ancestors: Vec<&Path> = path.ancestors().take(missing).collect();
        let mut made = Vec::new();
        for (depth, new) in ancestors.iter().enumerate().rev() {
            let kind = if depth == 0 { kind } else { Kind::Directory };
            made.push(self.make_one(new, kind)?);
        }
        let fd = self.open_exactly(&path).map_err(PlaceError::from)?;
        Ok(Place { fd, path, made })
    }

    fn make_one(&self, path: &Path, kind: Kind) -> Result<Made, PlaceError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(PlaceError::Root);
        };
        let parent = self.open_exactly(parent)?;
        match kind {
            Kind::Directory => rustix::fs::mkdirat(&parent, name, DIRECTORY)?,
            Kind::File => {
                let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                drop(rustix::fs::openat(&parent, name, new, FILE)?);
            }
        }
        let inode = self.inode(path)?;
        Ok(Made { path: path.to_owned(), kind, inode })
    }

    fn inode(&self, path: &Path) -> rustix::io::Result<u64> {
        Ok(rustix::fs::fstat(self.open_exactly(path)?)?.st_ino)
    }

    /// Where `path` leads: a path without links, and how many of its last parts are not there.
    fn resolve(&self, path: &Path) -> Result<(PathBuf, usize), PlaceError> {
        let (mut at, mut missing, mut links) = (PathBuf::from("/"), 0_usize, 0);
        let mut rest = parts(path);
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                at.pop();
                missing = missing.saturating_sub(1);
                continue;
            }
            let next = at.join(part);
            if missing > 0 {
                (at, missing) = (next, missing + 1);
                continue;
            }
            let found = match self.open_exactly_or_link(&next) {
                Ok(found) => found,
                Err(Errno::NOENT) => {
                    (at, missing) = (next, 1);
                    continue;
                }
                Err(Errno::NOTDIR) => return Err(PlaceError::NotDirectory(at)),
                Err(error) => return Err(error.into()),
            };
            if kind_of(&found)? != FileType::Symlink {
                at = next;
                continue;
            }
            links += 1;
            // Asked of the kernel, which alone knows links that are no text.
            let followed = self.open(&next, OFlags::PATH);
            if links > MOST_LINKS || matches!(followed, Err(Errno::LOOP | Errno::XDEV)) {
                return Err(PlaceError::Loop);
            }
            let text = rustix::fs::readlinkat(&found, "", Vec::new())?;
            let text = PathBuf::from(OsString::from_vec(text.into_bytes()));
            if text.is_absolute() {
                at = "/".into();
            }
            for part in parts(&text).into_iter().rev() {
                rest.push_front(part);
            }
        }
        Ok((at, missing))
    }

    /// `path`, whose last part alone may be a link, which is then what is opened.
    fn open_exactly_or_link(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        self.open(path, OFlags::PATH | OFlags::NOFOLLOW)
    }

    /// What is at `path`, a link being a link; `None` when nothing is.
    pub(super) fn look(&self, path: &Path) -> rustix::io::Result<Option<FileType>> {
        match self.open_exactly_or_link(path) {
            Ok(found) => kind_of(found).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes away what was made, if it is still that and nothing is in it.
    pub(super) fn unmake(&self, made: &Made) -> rustix::io::Result<()> {
        let (Some(parent), Some(name)) = (made.path.parent(), made.path.file_name()) else {
            return Ok(());
        };
        let found = rustix::fs::fstat(self.open_exactly(&made.path)?)?;
        let parent = self.open_exactly(parent)?;
        let flags = match made.kind {
            Kind::Directory => rustix::fs::AtFlags::REMOVEDIR,
            Kind::File => rustix::fs::AtFlags::empty(),
        };
        if found.st_ino != made.inode || (made.kind == Kind::File && found.st_size != 0) {
            return Ok(());
        }
        rustix::fs::unlinkat(parent, name, flags)
    }
}

/// The kind of an open file.
pub(super) fn kind_of(fd: impl AsFd) -> rustix::io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode))
}

/// The number of the mount that an open file is on; `None` before Linux 5.8.
pub(super) fn mount_of(fd: impl AsFd) -> Option<u64> {
    let Statx { stx_mask, stx_mnt_id, .. } =
        rustix::fs::statx(fd, "", rustix::fs::AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    (stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stx_mnt_id)
}

/// The parts that lead somewhere.
fn parts(path: &Path) -> VecDeque<OsString> {
    let named = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root with links of every kind; nothing is to be made outside of it.
    fn bench() -> (tempfile::TempDir, Root) {
        let top = tempfile::tempdir().expect("a directory");
        let root = top.path().join("root");
        for directory in ["d/e", "link"] {
            std::fs::create_dir_all(root.join(directory)).expect("made");
        }
        std::fs::write(root.join("f"), "").expect("written");
        for (target, name) in [
            ("/no/where", "dangling"),
            ("../../../d", "d/out"),
            ("/proc/self/fd/0", "fd"),
            ("two", "one"),
            ("one", "two"),
            ("no/../again", "again"),
            ("..", "d/up"),
        ] {
            symlink(target, root.join(name)).expect("linked");
        }
        let fd = rustix::fs::open(&root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let root = Root::at(fd.expect("opened")).expect("a root");
        (top, root)
    }

    fn make(root: &Root, path: &str) -> Result<Place, PlaceError> {
        root.make(Path::new(path), Kind::Directory)
    }

    #[test]
    fn what_is_missing_is_made_where_the_path_leads_inside_the_root() {
        let (top, root) = bench();
        for (path, leads_to, new) in [
            ("/d/e", "/d/e", 0),
            ("/dangling/x", "/no/where/x", 3),
            ("dangling", "/no/where", 0),
            ("/d/out/new", "/d/new", 1),
            ("/d/up/d/up/../../z", "/z", 1),
            ("/", "/", 0),
            ("/../..", "/", 0),
        ] {
            let place = make(&root, path).expect(path);
            assert_eq!((place.path.as_path(), place.made.len()), (Path::new(leads_to), new));
            assert!(top.path().join("root").join(&leads_to[1..]).is_dir(), "{path}");
        }
        assert_eq!(std::fs::read_dir(top.path()).expect("listed").count(), 1, "made outside");
    }

    #[test]
    fn circles_and_files_are_errors() {
        let (_top, root) = bench();
        assert!(matches!(make(&root, "/one/x"), Err(PlaceError::Loop)));
        assert!(matches!(make(&root, "/again"), Err(PlaceError::Loop)));
        assert!(
            matches!(make(&root, "/f/x"), Err(PlaceError::NotDirectory(path)) if path == Path::new("/f"))
        );
    }

    #[test]
    fn what_was_made_goes_unless_somebody_uses_it() {
        let (top, root) = bench();
        let file = |path: &str| root.make(Path::new(path), Kind::File);
        let made =
            [file("/a/b/new").expect("made").made, file("/used").expect("made").made].concat();
        let modes = made.iter().map(|made| {
            let path = top.path().join("root").join(made.path.strip_prefix("/").expect("absolute"));
            std::os::unix::fs::PermissionsExt::mode(&path.metadata().expect("made").permissions())
                & 0o7022
        });
        assert_eq!(modes.collect::<Vec<_>>(), [0; 4]);
        std::fs::write(top.path().join("root/used"), "x").expect("written");
        for made in made.iter().rev() {
            root.unmake(made).expect("unmade");
        }
        assert!(!top.path().join("root/a").exists() && top.path().join("root/used").exists());
    }
}
