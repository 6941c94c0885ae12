//! Two directory trees compared node by node: everything that `lstat`, `readlink`, `read` and the
//! extended attributes say, and which names are one file.
//!
//! Guarantees that two trees without a difference cannot be told apart by a program that only reads,
//! except through inode numbers, access and change times, directory sizes and directory link counts
//! (those belong to the file system, not to the image). Differences that are right all the same stand in
//! `accepted_differences.txt` with a reason; one that is not listed fails, and so does a row of the
//! list that no longer occurs. Knows nothing of Shale.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What one name in a tree is, field by field as it is printed in a difference.
type Node = BTreeMap<&'static str, String>;

/// Paths relative to the root; the root itself is the empty path.
pub type Tree = BTreeMap<Vec<u8>, Node>;

/// One field of one path that is not the same in both trees.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Relative path.
    pub path: String,
    /// Which field, or `presence`.
    pub field: &'static str,
    /// What the first tree says.
    pub left: String,
    /// What the second tree says.
    pub right: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {} | {}", self.path, self.field, self.left, self.right)
    }
}

/// Reads a whole tree, contents included.
pub fn read_tree(root: &Path) -> io::Result<Tree> {
    let mut tree = Tree::new();
    let mut first_names = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(relative) = waiting.pop() {
        let path = if relative.as_os_str().is_empty() { root.into() } else { root.join(&relative) };
        let about = |e| io::Error::other(format!("{}: {e}", path.display()));
        let metadata = path.symlink_metadata().map_err(about)?;
        let mut node = describe(&path, &metadata).map_err(about)?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).map_err(about)? {
                waiting.push(relative.join(entry.map_err(about)?.file_name()));
            }
        } else {
            let names =
                first_names.entry((metadata.dev(), metadata.ino())).or_insert_with(Vec::new);
            names.push(relative.clone());
            node.insert("links", metadata.nlink().to_string());
        }
        tree.insert(relative.into_os_string().into_vec(), node);
    }
    for names in first_names.into_values().filter(|names| names.len() > 1) {
        let first = names.iter().min().expect("more than one name").display().to_string();
        for name in names {
            let node = tree.get_mut(name.as_os_str().as_bytes()).expect("it was just put there");
            node.insert("same file as", first.clone());
        }
    }
    Ok(tree)
}

fn describe(path: &Path, metadata: &fs::Metadata) -> io::Result<Node> {
    let kind = metadata.file_type();
    let mut node = Node::new();
    let name = match () {
        () if kind.is_dir() => "directory",
        () if kind.is_file() => "file",
        () if kind.is_symlink() => "symlink",
        () if kind.is_char_device() => "character device",
        () if kind.is_block_device() => "block device",
        () if kind.is_fifo() => "fifo",
        () => "socket",
    };
    node.insert("type", name.to_string());
    node.insert("mode", format!("{:04o}", metadata.mode() & 0o7777));
    node.insert("owner", format!("{}:{}", metadata.uid(), metadata.gid()));
    node.insert("mtime", format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec()));
    if kind.is_file() || kind.is_symlink() {
        node.insert("size", metadata.size().to_string());
    }
    if kind.is_file() {
        node.insert("content", content(path)?);
    }
    if kind.is_symlink() {
        let target = fs::read_link(path)?;
        node.insert("target", target.as_os_str().as_bytes().escape_ascii().to_string());
    }
    if kind.is_char_device() || kind.is_block_device() {
        let (major, minor) =
            (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
        node.insert("device", format!("{major}:{minor}"));
    }
    node.insert("xattrs", xattrs(path)?);
    Ok(node)
}

/// Size as read and digest of the bytes.
fn content(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let (mut buffer, mut total) = (vec![0; 128 * 1024], 0);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(format!("{total} bytes {}", hasher.finalize().to_hex()));
        }
        hasher.update(&buffer[..count]);
        total += count;
    }
}

/// All of them with their values; a security label of this machine is not the image's.
fn xattrs(path: &Path) -> io::Result<String> {
    let mut names = Vec::with_capacity(64 * 1024);
    match rustix::fs::llistxattr(path, rustix::buffer::spare_capacity(&mut names)) {
        Ok(_) => {}
        // A file system that has none at all.
        Err(rustix::io::Errno::NOTSUP) => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    }
    let mut all = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name == b"security.selinux" {
            continue;
        }
        let mut value = Vec::with_capacity(64 * 1024);
        rustix::fs::lgetxattr(path, name, rustix::buffer::spare_capacity(&mut value))?;
        all.push(format!("{}={}", name.escape_ascii(), value.escape_ascii()));
    }
    all.sort();
    Ok(all.join(" "))
}

/// Every field that differs, in path order.
pub fn differences(left: &Tree, right: &Tree) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |path: &[u8], field, left: Option<&String>, right: Option<&String>| {
        let text = |side: Option<&String>| side.map_or("-".to_string(), String::clone);
        let path = path.escape_ascii().to_string();
        found.push(Difference { path, field, left: text(left), right: text(right) });
    };
    for (path, node) in left {
        let Some(other) = right.get(path) else {
            add(path, "presence", node.get("type"), None);
            continue;
        };
        let fields = node.keys().chain(other.keys().filter(|field| !node.contains_key(*field)));
        for field in fields.filter(|field| node.get(*field) != other.get(*field)) {
            add(path, field, node.get(field), other.get(field));
        }
    }
    for (path, node) in right.iter().filter(|(path, _)| !left.contains_key(*path)) {
        add(path, "presence", None, node.get("type"));
    }
    found
}

/// Takes the accepted differences of `image` out of `found`; what is left, and what the list has in
/// vain, comes back as lines to print. A row of the list is `IMAGE | FIELD | PATH | REASON`, where a
/// `*` at the end of PATH stands for any rest.
pub fn unaccepted(list: &str, image: &str, found: &[Difference]) -> Vec<String> {
    let rows: Vec<Vec<&str>> = list
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| line.split(" | ").map(str::trim).collect())
        .collect();
    let accepts = |row: &[&str], difference: &Difference| match row {
        [of, field, path, reason] => {
            *of == image
                && *field == difference.field
                && !reason.is_empty()
                && path
                    .strip_suffix('*')
                    .map_or(*path == difference.path, |start| difference.path.starts_with(start))
        }
        _ => false,
    };
    let unknown =
        found.iter().filter(|difference| !rows.iter().any(|row| accepts(row, difference)));
    let in_vain = rows
        .iter()
        .filter(|row| row.len() != 4 || row[0] == image)
        .filter(|row| !found.iter().any(|difference| accepts(row, difference)));
    unknown
        .map(Difference::to_string)
        .chain(in_vain.map(|row| format!("accepted, but does not occur: {}", row.join(" | "))))
        .collect()
}
