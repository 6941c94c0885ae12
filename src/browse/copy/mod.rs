//! Files of an image copied to a directory: what `cp` does.
//!
//! Where they go is Docker's rule: into DEST when that is a directory, else DEST is the new name;
//! a directory copied to a new name brings its contents there, and `PATH/.` brings its contents to
//! a directory that exists. Directories are merged with those that are there, everything else
//! replaces what has its name.
//!
//! Guarantees: nothing is written outside DEST whatever it and the image hold ([`place`]); a file
//! has its name only when it is whole ([`place`] again: made under another name, then renamed).
//! What cannot be copied is passed over and told at the end, as is what could not be restored,
//! so one damaged file or missing right does not cost the rest; only a full or read-only disk ends
//! the copying. Attributes of directories come last, inner ones first: copying changes them.

mod attributes;
mod place;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{Browser, Error, Node};
use crate::layer::Kind;
use crate::tree::{Attributes, FileData, RowNo};
use place::{Destination, Handle};

/// How to copy.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyOptions {
    /// Restore owner, mode, times, extended attributes and hard links. Otherwise files get the
    /// image's permissions as far as the umask lets them, and the caller's own everything else.
    pub archive: bool,
    /// Copy what is in the directory, not the directory.
    pub contents: bool,
}

/// Things that did not work: how many, and the first of them.
#[derive(Debug, Default)]
pub struct Shortfalls {
    /// All of them.
    pub count: u64,
    /// A few, `PATH: WHY`.
    pub examples: Vec<String>,
}

impl Shortfalls {
    /// How many are remembered.
    const EXAMPLES: usize = 3;

    fn add(&mut self, path: &Path, what: impl std::fmt::Display) {
        self.count += 1;
        if self.examples.len() < Self::EXAMPLES {
            self.examples.push(format!("{}: {what}", path.display()));
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Copied {
    /// Files and directories that are not there or not whole.
    pub missing: Shortfalls,
    /// Attributes that could not be restored.
    pub unrestored: Shortfalls,
    /// Whether some bytes were not those that the digests promise.
    pub damaged: bool,
}

/// Copies `node`, called `name`, and everything below it to `to`.
///
/// # Errors
/// When `to` cannot take it, or the disk is full; what was copied until then stays.
pub fn copy(
    browser: &Browser,
    node: &Node,
    name: &[u8],
    to: &Path,
    options: CopyOptions,
) -> Result<Copied, Error> {
    let at = |source| Error::Destination { path: to.to_owned(), source };
    let is_directory = node.attributes.kind == Kind::Directory;
    let contents = is_directory && (options.contents || name.is_empty());
    let (base, top) = match fs::metadata(to) {
        Ok(there) if there.is_dir() => (to.to_owned(), if contents { b"" } else { name }.to_vec()),
        Ok(_) if is_directory || ends_with_slash(to) => {
            return Err(Error::Unfit { path: to.to_owned(), what: "is not a directory" });
        }
        Ok(there) if !there.is_file() => return copy_into(browser, node, to),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
        Err(_) if !is_directory && ends_with_slash(to) => {
            return Err(Error::Unfit { path: to.to_owned(), what: "there is no such directory" });
        }
        _ => {
            let last = to.file_name().unwrap_or_default().as_bytes().to_vec();
            let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
            (parent.unwrap_or(Path::new(".")).to_owned(), last)
        }
    };
    let destination = Destination::open(&base)
        .map_err(|source| Error::Destination { path: base.clone(), source })?;
    let mut copier = Copier {
        browser,
        destination,
        options,
        first_names: HashMap::new(),
        directories: Vec::new(),
        copied: Copied::default(),
    };
    copier.tree(node, &top)?;
    Ok(copier.copied)
}

fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

/// A device or a pipe is written as it is.
fn copy_into(browser: &Browser, node: &Node, to: &Path) -> Result<Copied, Error> {
    let file = browser.file(node)?;
    let at = |source| Error::Destination { path: to.to_owned(), source };
    let mut out = File::options().write(true).open(to).map_err(at)?;
    browser.pieces(&node.path, &file, (0, file.size), |piece| out.write_all(piece).map_err(at))?;
    Ok(Copied::default())
}

/// A directory that was made or merged, to be finished at the end.
struct Finish {
    path: Vec<u8>,
    row: RowNo,
    is_new: bool,
}

struct Copier<'a> {
    browser: &'a Browser,
    destination: Destination,
    options: CopyOptions,
    /// Of files with several names, the one that was copied.
    first_names: HashMap<RowNo, Vec<u8>>,
    directories: Vec<Finish>,
    copied: Copied,
}

/// Why something is not copied.
enum Failure {
    /// This alone.
    One(String),
    /// Nothing more can be.
    All(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Table(_) => Self::All(error),
            error => Self::One(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::One(error.to_string())
    }
}

impl Copier<'_> {
    fn tree(&mut self, start: &Node, top: &[u8]) -> Result<(), Error> {
        let mut passed_over = None;
        if !self.entry(top, start.row)? || start.attributes.kind != Kind::Directory {
            return self.finish();
        }
        let skip = if start.path.is_empty() { 0 } else { start.path.len() + 1 };
        let browser = self.browser;
        let walked = browser.tree.walk(start.row, |path, child| {
            let inner = path.get(skip..).unwrap_or_default();
            let name = if top.is_empty() { inner.to_vec() } else { [top, b"/", inner].concat() };
            let below = |over: &Vec<u8>| {
                name.strip_prefix(over.as_slice()).is_some_and(|rest| rest.starts_with(b"/"))
            };
            if passed_over.as_ref().is_some_and(below) {
                return ControlFlow::Continue(());
            }
            match self.entry(&name, child.row) {
                Ok(true) => {}
                Ok(false) => passed_over = Some(name),
                Err(error) => return ControlFlow::Break(error),
            }
            ControlFlow::Continue(())
        })?;
        match walked {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => self.finish(),
        }
    }

    /// Copies one name; `false` when it could not be, and nothing below it can.
    fn entry(&mut self, name: &[u8], row: RowNo) -> Result<bool, Error> {
        let failure = match self.try_entry(name, row) {
            Ok(()) => return Ok(true),
            Err(failure) => failure,
        };
        match failure {
            Failure::One(what) => {
                let path = self.shown(name);
                self.copied.missing.add(&path, what);
                Ok(false)
            }
            Failure::All(error) => Err(error),
        }
    }

    fn try_entry(&mut self, name: &[u8], row: RowNo) -> Result<(), Failure> {
        let attributes = self.browser.attributes(row)?;
        if attributes.kind == Kind::Directory {
            let is_new = self.destination.make_directory(name, attributes.mode)?;
            self.directories.push(Finish { path: name.to_vec(), row, is_new });
            return Ok(());
        }
        let is_linked = self.options.archive && attributes.links > 1;
        if is_linked && let Some(first) = self.first_names.get(&row) {
            match self.destination.link(first, name) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let path = self.shown(name);
                    self.copied.unrestored.add(&path, format!("hard link: {error}"));
                }
            }
        }
        let made = self.node(name, row, &attributes);
        // Whatever went wrong, a disk without room ends it all.
        made.map_err(|failure| self.judge(name, failure))?;
        if is_linked {
            self.first_names.insert(row, name.to_vec());
        }
        Ok(())
    }

