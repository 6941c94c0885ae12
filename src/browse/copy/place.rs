//! Places below a destination, reached without following a link.
//!
//! The destination itself is where the caller said, links and all. From there each component is
//! opened by its name alone, in the directory opened before it, and never when it is a symbolic
//! link (`O_NOFOLLOW`); `..` is never used. So what stands in the destination, planted before or
//! while it is written to, cannot lead out of it, and neither can a name of the image: one that is
//! no plain name is refused.
//!
//! What is made is made under a name that nobody has (`O_EXCL` or its like), finished there, and
//! renamed, which replaces a file or a link of that name and never writes through it. A killed
//! copy leaves at most one such file, `.shale-PID-N.part`.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fchmod, fstat, linkat, makedev, mkdirat, mknodat, openat,
    renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::layer::Kind;
use crate::tree::Attributes;

/// A directory to pass through.
const PASS: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory whose attributes are set.
const OPEN: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How many directories on a way are kept open.
const OPEN_MAX: usize = 64;

/// A path below the destination, and the innermost directories on it, so that who goes from one
/// directory to the next need not begin at the top: a path of 2,000 directories would be walked
/// 2,000 times.
#[derive(Default)]
struct Way {
    path: Vec<u8>,
    /// Each with the length of its path, the innermost last.
    open: Vec<(usize, Rc<OwnedFd>)>,
    /// How many were opened.
    #[cfg(test)]
    opened: usize,
}

impl Way {
    /// Forgets what does not lead to `path`; the innermost directory left, and how much of the
    /// path leads to it.
    fn toward(&mut self, path: &[u8]) -> Option<(usize, Rc<OwnedFd>)> {
        while let Some((length, directory)) = self.open.last() {
            let leads = path.get(..*length) == self.path.get(..*length)
                && matches!(path.get(*length), None | Some(b'/'));
            if leads {
                return Some((*length, Rc::clone(directory)));
            }
            self.open.pop();
        }
        None
    }
}

/// A directory that is written to.
pub(super) struct Destination {
    path: PathBuf,
    base: Rc<OwnedFd>,
    /// The way to the directory that was written to last.
    way: RefCell<Way>,
    /// For names that nobody has.
    next: Cell<u64>,
}

