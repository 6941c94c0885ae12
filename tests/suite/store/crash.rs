//! "After any crash every name is the old image or the new one, whole; what is left over is
//! temporaries and unreachable objects." Every prefix of every effect of a store's life, with what
//! was not synced lost in several ways; and every single call failing.

#![allow(clippy::print_stderr, reason = "figures of the run are shown")]
#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(clippy::unwrap_used)]

use crate::support::figures;
use crate::support::images;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::support::faulty::{Fault, FaultyDisk};
use crate::support::images::{TestImage, TestLayer, no_content};
use crate::support::replay::{Forgets, Loss, RecordingDisk};
use shalefs::oci::Digest;
use shalefs::store::{Derived, Prune, Store, StoreError};

const NAME: &str = "docker.io/library/a:1";
const OTHER: &str = "docker.io/library/b:1";

/// What the derived file of a layer holds in these tests.
fn table(layer: &TestLayer) -> Vec<u8> {
    format!("table of {}", layer.digest).repeat(10).into_bytes()
}

/// Two images that share a layer, the second with a manifest of Docker's.
fn two_images() -> (TestImage, TestImage) {
    let [base, old, new] =
        ["base", "old", "new"].map(|word| TestLayer::of(&[(word, word.as_bytes())]));
    let new = TestImage::new(vec![base.clone(), new], "new").into_docker("diff.tar.gzip");
    (TestImage::new(vec![base, old], "old"), new)
}

/// Everything that a pull makes durable, in its order.
fn put(store: &Store, image: &TestImage, name: &str) -> Result<(), StoreError> {
    let _lease =
        store.lease(&image.blobs().iter().map(|(digest, _)| *digest).collect::<Vec<_>>())?;
    for layer in &image.layers {
        let size = layer.blob.len() as u64;
        if let shalefs::store::Ingest::Partial(mut partial) = store.ingest(&layer.digest, size)? {
            let have = usize::try_from(partial.have()).unwrap();
            if have > 0 && layer.blob[..have] != read(partial.reader()?) {
                partial.restart()?;
            }
            let from = usize::try_from(partial.have()).unwrap();
            for piece in layer.blob[from..].chunks(60) {
                partial.write_all(piece).map_err(io_error)?;
            }
            partial.commit(&layer.digest, size)?;
        }
        let table = table(layer);
        store.put_derived(Derived::Toc, layer.digest, &mut |draft| draft.write_all(&table))?;
    }
    store.put_document(&image.id(), &image.config)?;
    store.put_document(&image.descriptor().digest, &image.manifest)?;
    store.set_name(image.row(Some(name)))
}

fn io_error(source: std::io::Error) -> StoreError {
    StoreError::Io { path: "partial".into(), source }
}

