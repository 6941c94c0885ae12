//! A store with one small image, a mount point, and the program to bring them together.

#![allow(dead_code, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use shalefs::fuse;
use shalefs::store::{MountRecord, Store};
use shalefs::sys::{mountinfo, process};

use crate::support::images::{TestImage, TestLayer};

/// The image's reference.
pub const IMAGE: &str = "docker.io/library/sample:1";

/// What a run of the program said.
#[derive(Debug)]
pub struct Said {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// A temporary directory that everybody may enter, with a store and an empty directory to mount
/// on. When dropped, whatever it mounted is unmounted and its servers are ended, also when the
/// test fails.
#[derive(Debug)]
pub struct Bench {
    top: tempfile::TempDir,
    /// Where `mount` mounts.
    pub dir: PathBuf,
    /// Words before the program: other rights, another namespace.
    pub prefix: Vec<String>,
}

impl Bench {
    pub fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let dir = top.path().canonicalize().unwrap().join("mnt");
        fs::create_dir(&dir).unwrap();
        let bench = Self { top, dir, prefix: Vec::new() };
        let layer = TestLayer::of(&[("etc/word", b"sample\n"), ("other", b"x")]);
        TestImage::new(vec![layer], "sample").put(&bench.store(), Some(IMAGE));
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.top.path().canonicalize().unwrap().join(name)
    }

    pub fn store(&self) -> Store {
        Store::open(&self.path("store")).unwrap()
    }

    /// The program on this store. A copy of it, where a normal user can reach it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = self.path("shale");
        if !program.exists() {
            let built = env!("CARGO_BIN_EXE_shale");
            fs::hard_link(built, &program)
                .or_else(|_| fs::copy(built, &program).map(drop))
                .unwrap();
        }
        let words = self.prefix.iter().map(PathBuf::from).chain([program]);
        let words: Vec<PathBuf> = words.collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("--root").arg(self.path("store")).args(arguments);
        command.env("HOME", self.path("")).stdin(Stdio::null());
        command
    }

    pub fn shale(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().unwrap();
        Said {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn directory(&self) -> &str {
        self.dir.to_str().unwrap()
    }

    pub fn try_mount(&self, options: &[&str]) -> Said {
        self.shale(&[&["mount"], options, &[IMAGE, self.directory()]].concat())
    }

    pub fn mount(&self) -> MountRecord {
        let said = self.try_mount(&[]);
        assert!(said.success, "{}", said.stderr);
        self.record()
    }

    pub fn umount(&self) -> Said {
        self.shale(&["umount", self.directory()])
    }

    /// The records, read past the store: it may be another user's.
    pub fn records(&self) -> Vec<MountRecord> {
        let files = fs::read_dir(self.path("store/mounts")).into_iter().flatten().flatten();
        let paths =
            files.map(|file| file.path()).filter(|path| path.extension() == Some("json".as_ref()));
        paths.filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect()
    }

    /// The record of the mount on `dir`.
    pub fn record(&self) -> MountRecord {
        let mut records = self.records().into_iter();
        records.find(|record| record.mountpoint == self.dir).expect("a record")
    }

    pub fn is_mounted(&self) -> bool {
        mountinfo::at(&self.dir).unwrap().is_some()
    }

    /// Starts a mount that stays in the foreground, and waits until it answers.
    pub fn start_foreground(&self) -> (Child, MountRecord) {
        let child = self.command(&["mount", "--foreground", IMAGE, self.directory()]).spawn();
        wait_for("the foreground server", || !self.records().is_empty());
        (child.unwrap(), self.record())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for record in self.records() {
            let _ = fuse::detach(&record.mountpoint, true);
            if !is_gone(&record) {
                kill(&record, Signal::KILL);
            }
        }
        let _ = fuse::detach(&self.dir, true);
    }
}

/// Sends a signal to a server that a test started.
pub fn kill(record: &MountRecord, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(record.pid).unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}

pub fn is_gone(record: &MountRecord) -> bool {
    process::start_time(record.pid) != Some(record.start_time)
}

/// Waits until `done`, and fails the test when that takes too long.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many names a directory has.
pub fn names(directory: &Path) -> std::io::Result<usize> {
    fs::read_dir(directory).map(Iterator::count)
}
