//! Commands in an image of busybox and what a test puts beside it, as root and as a normal user.
//!
//! The user is `nobody`, with a range of subordinate users. /dev/fuse, /etc/subuid and /etc/subgid are
//! the test's own, in a mount namespace of its own, so nothing on the machine is changed.

#![allow(dead_code, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::elf;
use crate::support::images::{TestImage, TestLayer};
use crate::support::program::Bench;
use crate::support::require::has;

pub const IMAGE: &str = "docker.io/library/inside:1";

/// The user of [`Caller::User`].
const NOBODY: u32 = 65534;

/// Who runs `shale chroot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    Root,
    User,
}

pub const BOTH: [Caller; 2] = [Caller::Root, Caller::User];

/// What a run said.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// An entry of the image.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    File(&'a [u8], u32),
    Directory,
    Link(&'a str),
    /// A character device.
    Device(u32, u32),
    Pipe,
}

/// A file that everybody may read.
pub fn file(bytes: &[u8]) -> Entry<'_> {
    Entry::File(bytes, 0o644)
}

/// A store with an image, and a directory of the host beside it.
pub struct Inside {
    bench: Bench,
    caller: Caller,
}

const APPLETS: [&str; 18] = [
    "cat", "chown", "echo", "grep", "head", "id", "ls", "mkdir", "mknod", "pwd", "readlink", "rm",
    "sh", "stat", "test", "touch", "wc", "true",
];

impl Inside {
    /// `None`, said loudly, where busybox is not installed.
    pub fn new(caller: Caller, entries: &[(&str, Entry<'_>)]) -> Option<Self> {
        Self::with_config(caller, entries, &serde_json::json!({}))
    }

    /// The same with what the image's config says of its command.
    pub fn with_config(
        caller: Caller,
        entries: &[(&str, Entry<'_>)],
        config: &Value,
    ) -> Option<Self> {
        if !has("busybox") {
            return None;
        }
        let paths = std::env::var_os("PATH").unwrap();
        let busybox = std::env::split_paths(&paths).map(|path| path.join("busybox"));
        let busybox = fs::read(busybox.into_iter().find(|path| path.exists()).unwrap()).unwrap();
        let euid = elf::exits_with_euid();
        let mut all = vec![
            ("bin/busybox", Entry::File(&busybox, 0o755)),
            ("tmp", Entry::Directory),
            ("euid", Entry::File(&euid, 0o755)),
            ("suid", Entry::File(&euid, 0o4755)),
        ];
        let applets = APPLETS.map(|applet| format!("bin/{applet}"));
        all.extend(applets.iter().map(|applet| (applet.as_str(), Entry::Link("busybox"))));
        all.extend(entries);
        let bench = Bench::new();
        let image = TestImage::with_wishes(vec![layer(&all)], config);
        image.put(&bench.store(), Some(IMAGE));
        let inside = Self { bench, caller };
        fs::create_dir(inside.path("host")).unwrap();
        fs::write(inside.path("host/here"), "host\n").unwrap();
        drop(inside.bench.command(&[]));
        if caller == Caller::User {
            give(&inside.path(""));
        }
        Some(inside)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.bench.path(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// What is in the directory of the host.
    pub fn host(&self) -> Vec<String> {
        names(&self.path("host"))
    }

    /// `shale WORDS` as the caller. Whoever starts it has left open: the host's directory as 7, a file
    /// in it as 8.
    pub fn command(&self, words: &[&str]) -> Command {
        let run = "exec 7<\"$top/host\" 8<\"$top/host/here\"; exec \"$top/shale\" --root \"$top/store\" \"$@\"";
        let mut command = match self.caller {
            Caller::Root => Command::new("sh"),
            Caller::User => {
                let script = "set -e; mkdir -p \"$top/dev\"; mount -t tmpfs -o mode=755 none \"$top/dev\"
                    mknod -m 0666 \"$top/dev/fuse\" c 10 229; mount --bind \"$top/dev/fuse\" /dev/fuse
                    echo nobody:200000:65536 >\"$top/dev/range\"; touch /etc/subuid /etc/subgid
                    mount --bind \"$top/dev/range\" /etc/subuid
                    mount --bind \"$top/dev/range\" /etc/subgid
                    cd /; exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \"$@\"";
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-c", script, "sh", "sh"]);
                command
            }
        };
        command.args(["-c", run, "sh"]).args(words).env("top", self.path(""));
        command.env("HOME", self.path("")).stdin(Stdio::null());
        command
    }

    pub fn shale(&self, words: &[&str]) -> Ran {
        ran(&mut self.command(words))
    }

    /// `shale chroot OPTIONS IMAGE COMMAND`
    pub fn chroot(&self, options: &[&str], command: &[&str]) -> Ran {
        self.shale(&chroot(options, command))
    }

    /// The same of a script.
    pub fn sh(&self, options: &[&str], script: &str) -> Ran {
        self.chroot(options, &["sh", "-c", script])
    }
}

/// The words of a run in the image.
pub fn chroot<'a>(options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    [&["chroot", "--pull", "never"], options, &[IMAGE, "--"], command].concat()
}

pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    Ran { code, out: text(output.stdout), err: text(output.stderr) }
}

/// The names in a directory, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Permissions of a file of the host.
pub fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

/// Gives a tree to the user, but for the program, which may have another name elsewhere.
fn give(path: &Path) {
    if path.ends_with("shale") {
        return;
    }
    lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path()));
    }
}

fn layer(entries: &[(&str, Entry<'_>)]) -> TestLayer {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, entry) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o755);
        match entry {
            Entry::File(bytes, mode) => {
                header.set_size(bytes.len() as u64);
                header.set_mode(*mode);
                builder.append_data(&mut header, name, *bytes).unwrap();
                continue;
            }
            Entry::Directory => header.set_entry_type(tar::EntryType::Directory),
            Entry::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, name, target).unwrap();
                continue;
            }
            Entry::Device(major, minor) => {
                header.set_entry_type(tar::EntryType::Char);
                header.set_mode(0o666);
                header.set_device_major(*major).unwrap();
                header.set_device_minor(*minor).unwrap();
            }
            Entry::Pipe => header.set_entry_type(tar::EntryType::Fifo),
        }
        builder.append_data(&mut header, name, &[][..]).unwrap();
    }
    TestLayer::of_tar(&builder.into_inner().unwrap())
}
