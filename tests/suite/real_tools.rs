//! Images made by real tools, mounted, and compared with what other real tools make of them.
//!
//! The images are scripts/corpus's, in `$SHALE_CORPUS` or `target/corpus`. The reference trees in it
//! were unpacked by umoci (and one by GNU tar). Needs root, /dev/fuse, umoci, skopeo and
//! docker-registry; says so when it cannot run, and fails instead when `CI` is set. Whatever a test
//! mounts or starts is unmounted and stopped when the test ends, also when it fails.

#![allow(clippy::unwrap_used)]

use crate::support::real_parts;
use crate::support::require;
use crate::support::tree_compare;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::podman::Podman;
use crate::support::real_parts::{Corpus, Mounted, Registry, TestDir, run, shale};
use crate::support::tree_compare::{differences, read_tree, unaccepted};

const ACCEPTED: &str = include_str!("../accepted_differences.txt");

/// Mounts `image` and compares it with the reference tree of `like`.
fn assert_same_tree(corpus: &Corpus, image: &str, like: &str) {
    let store = TestDir::new("store");
    let mounted = Mounted::new(&store, image);
    assert_same(&mounted.dir, &corpus.reference(like), like);
}

fn assert_same(mounted: &Path, reference: &Path, like: &str) {
    let reference = read_tree(reference).unwrap();
    assert!(
        reference.len() > if like == "sparse" { 1 } else { 2_000 },
        "the reference tree is empty"
    );
    let found = differences(&read_tree(mounted).unwrap(), &reference);
    let lines = unaccepted(ACCEPTED, like, &found);
    assert!(lines.is_empty(), "{} differences (mounted | reference):\n{}", lines.len(), {
        lines[..lines.len().min(40)].join("\n")
    });
}

#[test]
fn mounted_tree_equals_what_umoci_unpacks() {
    let Some(corpus) = Corpus::find() else { return };
    assert_same_tree(&corpus, &corpus.oci("debian"), "debian");
}

