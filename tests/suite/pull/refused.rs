//! Images that are refused: nothing of them stays, and nothing is asked for that is refused at once.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs;

use crate::support::fake_source::{FakeSource, Trouble};
use crate::support::images::{TestImage, TestLayer, files, new_store, write_layout};
use crate::support::item_image::tar_of;
use crate::support::model::item::{dir, file, hard_link};
use crate::support::streams;
use shalefs::limits::{Exceeded, Limit, Limits};
use shalefs::oci::{DiffId, Digest, ImageName};
use shalefs::pull::{self, Options, PullError, Silent};
use shalefs::source;
use shalefs::store::Store;

fn run(store: &Store, source: &FakeSource, limits: Limits) -> Result<(), PullError> {
    let options = Options { limits, ..Options::default() };
    pull::pull(store, source, Some("docker.io/library/a:1"), &options, &Silent).map(drop)
}

/// A layer of these bytes, which are what they are.
fn layer(blob: Vec<u8>, tar: &[u8]) -> TestLayer {
    let (digest, diff_id) = (Digest::sha256(&blob), DiffId(Digest::sha256(tar)));
    TestLayer { blob, digest, diff_id }
}

fn good(word: &str) -> TestLayer {
    TestLayer::of(&[(word, word.as_bytes())])
}

/// Everything of images and of what is made of them.
fn kept(store: &Store) -> Vec<String> {
    let all = files(store.root()).into_iter();
    let parts = ["blobs/", "toc/", "seekable/", "tree/", "content/", "ingest/"];
    all.filter(|file| parts.iter().any(|part| file.starts_with(part))).collect()
}

#[test]
fn a_refused_pull_leaves_nothing() {
    let tar = streams::tar(1, 200_000);
    let mut no_tar = streams::tar(2, 200_000);
    no_tar[100_000] ^= 1;
    no_tar.truncate(150_000);
    let zstd = streams::zstd_frame(3, &tar);
    let linked = tar_of(&[dir("d"), hard_link("l", "nothing")]);
    let small = Limits { unpacked: 100_000, ..Limits::DEFAULT };
    let cases: [(&str, TestLayer, Limits); 6] = [
        ("no gzip", layer(streams::gzip(6, &tar)[..50_000].to_vec(), &tar), Limits::DEFAULT),
        ("no tar", layer(streams::gzip(6, &no_tar), &no_tar), Limits::DEFAULT),
        ("another DiffID", layer(zstd.clone(), b"other"), Limits::DEFAULT),
        ("a bound", layer(zstd, &tar), small),
        ("no tree", layer(streams::gzip(6, &linked), &linked), Limits::DEFAULT),
        ("noise", layer(vec![7; 70_000], &[7; 70_000]), Limits::DEFAULT),
    ];
    for (what, bad, limits) in cases {
        let (_directory, store) = new_store();
        let named = TestImage::new(vec![good("shared")], "named");
        named.put(&store, Some("docker.io/library/named:1"));
        let before = kept(&store);
        let layers = vec![good("one"), good("shared"), bad, good("two")];
        let source = FakeSource::of(&TestImage::new(layers, "bad"));
        for jobs in [1, 4] {
            let options = Options { limits, jobs, ..Options::default() };
            let error = pull::pull(&store, &source, None, &options, &Silent).expect_err(what);
            assert!(error.is_refusal(), "{what}: {error}");
            let after = kept(&store);
            // The table of the shared layer may have been made: its image needs it.
            let table = |file: &String| file.starts_with("toc/");
            let new: Vec<_> = after.iter().filter(|f| !before.contains(f) && !table(f)).collect();
            assert!(new.is_empty(), "{what}, {jobs} at once: {new:?}");
            assert!(after.iter().filter(|file| table(file)).count() <= 1, "{what}: {after:?}");
            assert!(before.iter().all(|file| after.contains(file)), "{what}: {after:?}");
        }
    }
}

#[test]
fn bytes_that_never_match_leave_nothing() {
    let (_directory, store) = new_store();
    let image = TestImage::new(vec![good("one")], "one");
    let source = FakeSource::of(&image);
    source.set_trouble(image.layers[0].digest, Trouble::WrongBytes);
    run(&store, &source, Limits::DEFAULT).expect_err("wrong bytes");
    assert_eq!(kept(&store), Vec::<String>::new());
}

