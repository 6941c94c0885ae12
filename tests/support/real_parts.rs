//! What the tests with real parts share: the corpus, a mount that always goes away, a registry.
//!
//! Every guard here undoes its work when dropped, so a failing test leaves neither a mount nor a
//! process; each ends only what it started. Nothing here knows what a test expects.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::ffi::OsStr;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use crate::support::require::{can_mount, not_run};

/// Runs a command to its end, asserts that it succeeded, and gives its standard output.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{error}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A `shale` command on the store in `store`.
pub fn shale(store: &TestDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shale"));
    command.arg("--root").arg(&store.path);
    command
}

/// A private directory in cargo's temporary directory, removed when dropped.
pub struct TestDir {
    pub path: PathBuf,
}

impl TestDir {
    pub fn new(name: &str) -> Self {
        let base = tempfile::Builder::new().prefix(name).tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        Self { path: base.expect("a temporary directory").keep() }
    }

    /// In memory where there is room: for tests that make many.
    pub fn quick(name: &str) -> Self {
        match tempfile::Builder::new().prefix(name).tempdir_in("/dev/shm") {
            Ok(base) => Self { path: base.keep() },
            Err(_) => Self::new(name),
        }
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        // Never across a mount that could not be undone.
        let _ = Command::new("rm").args(["-rf", "--one-file-system"]).arg(&self.path).status();
    }
}

/// The images that scripts/corpus makes, and leave to mount them.
pub struct Corpus {
    dir: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Corpus {
    /// The corpus, when this machine can run tests on it. Otherwise says loudly why not and gives
    /// `None`; with `CI` set that is a failure.
    pub fn find() -> Option<Self> {
        let _alone = can_mount()?;
        let dir = std::env::var_os("SHALE_CORPUS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus"),
            PathBuf::from,
        );
        if dir.join("key.small").exists() {
            return Some(Self { dir, _alone });
        }
        let reason = format!("no corpus in {}, scripts/corpus makes it", dir.display());
        not_run(&reason);
        None
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The image `tag` as `oci:DIR:TAG`.
    pub fn oci(&self, tag: &str) -> String {
        format!("oci:{}:{tag}", self.path("oci").display())
    }

    /// The tree that another tool unpacked from `tag`.
    pub fn reference(&self, tag: &str) -> PathBuf {
        self.dir.join("unpacked").join(tag).join("rootfs")
    }
}

/// A mounted directory, unmounted when dropped.
pub struct MountedDir {
    pub dir: PathBuf,
}

impl Drop for MountedDir {
    fn drop(&mut self) {
        if is_mounted(&self.dir) {
            let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
        }
    }
}

/// mount(8) with `arguments` on `dir`, which is made.
pub fn mount(arguments: &[&str], dir: &Path) -> MountedDir {
    fs::create_dir(dir).expect("a new mount point");
    run(Command::new("mount").args(arguments).arg(dir));
    MountedDir { dir: dir.into() }
}

fn is_mounted(dir: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().any(|line| line.split(' ').nth(4).map(OsStr::new) == Some(dir.as_os_str()))
}

/// An image mounted by `shale mount`; unmounted by `shale umount` when dropped.
pub struct Mounted<'a> {
    pub dir: PathBuf,
    store: &'a TestDir,
    _fallback: MountedDir,
}

impl<'a> Mounted<'a> {
    pub fn new(store: &'a TestDir, image: &str) -> Self {
        Self::with(store, image, &[])
    }

    pub fn with(store: &'a TestDir, image: &str, options: &[&str]) -> Self {
        let dir = store.path.with_extension("mnt");
        fs::create_dir(&dir).expect("a new mount point");
        let mounted = Self { dir: dir.clone(), store, _fallback: MountedDir { dir: dir.clone() } };
        run(shale(store).arg("mount").args(options).arg(image).arg(&dir).stdin(Stdio::null()));
        assert!(is_mounted(&dir), "shale mount returned, and nothing is mounted");
        mounted
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let gone = shale(self.store).arg("umount").arg(&self.dir).status();
        let clean = gone.is_ok_and(|status| status.success()) && !is_mounted(&self.dir);
        if is_mounted(&self.dir) {
            let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
        }
        let _ = fs::remove_dir(&self.dir);
        assert!(clean || std::thread::panicking(), "shale umount did not unmount");
    }
}

/// Debian's docker-registry on loopback, ended when dropped.
pub struct Registry {
    pub address: String,
    process: Child,
}

impl Registry {
    /// Starts one that keeps its blobs in `data`, and waits until it answers.
    pub fn start(data: &TestDir) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port").to_string();
        let config = data.path.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}/data}}}}\nhttp: {{addr: \"{address}\"}}\n",
            data.path.display()
        );
        fs::write(&config, text).expect("the registry's configuration");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry (Debian's package of that name)");
        let registry = Self { address, process };
        let start = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the registry does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
