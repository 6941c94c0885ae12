//! `files`, `cat`, `cp` and `export` on images made by real tools, against the mount of the same
//! image, umoci's unpacked tree, GNU tar and bsdtar.
//!
//! The images are scripts/corpus's, in `$SHALE_CORPUS` or `target/corpus`. Needs root, /dev/fuse,
//! tar and bsdtar; says so when it cannot run, and fails instead when `CI` is set.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use shalefs::browse::{Browser, write_tar};
use shalefs::layer::Toc;
use shalefs::mount::View;
use shalefs::store::{Derived, Store};

use crate::support::real_parts::{Corpus, Mounted, TestDir, run, shale};
use crate::support::tree_compare::{Difference, differences, read_tree};

/// Compares `tree` with umoci's of `tag`; `accepts` says which differences are known.
fn assert_same(corpus: &Corpus, tag: &str, tree: &Path, accepts: impl Fn(&Difference) -> bool) {
    let reference = read_tree(&corpus.reference(tag)).unwrap();
    assert!(!reference.is_empty());
    let found = differences(&read_tree(tree).unwrap(), &reference);
    let found: Vec<String> =
        found.iter().filter(|found| !accepts(found)).map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), {
        found[..found.len().min(40)].join("\n")
    });
}

/// The image as one tar.
fn export(corpus: &Corpus, tag: &str, dir: &TestDir) -> PathBuf {
    let tar = dir.path.join("export.tar");
    run(shale(&TestDir::new("store")).args(["export", "-o"]).arg(&tar).arg(corpus.oci(tag)));
    tar
}

fn unpacked(tar: &Path, dir: &Path, program: &str, options: &[&str]) {
    fs::create_dir(dir).unwrap();
    let program = &mut Command::new(program);
    run(program
        .args(["-x", "-p", "--numeric-owner"])
        .args(options)
        .arg("-C")
        .arg(dir)
        .arg("-f")
        .arg(tar));
}

#[test]
fn gnu_tar_reads_the_export_back_as_the_same_tree() {
    let Some(corpus) = Corpus::find() else { return };
    for tag in ["debian", "hand", "sparse"] {
        let dir = TestDir::new("export");
        let (tar, tree) = (export(&corpus, tag, &dir), dir.path.join("gnu"));
        unpacked(&tar, &tree, "tar", &["--xattrs", "--xattrs-include=*"]);
        assert_same(&corpus, tag, &tree, |_| false);
    }
}

#[test]
fn bsdtar_reads_the_export_back_as_the_same_tree() {
    let Some(corpus) = Corpus::find() else { return };
    for tag in ["debian", "hand", "sparse"] {
        let dir = TestDir::new("export");
        let (tar, tree) = (export(&corpus, tag, &dir), dir.path.join("bsd"));
        unpacked(&tar, &tree, "bsdtar", &[]);
        // bsdtar never restores the time of `.`, not even from a tar of its own.
        let root_time = |d: &Difference| d.path.is_empty() && d.field == "mtime";
        assert_same(&corpus, tag, &tree, root_time);
    }
}

#[test]
fn cp_a_makes_the_same_tree() {
    let Some(corpus) = Corpus::find() else { return };
    for tag in ["debian", "hand", "sparse"] {
        let dir = TestDir::new("copy");
        let tree = dir.path.join("tree");
        let output = shale(&TestDir::new("store"))
            .args(["-q", "cp", "-a", &format!("{}:/", corpus.oci(tag))])
            .arg(&tree)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_same(&corpus, tag, &tree, |_| false);
    }
}

