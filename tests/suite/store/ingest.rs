//! Blobs on their way in, and what keeps objects from being removed: resuming, waiting for one
//! another, healing, leases, prune.
#![allow(clippy::unwrap_used)]

use crate::support::images;
use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::images::{TestImage, new_store, no_content, put_blob};
use shalefs::oci::Digest;
use shalefs::store::{Derived, Ingest, MountRecord, Partial, Prune, Store, StoreError};

fn partial(store: &Store, digest: &Digest, size: usize) -> Partial {
    match store.ingest(digest, size as u64).expect("ingest") {
        Ingest::Partial(partial) => partial,
        Ingest::Present(blob) => panic!("{blob:?} is there already"),
    }
}

fn prune(store: &Store) -> u64 {
    let prune = Prune { all: false, filter: &|_| true, content: &no_content, dry_run: false };
    store.prune(&prune).expect("prune").reclaimed
}

#[test]
fn an_interrupted_blob_goes_on_where_it_stopped() {
    let (_directory, store) = new_store();
    let bytes = b"0123456789".repeat(100);
    let digest = Digest::sha256(&bytes);
    let mut first = partial(&store, &digest, 1000);
    first.write_all(&bytes[..300]).unwrap();
    drop(first);
    assert_eq!(store.blob(&digest, None).unwrap(), None, "not visible before it is whole");
    // Another handle, as another process would have it.
    let store = Store::open(store.root()).unwrap();
    let mut second = partial(&store, &digest, 1000);
    assert_eq!(second.have(), 300);
    let mut there = Vec::new();
    second.reader().unwrap().read_to_end(&mut there).unwrap();
    assert_eq!(there, &bytes[..300]);
    second.write_all(&bytes[300..]).unwrap();
    let blob = second.commit(&digest, 1000).unwrap();
    let mut whole = Vec::new();
    store.open_blob(&blob).unwrap().read_to_end(&mut whole).unwrap();
    assert_eq!(whole, bytes);
    assert!(matches!(store.ingest(&digest, 1000).unwrap(), Ingest::Present(_)));
}

#[test]
fn what_is_not_the_blob_is_never_visible() {
    let (_directory, store) = new_store();
    let digest = Digest::sha256(b"right");
    let mut wrong = partial(&store, &digest, 5);
    wrong.write_all(b"wrong").unwrap();
    let error = wrong.commit(&Digest::sha256(b"wrong"), 5).expect_err("digest");
    assert!(matches!(error, StoreError::DigestMismatch { .. }) && error.is_mismatch(), "{error}");
    let mut short = partial(&store, &digest, 5);
    assert_eq!(short.have(), 5, "the bytes are kept until who knows better drops them");
    short.restart().unwrap();
    short.write_all(b"righ").unwrap();
    let error = short.commit(&digest, 5).expect_err("size");
    assert!(matches!(error, StoreError::SizeMismatch { found: 4, .. }), "{error}");
    let error = store.put_document(&digest, b"wrong").expect_err("document");
    assert!(matches!(error, StoreError::DigestMismatch { .. }), "{error}");
    assert_eq!(store.blob(&digest, None).unwrap(), None);
}

#[test]
fn a_partial_file_longer_than_the_blob_begins_again() {
    let (_directory, store) = new_store();
    let digest = Digest::sha256(b"right");
    partial(&store, &digest, 100).write_all(b"far too long").unwrap();
    assert_eq!(partial(&store, &digest, 5).have(), 0);
}

#[test]
fn one_fetches_and_the_others_wait_for_it() {
    let (_directory, store) = new_store();
    let bytes = b"0123456789".repeat(1000);
    let digest = Digest::sha256(&bytes);
    let (fetched, waited) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = Store::open(store.root()).unwrap();
                let waiting = || {
                    waited.fetch_add(1, Ordering::Relaxed);
                };
                match store.ingest_or(&digest, 10_000, None, waiting).unwrap() {
                    Ingest::Present(_) => {}
                    Ingest::Partial(mut partial) => {
                        fetched.fetch_add(1, Ordering::Relaxed);
                        assert_eq!(partial.have(), 0);
                        std::thread::sleep(Duration::from_millis(50));
                        partial.write_all(&bytes).unwrap();
                        partial.commit(&digest, 10_000).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(fetched.into_inner(), 1);
    assert!(waited.into_inner() > 0, "somebody was told that it waits");
    assert_eq!(fs::read_dir(store.root().join("ingest")).unwrap().count(), 0);
}

#[test]
fn who_gives_up_leaves_its_bytes_to_who_waits() {
    let (_directory, store) = new_store();
    let digest = Digest::sha256(b"0123456789");
    let mut first = partial(&store, &digest, 10);
    first.write_all(b"0123").unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| partial(&store, &digest, 10).have());
        std::thread::sleep(Duration::from_millis(30));
        drop(first);
        assert_eq!(other.join().unwrap(), 4);
    });
}