impl Destination {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let base = Rc::new(openat(CWD, path, flags, Mode::empty())?);
        Ok(Self { path: path.to_owned(), base, way: RefCell::default(), next: Cell::new(0) })
    }

    /// As the caller called it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where `name`, a path below the destination, is to be.
    pub(super) fn place<'a>(&'a self, name: &'a [u8]) -> io::Result<Place<'a>> {
        let (parent, last) = match name.iter().rposition(|&byte| byte == b'/') {
            Some(at) if at > 0 => {
                (name.get(..at).unwrap_or_default(), name.get(at + 1..).unwrap_or_default())
            }
            // A slash at the beginning stays in the name, which is then refused.
            _ => (&b""[..], name),
        };
        plain(last)?;
        Ok(Place { destination: self, directory: self.pass(parent)?, name: last })
    }

    /// Makes a directory; `false` when there was one. It can be written to until it is finished.
    pub(super) fn make_directory(&self, name: &[u8], mode: u16) -> io::Result<bool> {
        if name.is_empty() {
            return Ok(false);
        }
        let place = self.place(name)?;
        match mkdirat(&*place.directory, place.name, permissions(mode | 0o700)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => match openat(&*place.directory, place.name, PASS, Mode::empty()) {
                Ok(_) => Ok(false),
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    Err(io::Error::other("there is something else, not followed and not removed"))
                }
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the rights away from a new directory that only making its contents needed.
    pub(super) fn narrow(&self, name: &[u8], mode: u16) -> io::Result<()> {
        let extra = 0o700 & !mode;
        if extra == 0 {
            return Ok(());
        }
        let directory = self.directory(name)?;
        let now = Mode::from_raw_mode(fstat(&directory)?.st_mode & 0o7777);
        Ok(fchmod(&directory, now.difference(permissions(extra)))?)
    }

    /// Opens a directory for setting its attributes.
    pub(super) fn directory(&self, name: &[u8]) -> io::Result<OwnedFd> {
        if name.is_empty() {
            let flags = OPEN.difference(OFlags::NOFOLLOW);
            return Ok(openat(&*self.base, ".", flags, Mode::empty())?);
        }
        let place = self.place(name)?;
        Ok(openat(&*place.directory, place.name, OPEN, Mode::empty())?)
    }

    /// Gives what has the name `first` another name.
    pub(super) fn link(&self, first: &[u8], name: &[u8]) -> io::Result<()> {
        let (from, to) = (self.place(first)?, self.place(name)?);
        let (temporary, ()) = to.fresh(|temporary| {
            linkat(&*from.directory, from.name, &*to.directory, temporary, AtFlags::empty())
        })?;
        let renamed = renameat(&*to.directory, &temporary, &*to.directory, to.name);
        // Renaming to another name of the same file does nothing at all.
        let _ = unlinkat(&*to.directory, &temporary, AtFlags::empty());
        Ok(renamed?)
    }

    /// The directory at `path`, one level after the other.
    fn pass(&self, path: &[u8]) -> io::Result<Rc<OwnedFd>> {
        if path.is_empty() {
            return Ok(Rc::clone(&self.base));
        }
        let way = &mut *self.way.borrow_mut();
        let known = way.toward(path);
        let (mut at, mut directory) = known.unwrap_or((0, Rc::clone(&self.base)));
        way.path = path.to_vec();
        while at < path.len() {
            let start = if at == 0 { 0 } else { at + 1 };
            let rest = path.get(start..).unwrap_or_default();
            let name = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
            plain(name)?;
            directory = Rc::new(openat(&*directory, name, PASS, Mode::empty())?);
            at = start + name.len();
            #[cfg(test)]
            (way.opened += 1);
            if way.open.len() == OPEN_MAX {
                way.open.remove(0);
            }
            way.open.push((at, Rc::clone(&directory)));
        }
        Ok(directory)
    }
}

/// A name in an open directory.
pub(super) struct Place<'a> {
    destination: &'a Destination,
    directory: Rc<OwnedFd>,
    name: &'a [u8],
}

impl<'a> Place<'a> {
    /// Makes a node under a name that nobody has. `text` is a symlink's.
    pub(super) fn draft(self, attributes: &Attributes, text: &[u8]) -> io::Result<Draft<'a>> {
        let mode = permissions(attributes.mode);
        let device = makedev(attributes.device.0, attributes.device.1);
        let directory = &*self.directory;
        let special = |kind, device| {
            let (name, ()) = self.fresh(|name| mknodat(directory, name, kind, mode, device))?;
            Ok::<_, io::Error>((found(directory, &name, kind)?, name))
        };
        let (node, temporary) = match attributes.kind {
            Kind::Symlink => {
                let (name, ()) = self.fresh(|name| symlinkat(text, directory, name))?;
                (found(directory, &name, FileType::Symlink)?, name)
            }
            Kind::Fifo => special(FileType::Fifo, 0)?,
            Kind::CharDevice => special(FileType::CharacterDevice, device)?,
            Kind::BlockDevice => special(FileType::BlockDevice, device)?,
            Kind::File | Kind::Directory | Kind::HardLink => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let (name, file) = self.fresh(|name| openat(directory, name, flags, mode))?;
                (Node::File(file.into()), name)
            }
        };
        Ok(Draft { place: self, temporary, node, is_published: false })
    }

    /// Makes something under the first free name.
    fn fresh<T>(&self, make: impl Fn(&str) -> rustix::io::Result<T>) -> io::Result<(String, T)> {
        loop {
            let number = self.destination.next.get();
            self.destination.next.set(number + 1);
            let name = format!(".shale-{}-{number}.part", std::process::id());
            match make(&name) {
                Ok(made) => return Ok((name, made)),
                // Each name is tried once, so this ends.
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A node on its way to its name; removed when dropped before that.
pub(super) struct Draft<'a> {
    place: Place<'a>,
    temporary: String,
    node: Node,
    is_published: bool,
}

/// What was made.
enum Node {
    File(File),
    Other(OwnedFd),
}

impl Draft<'_> {
    /// To set its attributes by.
    pub(super) fn handle(&self) -> Handle<'_> {
        match &self.node {
            Node::File(file) => Handle::Open(file.as_fd()),
            Node::Other(node) => Handle::Path(node.as_fd()),
        }
    }

    /// To write a regular file's bytes to.
    pub(super) fn file(&self) -> Option<&File> {
        match &self.node {
            Node::File(file) => Some(file),
            Node::Other(_) => None,
        }
    }

    /// Gives it its name.
    pub(super) fn publish(mut self) -> io::Result<()> {
        let directory = &*self.place.directory;
        renameat(directory, &self.temporary, directory, self.place.name)?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.is_published {
            // The error that led here is the one to report.
            let _ = unlinkat(&*self.place.directory, &self.temporary, AtFlags::empty());
        }
    }
}

