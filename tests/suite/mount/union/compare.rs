//! A mounted tree against the reference model's, by what the kernel answers: listings at several
//! buffer sizes, lookups, `lstat`, links, extended attributes, whole and random reads.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::support::model::{Tree, What};

/// Sizes of the buffer for `getdents64`; a record of a short name takes 24 bytes, so the first has
/// room for one.
const BUFFERS: [usize; 4] = [32, 100, 512, 64 << 10];

/// Everything in which the tree mounted at `root` is not `expected`.
pub fn differences(expected: &Tree, root: &Path) -> Vec<String> {
    let mut found = Found { root, expected, numbers: BTreeMap::new(), lines: Vec::new() };
    for path in expected.names.keys() {
        found.name(path);
    }
    found.lines
}

struct Found<'a> {
    root: &'a Path,
    expected: &'a Tree,
    /// The inode number of each of the model's inodes.
    numbers: BTreeMap<usize, u64>,
    lines: Vec<String>,
}

impl Found<'_> {
    fn real(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() { self.root.into() } else { self.root.join(OsStr::from_bytes(path)) }
    }

    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, path: &[u8], what: &str, is: T, want: T) {
        if is != want {
            self.lines.push(format!("{}: {what}: {is:?}, not {want:?}", path.escape_ascii()));
        }
    }

    fn name(&mut self, path: &[u8]) {
        let real = self.real(path);
        let stat = match fs::symlink_metadata(&real) {
            Ok(stat) => stat,
            Err(error) => return self.lines.push(format!("{}: {error}", path.escape_ascii())),
        };
        let number = self.expected.names[path].inode;
        let item = &self.expected.inodes[number].item;
        let kind = FileType::from_raw_mode(stat.mode());
        self.expect(path, "type", kind, file_type(&item.what));
        if kind != file_type(&item.what) {
            // What is a pipe after all must not be opened.
            return;
        }
        self.expect(path, "mode", stat.mode() & 0o7777, item.mode.into());
        self.expect(path, "owner", (stat.uid(), stat.gid()), (item.uid, item.gid));
        let time = (item.mtime.0, i64::from(item.mtime.1));
        self.expect(path, "mtime", (stat.mtime(), stat.mtime_nsec()), time);
        self.expect(path, "links", stat.nlink(), self.links(path));
        let device = match item.what {
            What::Char(major, minor) | What::Block(major, minor) => (major, minor),
            _ => (0, 0),
        };
        let rdev = (rustix::fs::major(stat.rdev()), rustix::fs::minor(stat.rdev()));
        self.expect(path, "device", rdev, device);
        let ino = *self.numbers.entry(number).or_insert(stat.ino());
        self.expect(path, "inode number", stat.ino(), ino);
        let alike = self.numbers.values().filter(|other| **other == ino).count();
        self.expect(path, "inodes with its number", alike, 1);
        self.xattrs(path, &real, &item.xattrs);
        match &item.what {
            What::Directory => self.directory(path, &real),
            What::File(bytes) => self.file(path, &real, stat.size(), bytes),
            What::Symlink(text) => {
                let link = fs::read_link(&real).map(|link| link.as_os_str().as_bytes().to_vec());
                self.expect(path, "link text", link.ok().as_ref(), Some(text));
                self.expect(path, "size", stat.size(), text.len() as u64);
            }
            _ => {}
        }
    }

    fn links(&self, path: &[u8]) -> u64 {
        let number = self.expected.names[path].inode;
        let count = match self.expected.inodes[number].item.what {
            What::Directory => {
                let kinds = self.children(path).into_values();
                2 + kinds.filter(|kind| *kind == FileType::Directory).count()
            }
            _ => self.expected.names.values().filter(|name| name.inode == number).count(),
        };
        count as u64
    }

    /// The names in a directory.
    fn children(&self, path: &[u8]) -> BTreeMap<Vec<u8>, FileType> {
        let below = self.expected.names.iter().filter_map(|(name, at)| {
            let rest = match path {
                b"" => name.as_slice(),
                _ => name.strip_prefix(path)?.strip_prefix(b"/")?,
            };
            let direct = !rest.is_empty() && !rest.contains(&b'/');
            direct.then(|| (rest.to_vec(), file_type(&self.expected.inodes[at.inode].item.what)))
        });
        below.collect()
    }

    fn directory(&mut self, path: &[u8], real: &Path) {
        let mut children = self.children(path);
        children.extend([b".", &b".."[..]].map(|dots| (dots.to_vec(), FileType::Directory)));
        for size in BUFFERS {
            let listed = list(real, size);
            let names = listed.as_ref().map(|rows| {
                let rows = rows.iter().map(|(name, (kind, _))| (name.clone(), *kind));
                rows.collect::<BTreeMap<_, _>>()
            });
            self.expect(path, &format!("list in {size} bytes"), names, Ok(&children).cloned());
            for (name, (_, ino)) in listed.unwrap_or_default() {
                let stat = fs::symlink_metadata(real.join(OsStr::from_bytes(&name)));
                if name != b".." || !path.is_empty() {
                    self.expect(path, "number in list", ino, stat.map_or(0, |stat| stat.ino()));
                }
            }
        }
        for name in [&b"a"[..], b"b", b"c", b"\xff", b".wh.a", b".wh..wh..opq", b"absent"] {
            if !children.contains_key(name) {
                let error = fs::symlink_metadata(real.join(OsStr::from_bytes(name))).err();
                let error = error.and_then(|error| error.raw_os_error());
                self.expect(path, "absent name", error, Some(Errno::NOENT.raw_os_error()));
            }
        }
    }

    fn file(&mut self, path: &[u8], real: &Path, size: u64, bytes: &[u8]) {
        self.expect(path, "size", size, bytes.len() as u64);
        let read = fs::read(real).unwrap_or_default();
        self.expect(path, "bytes", read == bytes, true);
        let Ok(file) = File::open(real) else {
            return self.lines.push(format!("{}: cannot be opened", path.escape_ascii()));
        };
        let mut at = bytes.len() / 2 + path.len();
        for length in [1, 511, 4096, 70_000] {
            at = at.wrapping_mul(7919) % (bytes.len() + 2);
            let mut piece = vec![0; length];
            let count = file.read_at(&mut piece, at as u64).unwrap_or(usize::MAX);
            let want = &bytes[at.min(bytes.len())..(at + length).min(bytes.len())];
            self.expect(path, "random read", piece.get(..count) == Some(want), true);
        }
    }

    fn xattrs(&mut self, path: &[u8], real: &Path, want: &BTreeMap<Vec<u8>, Vec<u8>>) {
        let mut names = vec![0; 4096];
        let length = rustix::fs::llistxattr(real, &mut names[..]).unwrap_or_default();
        let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let mut found = BTreeMap::new();
        for name in names {
            let mut value = vec![0; 4096];
            let length = rustix::fs::lgetxattr(real, name, &mut value[..]);
            value.truncate(length.unwrap_or_default());
            found.insert(name.to_vec(), value);
        }
        self.expect(path, "xattrs", &found, want);
    }
}

type Listing = BTreeMap<Vec<u8>, (FileType, u64)>;

/// A directory as `getdents64` gives it into a buffer of `size` bytes; a name listed twice is an
/// error.
fn list(path: &Path, size: usize) -> Result<Listing, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    let mut buffer = vec![MaybeUninit::uninit(); size];
    let mut rows = RawDir::new(directory, &mut buffer);
    let mut listing = Listing::new();
    while let Some(row) = rows.next() {
        let row = row?;
        let name = row.file_name().to_bytes().to_vec();
        if listing.insert(name, (row.file_type(), row.ino())).is_some() {
            return Err(Errno::EXIST);
        }
    }
    Ok(listing)
}

fn file_type(what: &What) -> FileType {
    match what {
        What::Directory => FileType::Directory,
        What::File(_) => FileType::RegularFile,
        What::Symlink(_) => FileType::Symlink,
        What::Char(..) => FileType::CharacterDevice,
        What::Block(..) => FileType::BlockDevice,
        What::Fifo => FileType::Fifo,
        What::HardLink(_) => unreachable!("the model has nodes only"),
    }
}
