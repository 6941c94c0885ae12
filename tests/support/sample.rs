//! Small hand-made images for tests: entries, the bytes behind them, and a mount in this process.

#![allow(clippy::cast_possible_truncation, reason = "sizes of samples fit")]
#![allow(dead_code)]

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shalefs::content::ContentError;
use shalefs::fs::{FileBytes, ImageFs, View};
use shalefs::fuse::{self, MountOptions, MountPoint, Session};
use shalefs::layer::{ContentId, Entry, Extent, Kind, Time};
use shalefs::limits::Limits;
use shalefs::oci::{ChainId, Digest};
use shalefs::tree::{FileData, ImageTree, Merger, Whiteouts, table};
use tempfile::TempDir;

/// An image of one layer in the making.
#[derive(Debug, Default, Clone)]
pub struct Sample {
    entries: Vec<Entry>,
    tar: Vec<u8>,
}

impl Sample {
    /// A root directory and nothing in it.
    pub fn new() -> Self {
        let mut sample = Self::default();
        sample.push("", Kind::Directory, 0o755);
        sample
    }

    fn push(&mut self, path: impl AsRef<[u8]>, kind: Kind, mode: u16) -> &mut Entry {
        self.entries.push(Entry {
            path: path.as_ref().to_vec(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: Time { seconds: 1_600_000_000, nanos: 123_456_789 },
            size: 0,
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            data_offset: 0,
            sparse: None,
            content: ContentId([0; 32]),
        });
        self.last()
    }

    /// The entry made last, to change what it says.
    pub fn last(&mut self) -> &mut Entry {
        self.entries.last_mut().expect("there is a root")
    }

    /// A directory.
    pub fn dir(&mut self, path: impl AsRef<[u8]>) -> &mut Entry {
        self.push(path, Kind::Directory, 0o755)
    }

    /// A file with `bytes`.
    pub fn file(&mut self, path: impl AsRef<[u8]>, bytes: &[u8]) -> &mut Entry {
        let offset = self.tar.len() as u64;
        self.tar.extend_from_slice(bytes);
        let entry = self.push(path, Kind::File, 0o644);
        entry.data_offset = offset;
        entry.size = bytes.len() as u64;
        entry.content = ContentId(*blake3::hash(bytes).as_bytes());
        entry
    }

    /// A sparse file of `size` bytes with these runs.
    pub fn sparse(&mut self, path: &str, size: u64, runs: &[(u64, &[u8])]) -> &mut Entry {
        let stored: Vec<u8> = runs.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let map = runs
            .iter()
            .map(|(offset, bytes)| Extent { offset: *offset, length: bytes.len() as u64 });
        let map = map.collect();
        let entry = self.file(path, &stored);
        entry.size = size;
        entry.sparse = Some(map);
        entry
    }

    /// A symlink.
    pub fn symlink(&mut self, path: &str, text: impl AsRef<[u8]>) -> &mut Entry {
        let entry = self.push(path, Kind::Symlink, 0o777);
        entry.link = text.as_ref().to_vec();
        entry
    }

    /// Another name of `target`.
    pub fn hard_link(&mut self, path: &str, target: &str) -> &mut Entry {
        // Attributes are the last header's: those of the target.
        let found = self.entries.iter().find(|entry| entry.path == target.as_bytes());
        let mut entry = found.expect("the target is there").clone();
        entry.path = path.into();
        entry.kind = Kind::HardLink;
        entry.link = target.into();
        entry.size = 0;
        self.entries.push(entry);
        self.last()
    }

    /// A device or pipe.
    pub fn special(&mut self, path: &str, kind: Kind, device: (u32, u32)) -> &mut Entry {
        let entry = self.push(path, kind, 0o600);
        entry.device = device;
        entry
    }

    /// The image's tree.
    pub fn tree(&self) -> ImageTree {
        let chain = ChainId(Digest::sha256(b"sample"));
        let file = self.table(chain);
        ImageTree::open(file, chain).expect("a table just written")
    }

    /// The image's table as a file.
    pub fn table(&self, chain: ChainId) -> File {
        let mut merger = Merger::new(Limits::DEFAULT);
        let entries = || Ok::<_, io::Error>(self.entries.iter().cloned().map(Ok::<_, io::Error>));
        merger.layer(Whiteouts::None, entries).expect("entries that fit together");
        let merged = merger.finish();
        let mut file = tempfile::tempfile().expect("a temporary file");
        table::write(&merged, chain, &mut file).expect("a writable file");
        file
    }

    /// The image's bytes.
    pub fn bytes(&self) -> Memory {
        Memory { tar: self.tar.clone(), damaged: None }
    }

    /// The image as a file system.
    pub fn fs(&self) -> ImageFs<Memory> {
        ImageFs::new(self.tree(), self.bytes(), View::default())
    }
}

/// A layer's bytes in memory.
#[derive(Debug)]
pub struct Memory {
    tar: Vec<u8>,
    /// Reads of content at this offset fail.
    pub damaged: Option<u64>,
}

impl FileBytes for Memory {
    fn read(
        &self,
        file: &FileData,
        offset: u64,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ContentError> {
        if self.damaged == Some(file.data_offset) {
            let what = "planted".to_owned();
            return Err(ContentError::Damaged { blob: Digest::sha256(b"layer"), what });
        }
        let plain = [Extent { offset: 0, length: file.size }];
        let runs = file.sparse.as_deref().unwrap_or(&plain);
        let mut whole = vec![0; file.size as usize];
        let mut from = file.data_offset as usize;
        for run in runs {
            let length = run.length as usize;
            whole[run.offset as usize..][..length].copy_from_slice(&self.tar[from..][..length]);
            from += length;
        }
        out.extend(whole.iter().skip(offset as usize).take(length));
        Ok(())
    }
}

/// A sample mounted and served by threads of this process. Unmounts when dropped, also when the
/// test fails.
#[derive(Debug)]
pub struct Mounted {
    pub fs: Arc<ImageFs<Memory>>,
    path: PathBuf,
    server: Option<JoinHandle<io::Result<()>>>,
    /// Removed last.
    _dir: Option<TempDir>,
}

impl Mounted {
    pub fn new(sample: &Sample) -> Self {
        Self::of(sample.fs(), &MountOptions { source: "sample:1".into(), ..Default::default() })
    }

