//! Odd images as real tools show them: `umoci unpack`, `podman image mount` and, of images with one
//! layer, `tar -x`, each beside the image mounted by shale.
//!
//! Where a tool shows something else than the specification says, the difference stands in
//! tests/accepted_differences.txt with the reason; an image that a tool refuses stands there with the
//! field `refused`. An unlisted difference fails, and so does a row that does not occur. Needs root,
//! /dev/fuse, umoci, podman and GNU tar.
#![allow(clippy::unwrap_used)]

mod cases;

use crate::support::require;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::item_image::{Packing, tar_of, write_image, write_index};
use crate::support::podman::{Podman, tried};
use crate::support::real_parts::{Mounted, TestDir};
use crate::support::tree_compare::{Difference, Tree, differences, read_tree, unaccepted};

const ACCEPTED: &str = include_str!("../../../accepted_differences.txt");

/// All odd images in one layout, and what shale shows of each.
struct Images {
    layout: TestDir,
    shown: Vec<(&'static str, Tree)>,
}

impl Images {
    fn new() -> Self {
        let (layout, store) = (TestDir::quick("layout"), TestDir::quick("store"));
        let mut rows = Vec::new();
        for (name, layers) in cases::all() {
            let tars: Vec<_> = layers.iter().map(|layer| tar_of(layer)).collect();
            rows.push(write_image(&layout.path, name, &tars, Packing::Gzip));
        }
        write_index(&layout.path, &rows);
        let images = cases::all().into_iter().map(|(name, _)| {
            let mounted = Mounted::new(&store, &format!("oci:{}:{name}", layout.path.display()));
            (name, read_tree(&mounted.dir).unwrap())
        });
        let shown = images.collect();
        Self { layout, shown }
    }

    fn of(&self, name: &str) -> String {
        format!("{}:{name}", self.layout.path.display())
    }
}

/// What stands in the differences when a tool does not take an image.
fn refused(what: &str) -> Vec<Difference> {
    let right = what.lines().last().unwrap_or_default().to_owned();
    vec![Difference { path: String::new(), field: "refused", left: "taken".into(), right }]
}

/// Compares every image with what `unpack` gives for it: the root of a tree, or why there is none.
#[track_caller]
fn compare(tool: &str, images: &Images, unpack: impl Fn(&str) -> Option<Result<PathBuf, String>>) {
    let mut lines = Vec::new();
    for (name, shown) in &images.shown {
        let found = match unpack(name) {
            None => continue,
            Some(Ok(root)) => match read_tree(&root) {
                Ok(mut tree) => {
                    if tool == "podman" {
                        // Its root is a directory of its own; no layer's entry changes that.
                        tree.insert(Vec::new(), shown[&b""[..]].clone());
                    }
                    differences(shown, &tree)
                }
                // A tree with a name that is listed and is not there.
                Err(error) => refused(&error.to_string()),
            },
            Some(Err(why)) => refused(&why),
        };
        let image = format!("{tool}:{name}");
        lines.extend(
            unaccepted(ACCEPTED, &image, &found).iter().map(|line| format!("{image}: {line}")),
        );
    }
    assert!(
        lines.is_empty(),
        "{} differences (shale | {tool}):\n{}",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn odd_layers_as_umoci_unpacks_them() {
    let Some(_alone) = require::can_mount() else { return };
    if !require::has("umoci") {
        return;
    }
    let (images, bundles) = (Images::new(), TestDir::new("bundles"));
    compare("umoci", &images, |name| {
        let bundle = bundles.path.join(name);
        let unpack = Command::new("umoci")
            .args(["unpack", "--image", &images.of(name)])
            .arg(&bundle)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&unpack.stderr).into_owned();
        Some(if unpack.status.success() { Ok(bundle.join("rootfs")) } else { Err(said) })
    });
}

#[test]
fn odd_layers_as_gnu_tar_extracts_them() {
    let Some(_alone) = require::can_mount() else { return };
    if !require::has("tar") {
        return;
    }
    let (images, out) = (Images::new(), TestDir::new("extracted"));
    compare("tar", &images, |name| {
        let all = cases::all();
        let (_, layers) = all.iter().find(|(other, _)| *other == name).unwrap();
        let [layer] = &layers[..] else { return None };
        let (archive, root) = (out.path.join("layer.tar"), out.path.join(name));
        fs::write(&archive, tar_of(layer)).unwrap();
        fs::create_dir(&root).unwrap();
        let options = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--same-owner", "-xpf"];
        let extract = tried(Command::new("tar").arg("-C").arg(&root).args(options).arg(&archive));
        Some(extract.map(|_| root))
    });
}

#[test]
fn odd_layers_as_podman_mounts_them() {
    let Some(_alone) = require::can_mount() else { return };
    if !require::has("podman") {
        return;
    }
    let (images, podman) = (Images::new(), Podman::new());
    compare("podman", &images, |name| Some(podman.mount(&images.layout.path, name)));
}

/// Every row of a tool is about an image that there is: one of these, or the corpus's.
#[test]
fn odd_layers_in_the_table_exist() {
    let all = cases::all();
    for line in ACCEPTED.lines().filter(|line| line.contains(" | ")) {
        let (image, _) = line.split_once(" | ").unwrap();
        let Some((tool, name)) = image.trim_start_matches("# ").split_once(':') else { continue };
        assert!(["umoci", "podman", "tar"].contains(&tool), "{line}");
        assert!(name == "debian" || all.iter().any(|(other, _)| *other == name), "{line}");
    }
}