#[test]
fn a_damaged_blob_is_replaced() {
    let (_directory, store) = new_store();
    let bytes = b"0123456789";
    let digest = Digest::sha256(bytes);
    put_blob(&store, &digest, bytes);
    let path = store.root().join("blobs/sha256").join(digest.hex());
    fs::write(&path, b"0123x56789").unwrap();
    let Ingest::Present(blob) = store.ingest(&digest, 10).unwrap() else { panic!("by size") };
    let bad = store.check_blob(&blob).unwrap().expect("one flipped byte");
    assert_eq!(bad.found, Some(Digest::sha256(b"0123x56789")));
    let Ingest::Partial(mut again) = store.ingest_or(&digest, 10, Some(&bad), || {}).unwrap()
    else {
        panic!("the bad one does not count")
    };
    again.write_all(bytes).unwrap();
    let blob = again.commit(&digest, 10).unwrap();
    assert_eq!(store.check_blob(&blob).unwrap(), None);
    // Who saw the same damage and waited finds the good one.
    assert!(matches!(store.ingest_or(&digest, 10, Some(&bad), || {}), Ok(Ingest::Present(_))));
}

#[test]
fn what_stands_in_a_blobs_place_is_not_a_blob() {
    let (_directory, store) = new_store();
    let digest = Digest::sha256(b"0123456789");
    let path = store.root().join("blobs/sha256").join(digest.hex());
    let elsewhere = store.root().join("elsewhere");
    fs::write(&elsewhere, b"0123456789").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert_eq!(store.blob(&digest, None).unwrap(), None, "a symlink");
    put_blob(&store, &digest, b"0123456789");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("x"), "x").unwrap();
    assert_eq!(store.blob(&digest, None).unwrap(), None, "a directory");
    put_blob(&store, &digest, b"0123456789");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert!(store.root().join("quarantine").is_dir(), "where the directory went");
}

#[test]
fn derived_files_are_whole_or_absent() {
    let (_directory, store) = new_store();
    let key = Digest::sha256(b"layer");
    let error = store.put_derived(Derived::Toc, key, &mut |draft| {
        draft.write_all(b"half")?;
        Err(std::io::Error::other("no more"))
    });
    assert!(error.is_err());
    assert!(store.open_derived(Derived::Toc, key).unwrap().is_none());
    store.put_derived(Derived::Toc, key, &mut |draft| draft.write_all(b"whole")).unwrap();
    let mut text = String::new();
    store.open_derived(Derived::Toc, key).unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "whole");
    assert_eq!(fs::read_dir(store.root().join("toc/sha256")).unwrap().count(), 1);
    // Even when somebody removed the directory.
    fs::remove_dir_all(store.root().join("toc")).unwrap();
    store.put_derived(Derived::Toc, key, &mut |draft| draft.write_all(b"again")).unwrap();
}

