//! `shale verify` as a script sees it: exit status, the same list whatever is done about it, and
//! nothing changed where nothing was asked for.

#![allow(clippy::unwrap_used)]

use crate::support::images;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::images::{TestImage, write_layout};
use crate::support::require::is_root;
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
    assert_eq!(status, 4, "{said}");
    fs::write(root.join("format"), "{\"format\":99}").unwrap();
    let (status, _, said) = verify(root, &[]);
    assert_eq!(status, 4, "{said}");
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
    assert_eq!((status, found.as_str()), (4, ""), "{said}");
    assert!(said.contains("there is no store"), "{said}");
    assert!(!root.exists());
}

/// Damages a whole store: found once, repaired once, then clean.
fn heals(what: &str, found: &str, damage: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let root = store.root();
    damage(root);
    let (status, list, said) = verify(root, &[]);
    assert_eq!(status, 1, "{what}: {list}{said}");
    assert!(list.lines().count() == 1 && list.starts_with(found), "{what}: {list}");
    let (status, list, said) = verify(root, &["--repair"]);
    assert_eq!(status, 0, "{what}: {list}{said}");
    assert!(list.ends_with(": repaired\n"), "{what}: {list}");
    let (status, list, said) = verify(root, &["--deep"]);
    assert_eq!((status, list.as_str()), (0, ""), "{what}: {said}");
    let layout = fs::read_to_string(root.join("oci-layout")).unwrap();
    assert_eq!(layout, r#"{"imageLayoutVersion":"1.0.0"}"#, "{what}");
    assert!(root.join("lock").is_file(), "{what}");
    assert_eq!(Store::open(root).unwrap().images().unwrap().whole.len(), 1, "{what}");
}

#[test]
fn what_tells_a_store_from_another_directory_is_written_again() {
    let layout = |bytes: &'static str| move |root: &Path| fs::write(root.join("oci-layout"), bytes);
    heals("no oci-layout", "layout-damaged oci-layout oci-layout: ", |root| {
        fs::remove_file(root.join("oci-layout")).unwrap();
    });
    heals("another version", "layout-damaged oci-layout ", |root| {
        layout(r#"{"imageLayoutVersion":"9"}"#)(root).unwrap();
    });
    heals("an empty oci-layout", "layout-damaged oci-layout ", |root| layout("")(root).unwrap());
    heals("a directory", "not-a-file oci-layout ", |root| {
        fs::remove_file(root.join("oci-layout")).unwrap();
        fs::create_dir(root.join("oci-layout")).unwrap();
    });
    heals("no format", "layout-damaged format format: ", |root| {
        fs::remove_file(root.join("format")).unwrap();
    });
    heals("an empty format", "layout-damaged format format: ", |root| {
        fs::write(root.join("format"), "").unwrap();
    });
    heals("a directory for the lock", "not-a-file lock lock: a directory", |root| {
        fs::remove_file(root.join("lock")).unwrap();
        fs::create_dir(root.join("lock")).unwrap();
    });
}

#[test]
fn a_store_without_its_format_is_for_verify_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    fs::remove_file(store.root().join("format")).unwrap();
    let before = images::files(store.root());
    let mut command = Command::new(env!("CARGO_BIN_EXE_shale"));
    let output = command.arg("--root").arg(store.root()).arg("ls").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("/format is damaged: it is missing"), "{said}");
    assert!(said.contains("hint: `shale verify --repair`"), "{said}");
    assert_eq!(images::files(store.root()), before, "nothing is changed");
    // Another tool's layout has none of the other directories: it is nobody's to repair.
    let layout = directory.path().join("layout");
    fs::set_permissions(&layout, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let (status, _, said) = verify(&layout, &["--repair"]);
    assert!(status == 4 && said.contains("is neither empty nor a store"), "{said}");
    assert!(!layout.join("format").exists());
}

#[test]
fn root_takes_back_what_belongs_to_another_user() {
    if !is_root() {
        return;
    }
    for path in ["blobs/sha256", "index.json", "lock"] {
        heals(path, "wrong-owner ", |root| chown(root.join(path), Some(65534), None).unwrap());
    }
    heals("a blob", "wrong-owner ", |root| {
        let blob = fs::read_dir(root.join("blobs/sha256")).unwrap().next().unwrap().unwrap();
        chown(blob.path(), Some(65534), None).unwrap();
        assert_eq!(blob.metadata().unwrap().uid(), 65534);
    });
}

#[test]
fn a_symlink_for_the_blobs_is_a_persons_to_replace() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(store.root().join("blobs"), &elsewhere).unwrap();
    symlink(&elsewhere, store.root().join("blobs")).unwrap();
    let (status, found, _) = verify(store.root(), &["--repair"]);
    assert_eq!(status, 1);
    assert!(found.starts_with("not-a-file blobs blobs: a symlink, not a directory"), "{found}");
    assert!(found.contains("left: put the file or directory itself"), "{found}");
    assert!(elsewhere.join("sha256").is_dir());
}