#[test]
fn mounted_tree_equals_what_podman_mounts() {
    let Some(corpus) = Corpus::find() else { return };
    if !require::has("podman") {
        return;
    }
    let (store, podman) = (TestDir::new("store"), Podman::new());
    let mounted = Mounted::new(&store, &corpus.oci("debian"));
    let other = podman.mount(&corpus.path("oci"), "debian").unwrap();
    let (shown, mut other) = (read_tree(&mounted.dir).unwrap(), read_tree(&other).unwrap());
    assert!(other.len() > 2_000, "podman's tree is empty");
    // Its root is a directory of its own; no layer's entry changes that.
    other.insert(Vec::new(), shown[&b""[..]].clone());
    let mut found = differences(&shown, &other);
    // It makes a directory that a layer does not mention anew, at the time of unpacking.
    found.retain(|difference| {
        let node = &shown[difference.path.as_bytes()];
        difference.field != "mtime" || node["type"] != "directory"
    });
    let lines = unaccepted(ACCEPTED, "podman:debian", &found);
    assert!(lines.is_empty(), "{} differences:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn layers_made_by_gnu_tar_equal_what_umoci_unpacks() {
    let Some(corpus) = Corpus::find() else { return };
    assert_same_tree(&corpus, &corpus.oci("hand"), "hand");
}

#[test]
fn gzip_zstd_and_plain_layers_give_the_same_tree() {
    let Some(corpus) = Corpus::find() else { return };
    assert_same_tree(&corpus, &corpus.oci("mixed"), "hand");
}

#[test]
fn old_gnu_sparse_file_equals_what_gnu_tar_extracts() {
    let Some(corpus) = Corpus::find() else { return };
    assert_same_tree(&corpus, &corpus.oci("sparse"), "sparse");
}

#[test]
fn docker_archive_from_skopeo_gives_the_same_tree() {
    let Some(corpus) = Corpus::find() else { return };
    let archive = corpus.path("hand.docker.tar");
    assert_same_tree(&corpus, &format!("docker-archive:{}", archive.display()), "hand");
}

/// Copies `tag` of the corpus to a registry; the image's reference there.
fn push(corpus: &Corpus, registry: &Registry, tag: &str) -> String {
    let reference = format!("{}/corpus/{tag}:1", registry.address);
    run(Command::new("skopeo")
        .args(["--insecure-policy", "copy", "-q", "--dest-tls-verify=false", &corpus.oci(tag)])
        .arg(format!("docker://{reference}")));
    reference
}

/// The names in a store's index.json.
fn names(store: &Path) -> Vec<String> {
    let index = fs::read(store.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let name = |row: &serde_json::Value| {
        Some(row.pointer("/annotations/org.opencontainers.image.ref.name")?.as_str()?.to_string())
    };
    index["manifests"].as_array().unwrap().iter().filter_map(name).collect()
}

#[test]
fn real_registry_gives_the_same_tree_and_skopeo_and_umoci_read_the_store() {
    let Some(corpus) = Corpus::find() else { return };
    let (data, store, other) =
        (TestDir::new("registry"), TestDir::new("store"), TestDir::new("out"));
    let registry = Registry::start(&data);
    let reference = push(&corpus, &registry, "hand");
    run(shale(&store).args(["pull", &reference]));
    drop(registry); // from here on nobody may need it
    assert_eq!(names(&store.path), std::slice::from_ref(&reference));
    let in_store = format!("{}:{reference}", store.path.display());

    let seen = run(Command::new("skopeo").args(["inspect", &format!("oci:{in_store}")]));
    assert!(seen.contains("\"Architecture\""), "skopeo inspect said: {seen}");
    run(Command::new("skopeo")
        .args(["--insecure-policy", "copy", "-q", &format!("oci:{in_store}")])
        .arg(format!("dir:{}", other.path.join("copy").display())));
    let bundle = other.path.join("bundle");
    run(Command::new("umoci").args(["unpack", "--image", &in_store]).arg(&bundle));

    let mounted = Mounted::new(&store, &reference);
    assert_same(&mounted.dir, &corpus.reference("hand"), "hand");
    assert_same(&mounted.dir, &bundle.join("rootfs"), "hand");
}

#[test]
fn a_shell_runs_in_a_chroot_into_the_mount() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    let mounted = Mounted::new(&store, &corpus.oci("debian"));
    let listed = run(Command::new("chroot").arg(&mounted.dir).args([
        "/bin/sh",
        "-c",
        "ls / && dpkg -s less",
    ]));
    assert!(listed.lines().any(|line| line == "usr"), "{listed}");
    assert!(listed.contains("Status: install ok installed"), "{listed}");
}

#[test]
fn an_overlay_with_a_tmpfs_upper_makes_the_mount_writable() {
    let Some(corpus) = Corpus::find() else { return };
    let (store, stack) = (TestDir::new("store"), TestDir::new("stack"));
    let mounted = Mounted::new(&store, &corpus.oci("debian"));
    let tmpfs = real_parts::mount(&["-t", "tmpfs", "none"], &stack.path.join("tmpfs"));
    for dir in ["upper", "work"] {
        fs::create_dir(tmpfs.dir.join(dir)).unwrap();
    }
    let parts = (mounted.dir.display(), tmpfs.dir.display());
    let options = format!("lowerdir={},upperdir={1}/upper,workdir={1}/work", parts.0, parts.1);
    let top =
        real_parts::mount(&["-t", "overlay", "-o", &options, "none"], &stack.path.join("top"));

    fs::write(top.dir.join("etc/new"), "written").unwrap();
    fs::write(top.dir.join("etc/hostname"), "changed").unwrap();
    fs::remove_dir_all(top.dir.join("usr/share")).unwrap();
    let tried = "dpkg --purge less && test ! -e /usr/bin/less && cat /etc/new";
    assert_eq!(
        run(Command::new("chroot").arg(&top.dir).args(["sh", "-c", tried])).lines().last(),
        { Some("written") }
    );
    drop(top);
    assert_same(&mounted.dir, &corpus.reference("debian"), "debian");
}

/// Two equal trees with a node of most types, all of one time.
fn equal_trees(left: &Path, right: &Path) {
    for side in [left, right] {
        fs::create_dir_all(side.join("dir")).unwrap();
        for name in ["content", "mode", "mtime", "xattr", "link"] {
            fs::write(side.join(name), "some bytes").unwrap();
        }
        symlink("target", side.join("symlink")).unwrap();
        run(Command::new("mkfifo").arg(side.join("fifo")));
        run(Command::new("find").arg(side).args(["-exec", "touch", "-hd@1", "{}", "+"]));
    }
    assert_eq!(differences(&read_tree(left).unwrap(), &read_tree(right).unwrap()), []);
}

/// The comparison is worth as much as what it can see: one planted change of each kind.
#[test]
fn the_comparison_sees_each_kind_of_change() {
    let dir = TestDir::new("compare");
    let (left, right) = (dir.path.join("left"), dir.path.join("right"));
    equal_trees(&left, &right);

    fs::write(right.join("content"), "other byte").unwrap();
    fs::set_permissions(right.join("mode"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::remove_file(right.join("link")).unwrap();
    fs::hard_link(right.join("xattr"), right.join("link")).unwrap();
    fs::remove_file(right.join("symlink")).unwrap();
    symlink("tarpit", right.join("symlink")).unwrap();
    fs::remove_dir(right.join("dir")).unwrap();
    fs::write(right.join("extra"), "").unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    let has_xattrs = rustix::fs::setxattr(right.join("xattr"), "user.a", b"1\n\0", flags).is_ok();

    let found = differences(&read_tree(&left).unwrap(), &read_tree(&right).unwrap());
    let seen = |path: &str, field| found.iter().any(|d| d.path == path && d.field == field);
    for (path, field) in [
        ("content", "content"),
        ("content", "mtime"),
        ("mode", "mode"),
        ("link", "links"),
        ("link", "same file as"),
        ("xattr", "same file as"),
        ("symlink", "target"),
        ("dir", "presence"),
        ("extra", "presence"),
        ("", "mtime"),
    ] {
        assert!(seen(path, field), "{field} of {path:?} not seen in {found:#?}");
    }
    assert!(!has_xattrs || seen("xattr", "xattrs"), "{found:#?}");
    assert!(!found.iter().any(|d| ["mtime", "fifo"].contains(&d.path.as_str())), "{found:#?}");
}

#[test]
fn an_unlisted_difference_and_a_row_in_vain_both_fail() {
    let found = [tree_compare::Difference {
        path: "etc/motd".into(),
        field: "mode",
        left: "0644".into(),
        right: "0600".into(),
    }];
    let check = |list| unaccepted(list, "hand", &found).len();
    assert_eq!(check("# nothing\n"), 1);
    assert_eq!(check("hand | mode | etc/motd | umoci's umask"), 0);
    assert_eq!(check("hand | mode | etc/* | umoci's umask\ndebian | size | x | other image"), 0);
    assert_eq!(check("hand | mode | etc/* | umoci's umask\nhand | size | x | gone"), 1);
    assert_eq!(check("hand | mode | etc/motd | "), 2, "a row without a reason counts for nothing");
}
