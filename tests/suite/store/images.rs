//! The store as a place for images: opening one, names, lookup, `tag`, `rm`.
#![allow(clippy::unwrap_used)]

use crate::support::images;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::images::{TestImage, TestLayer, names, new_store, no_content};
use shalefs::oci::{ChainId, Digest};
use shalefs::store::{MountRecord, NameRow, Store, StoreError};
use shalefs::sys::process;

const A: &str = "docker.io/library/a:1";
const B: &str = "docker.io/library/b:1";

#[test]
fn a_new_store_is_an_oci_layout_that_nobody_else_may_read() {
    let (_directory, store) = new_store();
    TestImage::small("one").put(&store, Some(A));
    let layout = fs::read_to_string(store.root().join("oci-layout")).unwrap();
    assert_eq!(layout, r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = fs::read_to_string(store.root().join("index.json")).unwrap();
    assert!(index.contains(r#""org.opencontainers.image.ref.name": "docker.io/library/a:1""#));
    let mut waiting = vec![store.root().to_owned()];
    while let Some(path) = waiting.pop() {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[test]
fn a_directory_with_something_else_in_it_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(directory.path().join("thesis.tex"), "x").unwrap();
    let error = Store::open(directory.path()).expect_err("not ours");
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    assert_eq!(images::files(directory.path()), ["thesis.tex"], "and left alone");
    // Another tool's layout is not a store either.
    let layout = tempfile::tempdir().unwrap();
    fs::set_permissions(layout.path(), fs::Permissions::from_mode(0o700)).unwrap();
    images::write_layout(layout.path(), &[(&TestImage::small("one"), "a")]);
    assert!(matches!(Store::open(layout.path()), Err(StoreError::NotAStore { .. })));
}

#[test]
fn a_newer_format_is_refused_in_words() {
    let (_directory, store) = new_store();
    fs::write(store.root().join("format"), r#"{"format":7}"#).unwrap();
    let error = Store::open(store.root()).expect_err("newer").to_string();
    assert!(
        error.ends_with("the store has format 7, this program knows formats up to 1"),
        "{error}"
    );
}

#[test]
fn a_store_that_others_may_write_to_is_refused() {
    let (_directory, store) = new_store();
    fs::set_permissions(store.root(), fs::Permissions::from_mode(0o770)).unwrap();
    let error = Store::open(store.root()).expect_err("group may write");
    assert!(error.to_string().contains("others may write to the store (mode 0770)"), "{error}");
}

#[test]
fn names_move_and_the_old_image_dangles() {
    let (_directory, store) = new_store();
    let (one, two) = (TestImage::small("one"), TestImage::small("two"));
    one.put(&store, Some(A));
    two.put(&store, Some(A));
    assert_eq!(store.open_image("a:1").unwrap().id, two.id());
    let old = store.open_image(&one.id().hex()[..12]).expect("still there by ID");
    assert!(old.names.is_empty(), "dangling: {:?}", old.names);
    // A name given back takes the dangling row along.
    store.tag(&one.id().to_string(), B).unwrap();
    assert_eq!(names(&store), [A, B]);
    assert_eq!(store.names().unwrap().len(), 2, "no row without a name is left");
    // A name moved away from an image that has another leaves nothing dangling.
    store.tag("b:1", A).unwrap();
    store.tag(&two.id().hex(), B).unwrap();
    assert_eq!(store.names().unwrap().len(), 2);
}

#[test]
fn lookup_takes_the_name_before_the_id() {
    let (_directory, store) = new_store();
    let (one, two) = (TestImage::small("one"), TestImage::small("two"));
    one.put(&store, Some(A));
    let prefix = &one.id().hex()[..4];
    two.put(&store, Some(&format!("docker.io/library/{prefix}:latest")));
    assert_eq!(store.open_image(prefix).unwrap().id, two.id(), "a name that looks like an ID");
    assert_eq!(store.open_image(&one.id().hex()[..6]).unwrap().id, one.id());
    assert_eq!(store.open_image(&one.id().to_string()).unwrap().id, one.id());
    let error = store.open_image("nothing:1").expect_err("no such");
    assert_eq!(error.to_string(), "no such image: nothing:1");
}

#[test]
fn an_ambiguous_prefix_lists_its_candidates() {
    let (_directory, store) = new_store();
    let mut by_digit: Vec<Option<TestImage>> = vec![None; 16];
    // Seventeen images cannot all begin with different digits.
    for number in 0..17 {
        let image = TestImage::small(&number.to_string());
        let digit = usize::from_str_radix(&image.id().hex()[..1], 16).unwrap();
        if let Some(other) = by_digit[digit].replace(image.clone()) {
            image.put(&store, Some(A));
            other.put(&store, Some(B));
            let error = store.open_image(&image.id().hex()[..1]).expect_err("two").to_string();
            assert!(error.contains(" is ambiguous: "), "{error}");
            for (image, name) in [(&image, A), (&other, B)] {
                assert!(
                    error.contains(&format!("{} ({name})", &image.id().hex()[..12])),
                    "{error}"
                );
            }
            return;
        }
    }
    unreachable!("seventeen images, sixteen digits");
}

#[test]
fn a_digest_that_a_registry_served_finds_the_image() {
    let (_directory, store) = new_store();
    let image = TestImage::small("one");
    image.put(&store, Some(A));
    let list = Digest::sha256(b"the list");
    let origin = Some(("docker.io/library/a".to_owned(), list));
    store.set_name(NameRow { origin, ..image.row(Some(A)) }).unwrap();
    assert_eq!(store.open_image(&format!("a@{list}")).unwrap().id, image.id());
    assert!(store.open_image(&format!("b@{list}")).is_err(), "of another repository");
    let removed = store.remove("a:1", false, &no_content).unwrap();
    assert_eq!(removed.untagged, [A.to_owned(), format!("docker.io/library/a@{list}")]);
}

#[test]
fn rm_of_one_of_several_names_only_untags() {
    let (_directory, store) = new_store();
    let image = TestImage::small("one");
    image.put(&store, Some(A));
    store.tag("a:1", B).unwrap();
    let removed = store.remove("a:1", false, &no_content).unwrap();
    assert_eq!((removed.untagged, removed.deleted), (vec![A.to_owned()], vec![]));
    assert_eq!(store.open_image("b:1").unwrap().id, image.id());
}

#[test]
fn rm_deletes_the_image_and_keeps_what_others_need() {
    let (_directory, store) = new_store();
    let layers = ["base", "middle", "top"].map(|word| TestLayer::of(&[(word, word.as_bytes())]));
    let one = TestImage::new(layers.to_vec(), "one");
    let two = TestImage::new(vec![layers[0].clone(), layers[2].clone()], "two");
    one.put(&store, Some(A));
    two.put(&store, Some(B));
    let removed = store.remove("a:1", false, &no_content).unwrap();
    let chain = |count: usize| {
        let diff_ids: Vec<_> = layers[..count].iter().map(|layer| layer.diff_id).collect();
        ChainId::of(&diff_ids).unwrap().0
    };
    assert_eq!(removed.deleted, [one.id(), chain(3), chain(2)], "not the shared lowest layer");
    let gone = layers[1].blob.len() + one.config.len() + one.manifest.len();
    assert_eq!(removed.reclaimed, gone as u64);
    for (digest, _) in two.blobs() {
        assert!(store.blob(&digest, None).unwrap().is_some(), "{digest} is still needed");
    }
    assert!(store.blob(&layers[1].digest, None).unwrap().is_none());
}

#[test]
fn rm_by_id_with_several_names_must_be_forced() {
    let (_directory, store) = new_store();
    let image = TestImage::small("one");
    image.put(&store, Some(A));
    store.tag("a:1", B).unwrap();
    let id = image.id().hex();
    let error = store.remove(&id, false, &no_content).expect_err("two names");
    assert!(error.to_string().contains("must be forced"), "{error}");
    assert_eq!(names(&store), [A, B], "nothing changed");
    let removed = store.remove(&id, true, &no_content).unwrap();
    assert_eq!(removed.untagged, [A, B]);
    assert_eq!(store.names().unwrap(), []);
    assert!(!images::files(store.root()).iter().any(|name| name.starts_with("blobs/")));
}

#[test]
fn a_mounted_image_is_not_removed() {
    let (_directory, store) = new_store();
    let image = TestImage::small("one");
    image.put(&store, Some(A));
    let mut record = record_of(&store, "a:1");
    let lock = store.record_mount(&record).unwrap();
    for force in [false, true] {
        let error = store.remove("a:1", force, &no_content).expect_err("mounted");
        assert_eq!(error.to_string(), "image a:1 is in use: mounted on /mnt/a");
    }
    // One of two names can go.
    store.tag("a:1", B).unwrap();
    assert_eq!(store.remove("b:1", false, &no_content).unwrap().untagged, [B]);
    // A server in another process id name space is known by its lock alone.
    record.start_time += 1;
    drop(lock);
    let lock = store.record_mount(&record).unwrap();
    assert!(store.remove("a:1", false, &no_content).is_err());
    drop(lock);
    assert_eq!(store.remove("a:1", false, &no_content).unwrap().deleted[0], image.id());
}

fn record_of(store: &Store, text: &str) -> MountRecord {
    let image = store.open_image(text).unwrap();
    let pid = std::process::id();
    MountRecord {
        id: "abc123".parse().unwrap(),
        image: image.names[0].clone(),
        image_id: image.id,
        mountpoint: "/mnt/a".into(),
        pid,
        start_time: process::start_time(pid).expect("we run"),
        since: 0,
        pinned: image.pins(),
        device: None,
        namespace: None,
        supervisor: None,
    }
}

#[test]
fn an_image_with_a_damaged_manifest_can_be_removed() {
    let (_directory, store) = new_store();
    let (one, two) = (TestImage::small("one"), TestImage::small("two"));
    one.put(&store, Some(A));
    two.put(&store, Some(B));
    fs::write(store.root().join("blobs/sha256").join(one.descriptor().digest.hex()), "x").unwrap();
    let listed = store.images().unwrap();
    assert_eq!(listed.whole.len(), 1);
    assert_eq!(listed.broken[0].names, [A]);
    assert!(matches!(listed.broken[0].error, StoreError::DigestMismatch { .. }));
    // What it needed cannot be told, so nothing else is removed while it has a name.
    store.remove("b:1", false, &no_content).expect_err("another image is damaged");
    store.remove("a:1", false, &no_content).expect("its name can go");
    assert_eq!(store.remove("b:1", false, &no_content).unwrap().deleted[0], two.id());
}

#[test]
fn the_format_is_the_one_that_is_written_down() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/store-format.md");
    let page = fs::read_to_string(page).unwrap();
    let format = shalefs::store::FORMAT;
    assert!(page.starts_with(&format!("# The store, format {format}\n")), "the page's title");
    let (_directory, store) = new_store();
    let written = fs::read_to_string(store.root().join("format")).unwrap();
    assert_eq!(written, format!("{{\"format\":{format}}}\n"));
    // Every file that a new store has is on the page.
    for entry in fs::read_dir(store.root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&format!("  {name}")), "{name} is not on the page");
    }
}