#[test]
fn a_layer_that_is_too_large_is_not_asked_for() {
    let (_directory, store) = new_store();
    let image = TestImage::new(vec![good("one"), good("two")], "two");
    let source = FakeSource::of(&image);
    let size = image.layers.iter().map(|layer| layer.blob.len() as u64).max().unwrap();
    let error = run(&store, &source, Limits { blob: size - 1, ..Limits::DEFAULT });
    let exceeded = Exceeded::behind(&error.expect_err("too large")).map(|found| found.limit);
    assert_eq!(exceeded, Some(Limit::Blob));
    assert_eq!(source.take_fetches(), []);
    run(&store, &source, Limits { blob: size, ..Limits::DEFAULT }).expect("at the bound");
}

/// One entry may fill a block of the layer's table alone.
#[test]
fn the_highest_limits_make_tables_that_can_be_read() {
    let (_directory, store) = new_store();
    let mut large = file("large");
    large.xattrs.insert(b"user.large".to_vec(), vec![b'v'; 5 << 20]);
    let tar = tar_of(&[large, file("other")]);
    let source = FakeSource::of(&TestImage::new(vec![layer(streams::gzip(1, &tar), &tar)], "x"));
    run(&store, &source, Limits::DEFAULT).expect_err("five mebibytes");
    run(&store, &source, Limits::HIGHEST).expect("the bounds were raised");
    let rows = store.names().unwrap();
    let image = store.image_of(&rows[0].manifest).unwrap();
    let tree = pull::ensure_tree(&store, &image).unwrap();
    assert_eq!(tree.totals().files, 2);
    assert_eq!(pull::verify(&store, None, true).unwrap(), []);
}

#[test]
fn a_compressed_archive_is_bounded_as_a_layer_is() {
    let directory = tempfile::tempdir().unwrap();
    let tar = streams::tar(1, 200_000);
    let packings = [streams::gzip(6, &tar), streams::zstd_frame(3, &tar), streams::xz(&tar)];
    for bytes in packings.into_iter().chain([streams::bzip2(&tar)]) {
        let path = directory.path().join("archive");
        fs::write(&path, bytes).unwrap();
        for transport in ["docker-archive", "oci-archive"] {
            let text = format!("{transport}:{}", path.display());
            let name = ImageName::parse(OsStr::new(&text)).unwrap();
            let bound = |unpacked| {
                let limits = Limits { unpacked, ..Limits::DEFAULT };
                let options = source::Options { limits, ..source::Options::default() };
                let error =
                    source::open(&name, &options).err().expect("it is no archive of images");
                Exceeded::behind(&error).map(|found| found.limit)
            };
            let size = tar.len() as u64;
            assert_eq!((bound(size), bound(size - 1)), (None, Some(Limit::Unpacked)), "{text}");
        }
    }
}

/// Layouts may have rows that are no images; the specification's own example has one.
#[test]
fn names_of_a_layout_belong_to_their_images() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    let images = ["one", "two"].map(TestImage::small);
    write_layout(&layout, &[(&images[0], "x.org/one:1"), (&images[1], "x.org/two:1")]);
    let path = layout.join("index.json");
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let other = serde_json::json!({
        "mediaType": "application/xml",
        "size": 7143,
        "digest": "sha256:b3d63d132d21c3ff4c35a061adf23cf43da8ae054247e32faa95494d904a007e",
        "annotations": { "org.opencontainers.image.ref.name": "x.org/none:1" },
    });
    let rows = index["manifests"].as_array_mut().unwrap();
    rows.insert(1, other.clone());
    rows.insert(0, other);
    fs::write(&path, index.to_string()).unwrap();
    let name = ImageName::parse(OsStr::new(&format!("oci:{}", layout.display()))).unwrap();
    let options = source::Options::default();
    let found = source::images(&name, &options).unwrap();
    assert_eq!(found.len(), 2);
    for ((selected, names), image) in found.iter().zip(&images) {
        let root = source::open(selected, &options).unwrap().root().unwrap();
        assert_eq!(root.descriptor.digest, image.descriptor().digest, "{names:?}");
    }
    let names: Vec<String> = found.iter().flat_map(|row| &row.1).map(ToString::to_string).collect();
    assert_eq!(names, ["x.org/one:1", "x.org/two:1"]);
}