/// Something whose attributes are set. A descriptor, never a name: somebody else who may write to
/// the directory could give the name to something that is not theirs to change.
pub(super) enum Handle<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// A node that was found and not opened (`O_PATH`): a link, a device, a pipe.
    Path(BorrowedFd<'a>),
}

/// What was just made under `name`. Somebody else may have put something there since.
fn found(directory: &OwnedFd, name: &str, kind: FileType) -> io::Result<Node> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = openat(directory, name, flags, Mode::empty())?;
    let is = fstat(&node)?;
    let own = is.st_uid == rustix::process::geteuid().as_raw() && is.st_nlink == 1;
    if !own || FileType::from_raw_mode(is.st_mode) != kind {
        return Err(io::Error::other("somebody else changes the directory"));
    }
    Ok(Node::Other(node))
}

/// Permission bits without set-user-ID and its like; the umask takes its own.
fn permissions(mode: u16) -> Mode {
    Mode::from_raw_mode(u32::from(mode) & 0o777)
}

/// Whether `name` is the name of something in a directory and nothing else.
fn plain(name: &[u8]) -> io::Result<()> {
    if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a name of a file"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_used() {
        let dir = tempfile::tempdir().expect("a directory");
        let destination = Destination::open(dir.path()).expect("it is there");
        for name in [&b""[..], b".", b"..", b"a/..", b"../x", b"/x", b"a\0b", b"a//b"] {
            assert!(destination.place(name).is_err(), "{}", name.escape_ascii());
        }
        assert!(destination.place(b"...").is_ok());
    }

    /// As `cp -a` goes: down, making directories, and up again, setting their attributes.
    #[test]
    fn a_deep_path_is_not_walked_anew_for_every_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let destination = Destination::open(dir.path()).expect("it is there");
        let path = ["a"; 1000].join("/").into_bytes();
        let levels = || (0..1000).map(|level| path.get(..level * 2 + 1).expect("a part"));
        for level in levels() {
            assert!(destination.make_directory(level, 0o755).expect("a directory"));
        }
        for level in levels().rev() {
            destination.directory(level).expect("it was made");
        }
        let opened = destination.way.borrow().opened;
        assert!(opened < 20_000, "{opened} directories were opened for 1,000");
        assert!(destination.way.borrow().open.len() <= OPEN_MAX);
        // Another way from the same start, and one that only begins alike.
        assert!(destination.make_directory(b"a/b", 0o755).expect("a directory"));
        assert!(destination.make_directory(b"a/b/c", 0o755).expect("a directory"));
        assert!(destination.make_directory(b"a/bc", 0o755).expect("a directory"));
        assert!(destination.make_directory(b"a/bc/d", 0o755).expect("a directory"));
        assert!(dir.path().join("a/bc/d").is_dir() && !dir.path().join("a/b/d").exists());
    }

    #[test]
    fn a_link_on_the_way_is_not_passed() {
        let (dir, outside) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).expect("a link");
        let destination = Destination::open(dir.path()).expect("it is there");
        assert!(destination.place(b"link/x").is_err());
        assert!(destination.make_directory(b"link", 0o755).is_err());
        assert!(destination.place(b"link").is_ok(), "the link itself may be replaced");
    }
}
