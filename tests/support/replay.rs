//! A disk that remembers, for crash tests: every effect is done for real and logged, and each
//! prefix of the log can be laid out again as a crash may have left it.
//!
//! The model is what POSIX promises and no more. A file's bytes are sure once that file was synced;
//! a name is sure once its directory was synced, and the two names of a rename between directories
//! are two matters. What was not synced may be there or not, so each prefix is laid out several
//! times with another [`Loss`].
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use shalefs::store::{Disk, RealDisk};

/// One effect. A node is a file or directory whatever its names.
#[derive(Debug, Clone)]
enum Effect {
    CreateDir { path: PathBuf, node: usize },
    Create { path: PathBuf, node: usize },
    Write { node: usize, offset: u64, bytes: Vec<u8> },
    Truncate { node: usize, length: u64 },
    Sync { node: usize },
    SyncDir { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Unlink { path: PathBuf },
}

/// What a crash takes of that which was not synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: a killed process.
    Nothing,
    /// All of it.
    Everything,
    /// Bytes, but no names: the classic file of length zero after a rename.
    Bytes,
    /// Everything but the names in one directory.
    AllNamesBut(PathBuf),
}

/// Does everything for real below `root`, and writes it down.
#[derive(Debug)]
pub struct RecordingDisk {
    root: PathBuf,
    forgets: Forgets,
    log: Mutex<Log>,
}

/// A fault planted to prove that the crash test would see it: effects that are not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgets {
    /// None: the disk is right.
    Nothing,
    /// Files are not synced before they are renamed.
    Syncs,
    /// Directories are not synced.
    DirectorySyncs,
}

#[derive(Debug, Default)]
struct Log {
    effects: Vec<Effect>,
    /// The node of each inode in use.
    nodes: BTreeMap<(u64, u64), usize>,
    next: usize,
}

impl RecordingDisk {
    /// A disk for a store at `root`.
    pub fn new(root: &Path, forgets: Forgets) -> Self {
        Self { root: root.to_owned(), forgets, log: Mutex::default() }
    }

    /// How many effects there were.
    pub fn len(&self) -> usize {
        self.log.lock().unwrap().effects.len()
    }

    /// The directories in which names were made.
    pub fn directories(&self) -> Vec<PathBuf> {
        let log = self.log.lock().unwrap();
        let parents = log.effects.iter().filter_map(|effect| match effect {
            Effect::Create { path, .. } | Effect::CreateDir { path, .. } => path.parent(),
            Effect::Rename { to, .. } => to.parent(),
            _ => None,
        });
        parents.map(Path::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Lays out at `target` what a crash after the first `count` effects may have left.
    pub fn lay_out(&self, count: usize, loss: &Loss, target: &Path) {
        let mut state = State::default();
        for effect in &self.log.lock().unwrap().effects[..count] {
            state.apply(effect);
        }
        // The root itself is not in question: without it there is simply no store.
        fs::create_dir(target).unwrap();
        fs::set_permissions(target, fs::Permissions::from_mode(0o700)).unwrap();
        state.lay_out(&self.root, loss, target);
    }

    fn log(&self, effect: impl FnOnce(&mut Log) -> Effect) {
        let mut log = self.log.lock().unwrap();
        let effect = effect(&mut log);
        log.effects.push(effect);
    }
}

impl Log {
    fn new_node(&mut self, metadata: &fs::Metadata) -> usize {
        self.next += 1;
        self.nodes.insert((metadata.dev(), metadata.ino()), self.next);
        self.next
    }

    fn node(&self, file: &File) -> usize {
        let metadata = file.metadata().unwrap();
        self.nodes[&(metadata.dev(), metadata.ino())]
    }
}

impl Disk for RecordingDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)?;
        let metadata = fs::metadata(path)?;
        self.log(|log| Effect::CreateDir { path: path.to_owned(), node: log.new_node(&metadata) });
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let file = RealDisk.create(path)?;
        let metadata = file.metadata()?;
        self.log(|log| Effect::Create { path: path.to_owned(), node: log.new_node(&metadata) });
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        RealDisk.open(path)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let written = RealDisk.write_at(file, bytes, offset)?;
        let bytes = bytes[..written].to_owned();
        self.log(|log| Effect::Write { node: log.node(file), offset, bytes });
        Ok(written)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        RealDisk.truncate(file, length)?;
        self.log(|log| Effect::Truncate { node: log.node(file), length });
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if self.forgets != Forgets::Syncs {
            self.log(|log| Effect::Sync { node: log.node(file) });
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.forgets != Forgets::DirectorySyncs {
            self.log(|_| Effect::SyncDir { path: path.to_owned() });
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)?;
        self.log(|_| Effect::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        RealDisk.unlink(path)?;
        self.log(|_| Effect::Unlink { path: path.to_owned() });
        Ok(())
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        RealDisk.set_mode(path, mode)
    }

    fn set_owner(&self, path: &Path, owner: u32) -> io::Result<()> {
        RealDisk.set_owner(path, owner)
    }
}

type Names = BTreeMap<PathBuf, usize>;

/// Names and bytes, as they are and as they are sure. Names are kept by directory.
#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, Names>,
    sure_names: BTreeMap<PathBuf, Names>,
    bytes: BTreeMap<usize, Vec<u8>>,
    sure_bytes: BTreeMap<usize, Vec<u8>>,
    directories: BTreeSet<usize>,
}

impl State {
    fn parent(&mut self, path: &Path) -> &mut Names {
        self.names.entry(path.parent().unwrap().to_owned()).or_default()
    }

    fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::CreateDir { path, node } => {
                self.directories.insert(*node);
                self.parent(path).insert(path.clone(), *node);
            }
            Effect::Create { path, node } => {
                self.bytes.insert(*node, Vec::new());
                self.parent(path).insert(path.clone(), *node);
            }
            Effect::Write { node, offset, bytes } => {
                let file = self.bytes.get_mut(node).unwrap();
                let start = usize::try_from(*offset).unwrap();
                file.resize(file.len().max(start + bytes.len()), 0);
                file[start..start + bytes.len()].copy_from_slice(bytes);
            }
            Effect::Truncate { node, length } => {
                self.bytes.get_mut(node).unwrap().resize(usize::try_from(*length).unwrap(), 0);
            }
            Effect::Sync { node } => {
                self.sure_bytes.insert(*node, self.bytes[node].clone());
            }
            Effect::SyncDir { path } => {
                let names = self.names.get(path).cloned().unwrap_or_default();
                self.sure_names.insert(path.clone(), names);
            }
            Effect::Rename { from, to } => {
                let node = self.parent(from).remove(from).unwrap();
                self.parent(to).insert(to.clone(), node);
            }
            Effect::Unlink { path } => {
                self.parent(path).remove(path);
            }
        }
    }

    fn lay_out(&self, directory: &Path, loss: &Loss, target: &Path) {
        let all = match loss {
            Loss::Nothing | Loss::Bytes => true,
            Loss::Everything => false,
            Loss::AllNamesBut(kept) => kept == directory,
        };
        let names = if all { &self.names } else { &self.sure_names };
        for (path, node) in names.get(directory).into_iter().flatten() {
            let target = target.join(path.file_name().unwrap());
            if self.directories.contains(node) {
                RealDisk.create_dir(&target).unwrap();
                self.lay_out(path, loss, &target);
                continue;
            }
            let bytes =
                if *loss == Loss::Nothing { &self.bytes } else { &self.sure_bytes }.get(node);
            fs::write(&target, bytes.cloned().unwrap_or_default()).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}