    /// Makes a node that is no directory under another name, and renames it when it is whole.
    fn node(&mut self, name: &[u8], row: RowNo, attributes: &Attributes) -> Result<(), Broken> {
        let browser = self.browser;
        let text = browser.tree.link_text(row).map_err(Error::Table)?;
        let place = self.destination.place(name)?;
        let draft = place.draft(attributes, text)?;
        if let (Some(file), Some(data)) =
            (draft.file(), browser.tree.file(row).map_err(Error::Table)?)
        {
            self.bytes(name, file, &data)?;
        }
        if self.options.archive {
            let xattrs = browser.tree.xattrs(row).map_err(Error::Table)?;
            let path = self.shown(name);
            let unrestored = &mut self.copied.unrestored;
            attributes::restore(&draft.handle(), attributes, &xattrs, |what| {
                unrestored.add(&path, what);
            });
        }
        Ok(draft.publish()?)
    }

    /// Writes a file's stored bytes; what lies between them stays a hole.
    fn bytes(&self, name: &[u8], mut file: &File, data: &FileData) -> Result<(), Broken> {
        let whole = [(0, data.size)];
        let runs: Vec<(u64, u64)> = match &data.sparse {
            None => whole.to_vec(),
            Some(runs) => {
                runs.iter().map(|run| (run.offset, run.offset.saturating_add(run.length))).collect()
            }
        };
        for (from, to) in runs {
            if data.sparse.is_some() {
                file.seek(SeekFrom::Start(from))?;
            }
            self.browser.pieces(name, data, (from, to), |piece| {
                file.write_all(piece).map_err(Broken::Io)
            })?;
        }
        if data.sparse.is_some() {
            file.set_len(data.size)?;
        }
        Ok(())
    }

    /// What a failure means for the rest.
    fn judge(&mut self, name: &[u8], broken: Broken) -> Failure {
        match broken {
            Broken::Image(error) => {
                self.copied.damaged |= error.is_mismatch();
                error.into()
            }
            Broken::Io(source)
                if matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull
                        | io::ErrorKind::QuotaExceeded
                        | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Failure::All(Error::Destination { path: self.shown(name), source })
            }
            Broken::Io(error) => error.into(),
        }
    }

    /// Gives the directories their attributes, inner ones first.
    fn finish(&mut self) -> Result<(), Error> {
        while let Some(Finish { path, row, is_new }) = self.directories.pop() {
            let attributes = self.browser.attributes(row)?;
            let xattrs = self.browser.tree.xattrs(row)?;
            let shown = self.shown(&path);
            let unrestored = &mut self.copied.unrestored;
            let mut tell = |what: String| unrestored.add(&shown, what);
            if self.options.archive {
                match self.destination.directory(&path) {
                    Ok(directory) => {
                        let handle = Handle::Open(directory.as_fd());
                        attributes::restore(&handle, &attributes, &xattrs, tell);
                    }
                    Err(error) => tell(error.to_string()),
                }
            } else if is_new && let Err(error) = self.destination.narrow(&path, attributes.mode) {
                tell(error.to_string());
            }
        }
        Ok(())
    }

    fn shown(&self, name: &[u8]) -> PathBuf {
        self.destination.path().join(std::ffi::OsString::from_vec(name.to_vec()))
    }
}

/// Why a node is not whole.
enum Broken {
    Image(Error),
    Io(io::Error),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Image(error)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
