//! An image of the shells of this machine, with the libraries that they need and busybox for the
//! rest, so that tests of terminals need no image from elsewhere.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::images::{TestImage, TestLayer};
use super::program::Bench;
use super::require::has;

/// The image's reference.
pub const SHELLS: &str = "docker.io/library/shells:1";

/// Packages of the same names, but for busybox-static.
const PROGRAMS: [&str; 4] = ["busybox", "dash", "bash", "zsh"];

/// What busybox is called as.
const APPLETS: [&str; 28] = [
    "sh", "cat", "ls", "id", "sleep", "stty", "tty", "touch", "df", "du", "stat", "dd", "hostname",
    "head", "tail", "true", "kill", "nice", "pwd", "grep", "mount", "cut", "sort", "wc", "cp",
    "rm", "mkdir", "chmod",
];

/// A store with that image, if the machine has the shells.
pub fn bench(wishes: &serde_json::Value) -> Option<Bench> {
    if !PROGRAMS.iter().all(|program| has(program)) {
        return None;
    }
    let bench = Bench::new();
    let layers = vec![busybox(), shells()];
    TestImage::with_wishes(layers, wishes).put(&bench.store(), Some(SHELLS));
    Some(bench)
}

/// A layer with busybox under the names of its applets, users and groups.
pub fn busybox() -> TestLayer {
    let mut builder = tar::Builder::new(Vec::new());
    for name in ["bin/", "etc/", "root/", "tmp/", "srv/"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(if name == "tmp/" { 0o1777 } else { 0o755 });
        builder.append_data(&mut header, name, &b""[..]).unwrap();
    }
    add(&mut builder, "bin/busybox", &fs::read(find("busybox")).unwrap());
    for name in APPLETS {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        builder.append_link(&mut header, format!("bin/{name}"), "busybox").unwrap();
    }
    let passwd = "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/srv:/bin/sh\n\
        nobody:x:65534:65534::/:/bin/sh\n";
    add(&mut builder, "etc/passwd", passwd.as_bytes());
    let group = "root:x:0:\napp:x:1001:\nvideo:x:44:app\nextra:x:55:\nnogroup:x:65534:\n";
    add(&mut builder, "etc/group", group.as_bytes());
    TestLayer::of_tar(&builder.into_inner().unwrap())
}

/// A layer with the other shells.
fn shells() -> TestLayer {
    let mut builder = tar::Builder::new(Vec::new());
    let mut libraries = BTreeSet::new();
    for name in &PROGRAMS[1..] {
        let program = find(name);
        add(&mut builder, &format!("bin/{name}"), &fs::read(&program).unwrap());
        let listed = Command::new("ldd").arg(&program).output().unwrap().stdout;
        let listed = String::from_utf8(listed).unwrap();
        let words = listed.split_whitespace().filter(|word| word.starts_with('/'));
        libraries.extend(words.map(PathBuf::from));
    }
    for library in libraries {
        let name = library.display().to_string();
        add(&mut builder, name.trim_start_matches('/'), &fs::read(&library).unwrap());
    }
    TestLayer::of_tar(&builder.into_inner().unwrap())
}

fn add(builder: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o755);
    builder.append_data(&mut header, name, bytes).unwrap();
}

fn find(program: &str) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&paths).map(|folder| folder.join(program));
    all.map(|path| path.canonicalize().unwrap_or(path)).find(|path| Path::exists(path)).unwrap()
}
