//! Odd images through the program: their warnings, what is refused with which status, and that the
//! bytes decide where a document lies about them.
#![allow(clippy::unwrap_used)]

use crate::support::model;
use crate::support::require;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Output;

use crate::support::item_image::{Layer, Packing, packed, tar_of, write_index, write_layers};
use crate::support::model::item::{dir, empty, file, symlink};
use crate::support::model::{Item, What};
use crate::support::real_parts::{Mounted, TestDir, shale};

/// A layout with one image, `it`, and an empty store.
struct Odd {
    layout: TestDir,
    store: TestDir,
}

impl Odd {
    fn new(layers: &[Layer]) -> Self {
        let odd = Self { layout: TestDir::quick("layout"), store: TestDir::quick("store") };
        write_index(&odd.layout.path, &[write_layers(&odd.layout.path, "it", layers)]);
        odd
    }

    fn of_tars(tars: &[Vec<u8>], packing: Packing) -> Self {
        Self::new(&(0..).zip(tars).map(|(at, tar)| packed(packing, at, tar)).collect::<Vec<_>>())
    }

    fn image(&self) -> String {
        format!("oci:{}:it", self.layout.path.display())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        shale(&self.store).args(arguments).output().unwrap()
    }

    #[track_caller]
    fn output(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Status and error of a pull that fails.
    #[track_caller]
    fn refused(&self) -> (Option<i32>, String) {
        let output = self.run(&["pull", "-q", &self.image()]);
        assert!(!output.status.success(), "it was taken");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

/// Two layers with something of every kind that is odd and right.
fn every_oddity() -> Vec<Vec<Item>> {
    let mut overlay = file("overlay");
    overlay.xattrs.insert(b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
    let lower = vec![dir("d"), symlink("l", "d"), file("f"), file("x"), overlay];
    let upper = vec![
        file("../up"),
        file("twice"),
        file("twice"),
        Item::new("null", What::Char(0, 0)),
        file(".wh.x"),
        file("l/new"),
        file("f/below"),
        file("esc\x1b[31m"),
        file("esc\x1b[31m"),
    ];
    vec![lower, upper]
}

/// Layer, path, and a piece of the text for each of them.
const LISTED: [(&str, &str, &str); 9] = [
    ("0", "/overlay", "an overlay attribute was dropped"),
    ("1", "/", "the media type does not match the compression of the bytes"),
    ("1", "/up", "`..` pointed above the root"),
    ("1", "/twice", "the name stands twice"),
    ("1", "/null", "shown as a device; overlay runtimes treat it as a whiteout"),
    ("1", "/.wh.x", "a whiteout that is not an empty regular file"),
    ("1", "/l/new", "the parent is a symlink and was followed; overlay runtimes show a directory"),
    ("1", "/f/below", "a lower layer's file became a directory"),
    ("1", "/esc\\u{1b}[31m", "the name stands twice"),
];

#[test]
fn warnings_are_listed_by_layers_and_by_verify() {
    let tars: Vec<_> = every_oddity().iter().map(|layer| tar_of(layer)).collect();
    let mut layers: Vec<Layer> = tars.iter().map(|tar| packed(Packing::Gzip, 0, tar)).collect();
    layers[1].media_type = "application/vnd.oci.image.layer.v1.tar+zstd";
    let odd = Odd::new(&layers);
    odd.output(&["pull", "-q", &odd.image()]);
    let name = odd.output(&["ls", "--format", "{{.ID}}"]);
    let listed = odd.output(&["layers", "--warnings", name.trim()]);
    let verified = odd.output(&["verify"]);
    for (layer, path, text) in LISTED {
        let row =
            |line: &&str| line.split_whitespace().take(2).eq([layer, path]) && line.contains(text);
        assert_eq!(listed.lines().filter(row).count(), 1, "{path}: {text} in\n{listed}");
        let detail = format!(": layer {layer}: {path}: ");
        let row = |line: &&str| line.contains(&detail) && line.contains(text);
        assert_eq!(verified.lines().filter(row).count(), 1, "{path}: {text} in\n{verified}");
    }
    assert_eq!(listed.lines().count(), 1 + LISTED.len(), "{listed}");
    assert!(!verified.contains('\x1b') && !listed.contains('\x1b'));
    assert!(verified.lines().all(|line| line.starts_with("layer-warning sha256:")), "{verified}");
    let json = odd.output(&["verify", "--format", "json"]);
    assert!(json.lines().all(|line| line.contains("\"Severity\":\"warning\"")), "{json}");
}

#[test]
fn an_image_without_oddities_has_no_warnings() {
    let odd =
        Odd::of_tars(&[tar_of(&[dir(""), file("a")]), tar_of(&[empty(".wh.a")])], Packing::Mixed);
    odd.output(&["pull", "-q", &odd.image()]);
    let name = odd.output(&["ls", "--format", "{{.ID}}"]);
    assert_eq!(odd.output(&["layers", "--warnings", name.trim()]).lines().count(), 1);
    assert_eq!(odd.output(&["verify"]), "");
}

/// Docker and OCI types, each compression under the right type and one under a wrong one.
#[test]
fn the_bytes_decide_how_a_layer_is_compressed() {
    let Some(_alone) = require::can_mount() else { return };
    let tars: Vec<Vec<u8>> = (0..7).map(|at| tar_of(&[file(&format!("f{at}"))])).collect();
    let docker = "application/vnd.docker.image.rootfs.diff.tar";
    let docker_gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let oci = "application/vnd.oci.image.layer.v1.tar";
    let gzip = |tar: &[u8]| packed(Packing::Gzip, 0, tar).blob;
    let xz = |tar: &[u8]| {
        let mut out = Vec::new();
        std::io::Read::read_to_end(&mut liblzma::read::XzEncoder::new(tar, 1), &mut out).unwrap();
        out
    };
    let bzip2 = |tar: &[u8]| {
        let mut out = Vec::new();
        let level = bzip2::Compression::fast();
        std::io::Read::read_to_end(&mut bzip2::read::BzEncoder::new(tar, level), &mut out).unwrap();
        out
    };
    let blobs = [
        (docker, tars[0].clone()),
        (docker_gzip, gzip(&tars[1])),
        (docker_gzip, zstd::encode_all(&tars[2][..], 1).unwrap()),
        (oci, xz(&tars[3])),
        (oci, bzip2(&tars[4])),
        (oci, gzip(&tars[5])),
        ("application/vnd.oci.image.layer.v1.tar+gzip", tars[6].clone()),
    ];
    let layers: Vec<Layer> = blobs
        .into_iter()
        .zip(tars)
        .map(|((media_type, blob), tar)| Layer { media_type, blob, tar })
        .collect();
    let odd = Odd::new(&layers);
    let mounted = Mounted::new(&odd.store, &odd.image());
    for at in 0..7 {
        assert_eq!(fs::read(mounted.dir.join(format!("f{at}"))).unwrap(), b"bytes");
    }
    let wrong = odd.output(&["verify"]);
    let wrong: Vec<_> = wrong.lines().filter(|line| line.contains("media type")).collect();
    assert_eq!(wrong.len(), 5, "all but the first two: {wrong:#?}");
}

#[test]
fn a_layer_of_an_unknown_type_is_an_error_that_names_it() {
    let mut layer = packed(Packing::Gzip, 0, &tar_of(&[file("a")]));
    layer.media_type = "application/vnd.example.layer";
    let (status, said) = Odd::new(&[layer]).refused();
    assert_eq!(status, Some(1));
    assert!(said.contains("application/vnd.example.layer"), "{said}");
}

/// What follows the end of the archive is no entry, and is part of the layer all the same.
#[test]
fn the_diff_id_covers_what_follows_the_end() {
    let ended = tar_of(&[file("a")]);
    let longer = [&ended[..], b"after the end", &tar_of(&[file("b")])].concat();
    let right = packed(Packing::Gzip, 0, &longer);
    let odd = Odd::new(&[Layer { tar: longer.clone(), ..right.clone() }]);
    odd.output(&["pull", "-q", &odd.image()]);
    let (status, said) = Odd::new(&[Layer { tar: ended, ..right }]).refused();
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("its uncompressed digest is"), "{said}");
}

#[test]
fn inode_numbers_are_the_same_in_another_store_however_it_is_compressed() {
    let Some(_alone) = require::can_mount() else { return };
    let items =
        vec![dir("d"), file("d/a"), symlink("l", "d"), file("b"), model::item::hard_link("c", "b")];
    let tars = [tar_of(&items), tar_of(&[file("d/new"), empty(".wh.l")])];
    let numbers = |packing| {
        let odd = Odd::of_tars(&tars, packing);
        let mounted = Mounted::new(&odd.store, &odd.image());
        let number = |name: &str| fs::symlink_metadata(mounted.dir.join(name)).unwrap().ino();
        ["", "d", "d/a", "d/new", "b", "c"].map(|name| (name.to_owned(), number(name)))
    };
    let (one, other) =
        (BTreeMap::from(numbers(Packing::Gzip)), BTreeMap::from(numbers(Packing::Mixed)));
    assert_eq!(one, other);
    assert_eq!(one["b"], one["c"]);
}

#[test]
fn limits_can_be_raised_and_stay_raised_for_what_was_pulled() {
    let Some(_alone) = require::can_mount() else { return };
    let mut large = file("large");
    large.xattrs.insert(b"trusted.large".to_vec(), vec![b'v'; 100_000]);
    let odd = Odd::of_tars(&[tar_of(&[large, file("other")])], Packing::Gzip);
    let (status, said) = odd.refused();
    assert_eq!(status, Some(1));
    assert!(said.contains("more than 65536 bytes (limit `xattrs`)"), "{said}");
    assert!(said.contains("hint: ") && said.contains("`--limit xattrs=NUMBER`"), "{said}");
    let raised = ["pull", "-q", "--limit", "xattrs=200000", &odd.image()];
    odd.output(&raised);
    // What was pulled is not measured again when its tables are made again, or checked.
    for tables in ["toc", "tree"] {
        fs::remove_dir_all(odd.store.path.join(tables).join("sha256")).unwrap();
    }
    let mounted = Mounted::new(&odd.store, &odd.image());
    assert_eq!(fs::read_dir(&mounted.dir).unwrap().count(), 2);
    drop(mounted);
    odd.output(&["verify", "--deep"]);
    for (limit, why) in [
        ("entries=1", "more than 1 entries (limit `entries`)"),
        ("unpacked=1000", "unpacks to more than 1000 bytes (limit `unpacked`)"),
        ("bytes=3", "more than 3 bytes (limit `bytes`)"),
        ("size=3", "no such limit; there is blob, unpacked, ratio, overhead"),
        ("window=2147483649", "it cannot be higher than 2147483648"),
        ("ratio=many", "the limit is a number"),
        ("xattrs=99999999999", "it cannot be higher than 67108864"),
    ] {
        let store = TestDir::quick("store");
        let arguments = ["pull", "--limit", "xattrs=200000", "--limit", limit, &odd.image()];
        let output = shale(&store).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{limit}: {said}");
    }
}

/// A zstd frame that asks for 256 MiB and holds `tar` as it is, in one block.
fn frame_of_a_large_window(tar: &[u8]) -> Vec<u8> {
    let block = (u32::try_from(tar.len()).unwrap() << 3) | 1;
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, 18 << 3][..], &block.to_le_bytes()[..3], tar].concat()
}

#[test]
fn a_window_can_be_raised_and_stays_raised_for_what_was_pulled() {
    let tar = tar_of(&[file("a"), file("b")]);
    let blob = frame_of_a_large_window(&tar);
    let media_type = "application/vnd.oci.image.layer.v1.tar+zstd";
    let odd = Odd::new(&[Layer { media_type, blob, tar }]);
    let (status, said) = odd.refused();
    assert_eq!(status, Some(1));
    assert!(said.contains("a window of more than 134217728 bytes (limit `window`)"), "{said}");
    assert!(said.contains("hint: ") && said.contains("`--limit window=NUMBER`"), "{said}");
    odd.output(&["pull", "-q", "--limit", "window=268435456", &odd.image()]);
    for tables in ["toc", "tree", "seekable", "content"] {
        let _ = fs::remove_dir_all(odd.store.path.join(tables));
    }
    assert!(odd.output(&["files", &odd.image()]).ends_with("a\n/b\n"));
    assert_eq!(odd.output(&["cat", &odd.image(), "/a"]), "bytes");
    assert!(odd.output(&["export", &odd.image()]).contains("bytes"));
    odd.output(&["verify", "--deep"]);
}