#[test]
fn a_sparse_file_stays_sparse() {
    let Some(corpus) = Corpus::find() else { return };
    let dir = TestDir::new("sparse");
    let (tar, tree) = (export(&corpus, "sparse", &dir), dir.path.join("tree"));
    let source = format!("{}:/.", corpus.oci("sparse"));
    run(shale(&TestDir::new("store")).args(["cp", &source]).arg(&tree));
    unpacked(&tar, &dir.path.join("gnu"), "tar", &[]);
    let mut seen = 0;
    for entry in fs::read_dir(&tree).unwrap() {
        let copy = entry.unwrap();
        let (copied, extracted) = (copy.metadata().unwrap(), dir.path.join("gnu"));
        let extracted = extracted.join(copy.file_name()).metadata().unwrap();
        assert_eq!(copied.len(), extracted.len());
        assert!(copied.blocks() * 512 < copied.len() / 2, "{} blocks", copied.blocks());
        assert!(extracted.blocks() * 512 < copied.len() / 2, "{} blocks", extracted.blocks());
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn an_export_is_the_same_each_time_and_cp_to_a_dash_is_a_part_of_it() {
    let Some(corpus) = Corpus::find() else { return };
    let dir = TestDir::new("export");
    let tar = export(&corpus, "hand", &dir);
    let store = TestDir::new("store");
    let again = shale(&store).args(["export", &corpus.oci("hand")]).output().unwrap().stdout;
    assert!(fs::read(&tar).unwrap() == again, "two exports differ");

    let part = dir.path.join("part.tar");
    let source = format!("{}:/srv/odd", corpus.oci("hand"));
    let output = shale(&store).args(["cp", &source, "-"]).output().unwrap();
    fs::write(&part, output.stdout).unwrap();
    unpacked(&part, &dir.path.join("part"), "tar", &["--xattrs", "--xattrs-include=*"]);
    let whole = corpus.reference("hand").join("srv/odd");
    let part = dir.path.join("part/odd");
    // Files that have another name elsewhere have one less here.
    let found = differences(&read_tree(&part).unwrap(), &read_tree(&whole).unwrap());
    let found: Vec<_> =
        found.iter().filter(|d| !["links", "same file as"].contains(&d.field)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// A walk by names goes through several layers by turns, each of them in another order than its
/// tar perhaps: that must not decode a span again and again.
#[test]
fn an_export_decodes_each_span_once() {
    let Some(corpus) = Corpus::find() else { return };
    for tag in ["debian", "hand"] {
        let dir = TestDir::new("store");
        run(shale(&dir).args(["-q", "pull", &corpus.oci(tag)]));
        let store = Store::open(&dir.path).unwrap();
        let image = store.open_image(&format!("localhost/oci:{tag}")).unwrap();
        let unpacked: u64 = image
            .layers
            .iter()
            .map(|layer| store.open_derived(Derived::Toc, layer.digest).unwrap().unwrap())
            .map(|toc| Toc::open(toc).unwrap().header().unpacked)
            .sum();
        let view = View::of(&store, &image, tag).unwrap();
        let browser = Browser::open(store, view.tree, view.layers);
        let root = browser.find(b"/", false).unwrap();
        write_tar(&browser, &root, b".", &mut std::io::sink()).unwrap();
        let decoded = browser.stats().bytes_decoded.load(Ordering::Relaxed);
        assert!(decoded > 100_000_000 && decoded <= unpacked, "{decoded} of {unpacked} bytes");
    }
}

/// Standard output of a command, as bytes.
fn stdout(command: &mut Command) -> Vec<u8> {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

#[test]
fn files_and_cat_show_what_the_mount_shows() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    let mounted = Mounted::new(&store, &corpus.oci("hand"));
    let sorted = |bytes: Vec<u8>| {
        let mut names: Vec<_> = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
        names.sort();
        names
    };
    let mut find = Command::new("find");
    let wanted = sorted(stdout(find.arg(".").args(["-print0"]).current_dir(&mounted.dir)));
    let listed = stdout(shale(&store).args(["files", "-0", &corpus.oci("hand")]));
    assert!(listed.starts_with(b"/\0/bin\0/boot\0"));
    let listed = sorted(listed).into_iter().map(|name| match name.as_slice() {
        b"" => name,
        b"/" => b".".to_vec(),
        path => [b".", path].concat(),
    });
    assert!(wanted.len() > 5_000 && wanted == listed.collect::<Vec<_>>());

    let paths = ["/usr/bin/perl", "/srv/odd/large", "/srv/odd/empty", "/bin/sh", "/srv/odd/acl"];
    let mut wanted = Vec::new();
    for path in &paths {
        wanted.extend(fs::read(mounted.dir.join(path.trim_start_matches('/'))).unwrap());
    }
    let mut cat = shale(&store);
    let read = stdout(cat.args(["cat", &corpus.oci("hand")]).args(paths));
    assert!(wanted.len() > 3_000_000 && read == wanted, "cat gives other bytes");
}
