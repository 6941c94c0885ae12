//! Who may read a store, and which stores are not used because somebody else could change them.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::support::images::{TestImage, new_store};
use crate::support::require::is_root;
use rustix::fs::FlockOperation;
use shalefs::oci::Digest;
use shalefs::store::{Derived, Key, Prune, Readers, Store, StoreError};

const NOBODY: u32 = 65534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Every directory and document of a store.
fn places(store: &Store) -> Vec<std::path::PathBuf> {
    let mut places = Vec::new();
    let mut waiting = vec![store.root().to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path.clone());
            }
            if path.is_dir() || directory == store.root() {
                places.push(path);
            }
        }
    }
    places
}

#[test]
fn a_store_that_others_may_write_to_anywhere_is_refused() {
    let (_directory, store) = new_store();
    TestImage::small("one").put(&store, Some("docker.io/library/a:1"));
    store.make_derived_dirs();
    let places = places(&store);
    assert!(places.len() > 10, "{places:?}");
    for path in places {
        let mode = fs::metadata(&path).unwrap().mode();
        for open in [0o777, 0o720, 0o702] {
            set_mode(&path, open);
            let opened = Store::open(store.root());
            assert!(
                matches!(opened, Err(StoreError::Unsafe { .. })),
                "{} {open:o}",
                path.display()
            );
        }
        set_mode(&path, mode);
        Store::open(store.root()).unwrap();
        if is_root() {
            chown(&path, Some(NOBODY), None).unwrap();
            let opened = Store::open(store.root());
            assert!(matches!(opened, Err(StoreError::Unsafe { .. })), "{}", path.display());
            chown(&path, Some(0), None).unwrap();
        }
    }
    // `verify` looks at it all the same, to say so.
    set_mode(&store.root().join("blobs"), 0o777);
    assert!(Store::open_damaged(store.root()).is_ok());
}

#[test]
fn a_directory_of_somebody_else_is_left_as_it_is() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    set_mode(directory.path(), 0o755);
    let error = Store::open(directory.path()).expect_err("it is another user's");
    assert!(matches!(error, StoreError::Unsafe { .. }), "{error}");
    let found = fs::metadata(directory.path()).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o755, NOBODY));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn what_comes_into_a_shared_store_is_shared() {
    let (_directory, store) = new_store();
    let store = Store::open_shared(store.root(), Readers::All).unwrap();
    TestImage::small("one").put(&store, Some("docker.io/library/a:1"));
    let image = store.open_image("a:1").unwrap();
    let key = image.chain();
    store
        .put_derived(Derived::Tree, &key, &mut |draft| std::io::Write::write_all(draft, b"t"))
        .unwrap();
    let mut files = 0;
    let mut waiting = vec![store.root().join("blobs"), store.root().join("tree")];
    while let Some(path) = waiting.pop() {
        let mode = fs::metadata(&path).unwrap().mode() & 0o7777;
        if path.is_dir() {
            assert_eq!(mode, 0o755, "{}", path.display());
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert_eq!(mode, 0o644, "{}", path.display());
            files += 1;
        }
    }
    assert!(files >= 4, "{files}");
    assert_eq!(Store::open(store.root()).unwrap().readers(), Readers::All);
}

#[test]
fn a_held_image_keeps_its_objects_and_one_in_use_its_name() {
    let (_directory, store) = new_store();
    let image = TestImage::small("one");
    let blobs = |store: &Store| {
        image.blobs().iter().all(|(digest, _)| store.blob(digest, None).unwrap().is_some())
    };
    image.put(&store, Some("docker.io/library/a:1"));
    let opened = store.open_image("a:1").unwrap();
    let other = Store::open(store.root()).unwrap();
    let none = &crate::support::images::no_content;
    // In use: neither its name nor its objects go, forced or not.
    let hold = store.hold_in_use(&opened).unwrap();
    let clone = hold.clone();
    drop(hold);
    assert!(matches!(other.remove("a:1", true, none), Err(StoreError::Running { .. })));
    drop(clone);
    // Read: its name goes, its objects stay until it is let go.
    let hold = store.hold(&opened).unwrap();
    other.remove("a:1", false, none).unwrap();
    assert!(blobs(&store));
    let all = Prune { all: true, filter: &|_| true, content: none, dry_run: false };
    other.prune(&all).unwrap();
    assert!(blobs(&store), "prune asks too");
    assert!(store.hold(&opened).is_err(), "what has no name any more is not held anew");
    drop(hold);
    other.prune(&all).unwrap();
    assert!(!blobs(&store));
}

#[test]
fn what_trees_use_is_found_out_before_the_store_is_locked() {
    let (_directory, store) = new_store();
    let image = TestImage::small("one");
    image.put(&store, Some("docker.io/library/a:1"));
    let key = store.open_image("a:1").unwrap().chain();
    let write = |draft: &mut shalefs::store::Draft| std::io::Write::write_all(draft, b"x");
    store.put_derived(Derived::Tree, &key, &mut |draft| write(draft)).unwrap();
    store.put_derived(Derived::Content, [7; 32], &mut |draft| write(draft)).unwrap();
    let asked = std::cell::RefCell::new(Vec::new());
    let content = |trees: &HashSet<Digest>, objects: &HashSet<Key>| {
        let lock = fs::File::open(store.root().join("lock")).unwrap();
        let free = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        asked.borrow_mut().push((free, trees.contains(&key.0)));
        objects.clone()
    };
    let prune = Prune { all: false, filter: &|_| true, content: &content, dry_run: false };
    store.prune(&prune).unwrap();
    assert_eq!(*asked.borrow(), [(true, true), (false, true)]);
}

#[test]
fn a_tree_is_read_once_however_often_it_is_asked_about() {
    let (_directory, store) = new_store();
    let content = shalefs::pull::content_of(&store);
    let (first, later) = (Key::from([1; 32]), Key::from([2; 32]));
    let trees = HashSet::from([Digest::sha256(b"no tree")]);
    assert!(content(&trees, &HashSet::from([first.clone()])).is_empty());
    // What was extracted since then may be used by somebody, and stays.
    let both = HashSet::from([first, later.clone()]);
    assert_eq!(content(&trees, &both), HashSet::from([later]));
}