    pub fn of(fs: ImageFs<Memory>, options: &MountOptions) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().canonicalize().expect("it was just made");
        let point = MountPoint::find(&path).expect("an empty directory");
        point.check_usable().expect("an empty directory");
        Self::at(path, Some(dir), fs, options)
    }

    /// On top of another mount.
    pub fn over(below: &Self, sample: &Sample) -> Self {
        let options = MountOptions { source: "upper".into(), ..Default::default() };
        Self::at(below.path.clone(), None, sample.fs(), &options)
    }

    fn at(path: PathBuf, dir: Option<TempDir>, fs: ImageFs<Memory>, how: &MountOptions) -> Self {
        let point = MountPoint::find(&path).expect("a directory");
        let connection = fuse::attach(&point, how).expect("root may mount");
        drop(point);
        let fs = Arc::new(fs);
        let mut mounted = Self { fs: Arc::clone(&fs), path, server: None, _dir: dir };
        let session = Session::start(fs, connection, 3).expect("the kernel agrees");
        mounted.server = Some(std::thread::spawn(|| session.serve()));
        mounted
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Unmounts and waits until the server has ended.
    pub fn unmount(mut self) -> io::Result<()> {
        fuse::detach(&self.path, false).expect("nobody uses it");
        self.server.take().expect("it was started").join().expect("no panic")
    }

    /// Whether the server ends by itself before `limit`.
    pub fn ends_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.server.as_ref().is_some_and(|server| !server.is_finished()) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.server = None;
        true
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.server.is_some() {
            // Lazily, so that nothing that a failed test left open can keep it.
            let _ = fuse::detach(&self.path, true);
        }
    }
}
