//! An image whose config several manifests name is one image: it has all names, dangles only when
//! none is left, and loses nothing that it would not lose in Docker.
#![allow(clippy::unwrap_used)]

use crate::support::images;
use std::io::Write as _;
use std::path::Path;

use crate::support::cli::Home;
use crate::support::images::{TestImage, TestLayer, names, new_store, no_content};
use crate::support::layout_registry::LayoutRegistry;
use flate2::Compression;
use flate2::write::GzEncoder;
use shalefs::oci::Digest;
use shalefs::store::{Prune, Pruned, Store};

const A: &str = "docker.io/library/a:1";
const B: &str = "docker.io/library/b:1";

/// One image compressed in two ways: the config is the same, layer and manifest are not.
fn twins(word: &str) -> (TestImage, TestImage) {
    let tar = images::tar_of(&[("etc/word", word.repeat(50).as_bytes())]);
    let first = TestLayer::of_tar(&tar);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(&tar).unwrap();
    let blob = gzip.finish().unwrap();
    let second = TestLayer { digest: Digest::sha256(&blob), blob, diff_id: first.diff_id };
    let (one, two) = (TestImage::new(vec![first], word), TestImage::new(vec![second], word));
    assert_eq!(one.id(), two.id());
    assert_ne!(one.descriptor(), two.descriptor());
    (one, two)
}

fn prune(store: &Store, dry_run: bool) -> Pruned {
    let filter = &|_: &_| true;
    store.prune(&Prune { all: false, filter, content: &no_content, dry_run }).unwrap()
}

fn has_all(store: &Store, image: &TestImage) -> bool {
    image.blobs().iter().all(|(digest, _)| store.blob(digest, None).unwrap().is_some())
}

/// A home that pulled an image, saved it and loaded it again.
fn loaded_after_pull() -> (Home, LayoutRegistry, String) {
    let layout = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/docker/layout");
    let (home, registry) = (Home::new(), LayoutRegistry::serve(&layout));
    let name = format!("{}/app:1", registry.name);
    home.ok(&["pull", "-q", &name]);
    let rows = |home: &Home| home.ok(&["ls", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]);
    let ask = ["inspect", "-f", "{{json .RepoDigests}}", &name];
    let (before, digests) = (rows(&home), home.ok(&ask));
    home.ok(&["save", "-o", "d.tar", &name]);
    home.ok(&["load", "-i", "d.tar"]);
    assert_eq!(rows(&home), before, "as before, and no <none>");
    assert_eq!(home.ok(&ask), digests, "what the registry served stays known");
    assert_ne!(digests.trim(), "[]");
    (home, registry, name)
}

#[test]
fn cleaning_up_after_pull_and_load_of_one_image_removes_nothing() {
    let (home, _registry, name) = loaded_after_pull();
    let index = || std::fs::read_to_string(home.path("store/index.json")).unwrap();
    assert_eq!(index().matches("\"digest\":").count(), 2, "two manifests");
    assert_eq!(home.ok(&["ls", "-qf", "dangling=true"]), "", "nothing for `rm $(..)`");
    let id = home.ok(&["ls", "-q"]);
    assert_eq!(id.lines().count(), 1, "{id}");
    assert!(!home.ok(&["prune", "-f"]).contains("Deleted"), "no image goes");
    assert_eq!(home.ok(&["ls", "-q"]), id);
    assert_eq!(index().matches("\"digest\":").count(), 1, "the other manifest's row went");
    let digests = home.ok(&["inspect", "-f", "{{json .RepoDigests}}", &name]);
    assert_ne!(digests.trim(), "[]");
    home.ok(&["verify"]);
    assert!(!home.ok(&["files", &name]).is_empty());
}

#[test]
fn rm_after_pull_and_load_of_one_image_leaves_nothing_behind() {
    let (home, _registry, name) = loaded_after_pull();
    let said = home.ok(&["rm", &name]);
    assert_eq!(said.matches("Untagged: ").count(), 2, "tag and digest: {said}");
    assert!(said.contains("Deleted: "), "{said}");
    let left = images::files(&home.path("store"));
    assert!(!left.iter().any(|name| name.starts_with("blobs/")), "{left:?}");
}