fn read(mut reader: impl std::io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A store's life: one image, another name, the name moves to another image, names go, prune.
fn life(store: &Store, old: &TestImage, new: &TestImage) -> Result<(), StoreError> {
    put(store, old, NAME)?;
    store.tag(NAME, OTHER)?;
    put(store, new, NAME)?;
    store.remove(OTHER, false, &no_content)?;
    let prune = Prune { all: false, filter: &|_| true, content: &no_content, dry_run: false };
    store.prune(&prune)?;
    Ok(())
}

/// Every promise that must hold whatever happened before.
fn check(root: &Path, old: &TestImage, new: &TestImage) {
    let disk = Arc::new(FaultyDisk::never());
    let store = Store::open_with(root, disk).expect("a store or nothing");
    for row in store.names().expect("an index") {
        let image = store.open_image(row.name.as_deref().unwrap_or(&old.id().hex()));
        let image = image.expect("its documents are whole");
        image.blobs(&store).expect("its layers are there");
        let name = row.name.as_deref();
        assert!(image.id == old.id() || (image.id == new.id() && name == Some(NAME)));
    }
    let index = fs::read(root.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    for row in index["manifests"].as_array().into_iter().flatten() {
        let digest = row["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        assert!(root.join("blobs/sha256").join(digest).is_file(), "others find every row's blob");
        assert_eq!(row["mediaType"], images::OCI_MANIFEST, "and can read it");
    }
    for (directory, whole) in [("blobs/sha256", true), ("toc/sha256", false)] {
        let Ok(entries) = fs::read_dir(root.join(directory)) else { continue };
        for entry in entries.map(|entry| entry.unwrap()) {
            let name = entry.file_name().into_string().unwrap();
            let bytes = fs::read(entry.path()).unwrap();
            if whole {
                assert_eq!(Digest::sha256(&bytes).hex(), name, "a visible blob is whole");
            } else if !name.starts_with('.') {
                let layers = || old.layers.iter().chain(&new.layers);
                let layer = layers().find(|layer| layer.digest.hex() == name).expect("ours");
                assert_eq!(bytes, table(layer), "a visible table is whole");
            }
        }
    }
}

/// Lays out every crash of a store's life. Returns effects, crashes, and the first one that a
/// promise did not survive.
fn crashes(forgets: Forgets) -> (usize, usize, Option<String>) {
    let directory = images::quick_directory();
    let root = directory.path().join("s");
    let disk = Arc::new(RecordingDisk::new(&root, forgets));
    let store = Store::open_with(&root, Arc::clone(&disk) as Arc<_>).unwrap();
    let (old, new) = two_images();
    life(&store, &old, &new).unwrap();
    let mut losses = vec![Loss::Nothing, Loss::Everything, Loss::Bytes];
    losses.extend(disk.directories().into_iter().map(Loss::AllNamesBut));
    let mut laid_out = 0;
    for count in 0..=disk.len() {
        for loss in &losses {
            let target = directory.path().join("after");
            disk.lay_out(count, loss, &target);
            let outcome = std::panic::catch_unwind(|| {
                check(&target, &old, &new);
                // And life goes on from there, on the same disk.
                let store = Store::open_with(&target, Arc::new(FaultyDisk::never())).unwrap();
                life(&store, &old, &new).expect("a store that was cut off works");
                check(&target, &old, &new);
            });
            laid_out += 1;
            if outcome.is_err() {
                let crash = format!("after {count} effects, losing {loss:?}");
                return (disk.len(), laid_out, Some(crash));
            }
            fs::remove_dir_all(&target).unwrap();
        }
    }
    (disk.len(), laid_out, None)
}

#[test]
fn any_crash_leaves_the_old_image_or_the_new_one() {
    let (effects, crashes, broken) = crashes(Forgets::Nothing);
    eprintln!("{effects} effects, {crashes} crashes");
    assert_eq!(broken, None);
    figures::count("prefixes replayed", crashes);
    assert!(effects > 100 && crashes > 1000, "the log is real");
}

#[test]
fn the_crash_test_sees_a_missing_sync() {
    for planted in [Forgets::Syncs, Forgets::DirectorySyncs] {
        let (_, _, broken) = crashes(planted);
        figures::count("planted faults", 1);
        assert!(broken.is_some(), "{planted:?} was not noticed");
    }
}

#[test]
fn a_failing_call_is_reported_and_leaves_the_store_whole() {
    let (old, new) = two_images();
    let faults = [libc::ENOSPC, libc::EIO, libc::EMFILE].map(Fault::Errno);
    let mut struck = 0;
    for fault in faults.into_iter().chain([Fault::ShortWrite]) {
        for at in 0.. {
            let directory = images::quick_directory();
            let root = directory.path().join("s");
            let disk = Arc::new(FaultyDisk::new(at, fault));
            let result = Store::open_with(&root, Arc::clone(&disk) as Arc<_>)
                .and_then(|store| life(&store, &old, &new));
            if !disk.struck() {
                result.expect("nothing went wrong");
                break;
            }
            struck += 1;
            if let Err(error) = result {
                let text = error.to_string();
                assert!(matches!(error, StoreError::Io { .. }), "{text}");
                assert!(text.contains("os error"), "it says what the system said: {text}");
            }
            check(&root, &old, &new);
            let store = Store::open_with(&root, Arc::new(FaultyDisk::never())).unwrap();
            life(&store, &old, &new).unwrap_or_else(|error| panic!("{fault:?} at {at}: {error}"));
        }
    }
    eprintln!("{struck} calls failed, one at a time");
    figures::count("injected errors", struck);
    assert!(struck > 300, "{struck}");
}