#[test]
fn prune_takes_what_nothing_needs() {
    let (_directory, store) = new_store();
    let (one, two) = (TestImage::small("one"), TestImage::small("two"));
    one.put(&store, Some("docker.io/library/a:1"));
    two.put(&store, Some("docker.io/library/a:1"));
    let toc = one.layers[0].digest;
    store.put_derived(Derived::Toc, toc, &mut |draft| draft.write_all(b"toc")).unwrap();
    put_blob(&store, &Digest::sha256(b"unreachable"), b"unreachable");
    drop(partial(&store, &Digest::sha256(b"interrupted"), 11));
    fs::write(store.root().join("ingest/.new-1-1"), "orphan").unwrap();
    fs::write(store.root().join("tree/sha256/.new-1-2"), "orphan").unwrap();
    let before = images::files(store.root());
    let dry = Prune { all: false, filter: &|_| true, content: &no_content, dry_run: true };
    let would = store.prune(&dry).unwrap();
    assert_eq!(images::files(store.root()), before, "a dry run removes nothing");
    assert_eq!(would.images[0].deleted[0], one.id());
    assert_eq!(prune(&store), would.reclaimed);
    let mut left: Vec<_> =
        two.blobs().iter().map(|(digest, _)| format!("blobs/sha256/{}", digest.hex())).collect();
    left.extend(["format", "index.json", "oci-layout"].map(str::to_owned));
    assert_eq!(
        images::files(store.root()),
        left.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    );
    // The named one goes with `all`, when the filter agrees.
    let none = Prune { all: true, filter: &|_| false, content: &no_content, dry_run: false };
    assert_eq!(store.prune(&none).unwrap().images, []);
    let all = Prune { all: true, filter: &|_| true, content: &no_content, dry_run: false };
    assert_eq!(store.prune(&all).unwrap().images[0].untagged, ["docker.io/library/a:1"]);
    assert_eq!(images::files(store.root()), ["format", "index.json", "oci-layout"]);
}

#[test]
fn prune_leaves_what_a_lease_holds() {
    let (_directory, store) = new_store();
    let (held, digest) = (Digest::sha256(b"held"), Digest::sha256(b"partial"));
    let mut lease = store.lease(&[held]).unwrap();
    lease.extend(&[digest]).unwrap();
    put_blob(&store, &held, b"held");
    drop(partial(&store, &digest, 7));
    // Another handle, as another process would have it.
    assert_eq!(prune(&Store::open(store.root()).unwrap()), 0);
    assert!(store.blob(&held, None).unwrap().is_some());
    assert_eq!(fs::read_dir(store.root().join("ingest")).unwrap().count(), 2);
    drop(lease);
    assert_eq!(prune(&store), 4, "and takes it afterwards");
    assert_eq!(fs::read_dir(store.root().join("ingest")).unwrap().count(), 0);
}

#[test]
fn prune_leaves_what_a_live_mount_needs_and_forgets_dead_ones() {
    let (_directory, store) = new_store();
    let image = TestImage::small("one");
    image.put(&store, Some("docker.io/library/a:1"));
    let opened = store.open_image("a:1").unwrap();
    let key = opened.chain();
    store.put_derived(Derived::Tree, &key, &mut |draft| draft.write_all(b"tree")).unwrap();
    let record = MountRecord {
        id: "m1".parse().unwrap(),
        image: "docker.io/library/a:1".into(),
        image_id: opened.id,
        mountpoint: "/mnt".into(),
        pid: u32::MAX,
        start_time: 0,
        since: 0,
        pinned: opened.pins(),
        device: None,
        namespace: None,
        supervisor: None,
    };
    let lock = store.record_mount(&record).unwrap();
    // The name goes to another image; the mount goes on.
    TestImage::small("two").put(&store, Some("docker.io/library/a:1"));
    prune(&store);
    for (digest, _) in image.blobs() {
        assert!(store.blob(&digest, None).unwrap().is_some(), "{digest} is mounted");
    }
    assert!(store.open_derived(Derived::Tree, &key).unwrap().is_some());
    assert_eq!(store.mounts().unwrap(), std::slice::from_ref(&record));
    drop(lock);
    prune(&store);
    assert_eq!(store.mounts().unwrap(), []);
    assert!(store.blob(&image.id(), None).unwrap().is_none());
    assert!(store.open_derived(Derived::Tree, &key).unwrap().is_none());
}

#[test]
fn prune_stops_when_it_cannot_tell_what_an_image_needs() {
    let (_directory, store) = new_store();
    let image = TestImage::small("one");
    image.put(&store, Some("docker.io/library/a:1"));
    put_blob(&store, &Digest::sha256(b"unreachable"), b"unreachable");
    let path = store.root().join("blobs/sha256").join(image.descriptor().digest.hex());
    let right = fs::read(&path).unwrap();
    let all = Prune { all: true, filter: &|_| true, content: &no_content, dry_run: false };
    for damage in [Some("{}"), None] {
        match damage {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        store.prune(&all).expect_err("the manifest is damaged");
    }
    fs::write(&path, right).unwrap();
    assert_eq!(images::names(&store), ["docker.io/library/a:1"]);
    assert!(store.prune(&all).is_ok());
}
