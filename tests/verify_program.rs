//! `shale verify` as a script sees it: exit status, the same list whatever is done about it, and
//! nothing changed where nothing was asked for.

#![allow(clippy::unwrap_used)]

#[path = "support/images.rs"]
mod images;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use images::{TestImage, write_layout};
use shalefs::store::Store;

/// Exit status, what was found, what was said.
fn verify(root: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shale"));
    command.arg("--root").arg(root).arg("verify").args(arguments).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A store with an image, as a pull leaves it.
fn store(directory: &Path) -> Store {
    let layout = directory.join("layout");
    write_layout(&layout, &[(&TestImage::small("word"), "v1")]);
    let root = directory.join("s");
    let mut command = Command::new(env!("CARGO_BIN_EXE_shale"));
    command.arg("--root").arg(&root).args(["pull", "-q"]);
    command.arg(format!("oci:{}:v1", layout.display())).stdout(Stdio::null());
    assert!(command.status().unwrap().success());
    Store::open(&root).unwrap()
}

/// Flips a bit of the layer.
fn damage(store: &Store) {
    let image = store.images().unwrap().whole.remove(0);
    let path = store.root().join("blobs/sha256").join(image.layers[0].digest.hex());
    let blob = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    blob.read_exact_at(&mut byte, 40).unwrap();
    blob.write_all_at(&[byte[0] ^ 1], 40).unwrap();
}

#[test]
fn the_exit_status_tells_clean_from_damaged_from_not_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let root = store.root();
    assert_eq!(verify(root, &["--deep"]).0, 0);
    damage(&store);
    assert_eq!(verify(root, &[]).0, 0, "a flipped bit takes reading to find");
    let (status, found, _) = verify(root, &["--deep"]);
    assert_eq!(status, 1, "{found}");
    assert!(found.starts_with("blob-digest sha256:"), "{found}");
    let (status, _, said) = verify(root, &["no-such-image"]);
    assert_eq!(status, 2, "{said}");
    fs::write(root.join("format"), "{\"format\":99}").unwrap();
    let (status, _, said) = verify(root, &[]);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("format 99") && said.contains("hint: use a newer"), "{said}");
}

#[test]
fn a_dry_run_lists_the_same_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    damage(&store);
    fs::write(store.root().join("strange"), "x").unwrap();
    fs::write(store.root().join("ingest/.new-1-1"), "x").unwrap();
    let before = images::files(store.root());
    let keys = ["--format", "{{.Code}} {{.Object}} {{.Path}}"];
    let list = |more: &[&str]| verify(store.root(), &[&["--deep"], more, &keys[..]].concat()).1;
    let found = list(&[]);
    assert_eq!(found.lines().count(), 3, "{found}");
    assert_eq!(list(&["--repair", "--dry-run"]), found);
    assert_eq!(images::files(store.root()), before);
    assert_eq!(list(&["--repair"]), found);
    // Nobody knows any more where it came from: said in words, and the blob is still there.
    let (status, left, _) = verify(store.root(), &["--deep", "--repair"]);
    assert_eq!(status, 1);
    assert!(left.lines().count() == 1 && left.contains("pull or load it again"), "{left}");
}

#[test]
fn where_there_is_no_store_none_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("none");
    let (status, found, said) = verify(&root, &[]);
    assert_eq!((status, found.as_str()), (2, ""), "{said}");
    assert!(said.contains("there is no store"), "{said}");
    assert!(!root.exists());
}