#[test]
fn a_tag_that_moves_to_a_new_compression_leaves_nothing_dangling() {
    let (_directory, store) = new_store();
    let (one, two) = twins("word");
    one.put(&store, Some(A));
    two.put(&store, Some(A));
    let images = store.images().unwrap().whole;
    assert_eq!(images.len(), 1);
    assert_eq!((images[0].id, &images[0].names[..]), (one.id(), &[A.to_owned()][..]));
    assert_eq!(images[0].manifest, two.descriptor(), "the one with the name");
    assert_eq!(store.open_image(&one.id().to_string()).unwrap().manifest, two.descriptor());
    // What would go is found out first, and then the same goes.
    let would = prune(&store, true);
    assert!(has_all(&store, &one) && has_all(&store, &two));
    let did = prune(&store, false);
    assert_eq!((&would, did.images.len()), (&did, 0));
    assert_eq!(did.reclaimed, (one.layers[0].blob.len() + one.manifest.len()) as u64);
    assert_eq!(names(&store), [A]);
    assert!(has_all(&store, &two));
}

#[test]
fn an_image_has_the_names_of_all_its_manifests() {
    let (_directory, store) = new_store();
    let (one, two) = twins("word");
    one.put(&store, Some(A));
    two.put(&store, Some(B));
    for text in ["a:1", "b:1", &one.id().hex()[..12]] {
        assert_eq!(store.open_image(text).unwrap().names, [A, B], "{text}");
    }
    assert_eq!(store.open_image("a:1").unwrap().manifest, one.descriptor(), "its own blobs");
    assert_eq!(store.images().unwrap().whole.len(), 1);
    assert_eq!(prune(&store, false), Pruned::default(), "both have names");
    let error = store.remove(&one.id().hex(), false, &no_content).expect_err("two names");
    assert!(error.to_string().contains("must be forced"), "{error}");
    let removed = store.remove("a:1", false, &no_content).unwrap();
    assert_eq!((removed.untagged, removed.deleted), (vec![A.to_owned()], vec![]));
    assert_eq!(store.open_image(&one.id().hex()).unwrap().names, [B]);
    prune(&store, false);
    assert!(has_all(&store, &two) && !has_all(&store, &one));
}

#[test]
fn a_manifest_without_a_name_stays_while_the_named_one_lacks_a_layer() {
    let (_directory, store) = new_store();
    let (one, two) = twins("word");
    one.put(&store, Some(A));
    two.put(&store, Some(A));
    let layer = store.root().join("blobs/sha256").join(two.layers[0].digest.hex());
    std::fs::remove_file(layer).unwrap();
    assert_eq!(prune(&store, false), Pruned::default());
    assert!(has_all(&store, &one));
    let found = store.open_image(&one.id().to_string()).unwrap();
    assert_eq!((found.manifest, &found.names[..]), (one.descriptor(), &[A.to_owned()][..]));
    two.put(&store, Some(A));
    prune(&store, false);
    assert!(has_all(&store, &two) && !has_all(&store, &one));
}

#[test]
fn an_image_that_lost_its_only_tag_dangles_once() {
    let (_directory, store) = new_store();
    let (one, two) = twins("word");
    one.put(&store, Some(A));
    two.put(&store, Some(A));
    TestImage::small("other").put(&store, Some(A));
    let dangling = store.open_image(&one.id().to_string()).unwrap();
    assert!(dangling.names.is_empty());
    assert_eq!(store.images().unwrap().whole.len(), 2);
    let pruned = prune(&store, false);
    assert_eq!(pruned.images.len(), 1, "{pruned:?}");
    assert_eq!(pruned.images[0].deleted.first(), Some(&one.id()));
    assert_eq!(store.names().unwrap().len(), 1);
    assert!(!has_all(&store, &one) && !has_all(&store, &two));
}
