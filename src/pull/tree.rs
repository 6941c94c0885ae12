//! An image's tree: built once from the layers' tables, kept by ChainID, rebuilt when it is gone.
//!
//! Everything here is derived: what is missing, of another version or damaged is made again from
//! the blobs, whose bytes are hashed while that happens.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::sync::atomic::AtomicBool;

use rustix::fs::{MemfdFlags, memfd_create};

use super::documents::{ImageLayer, chain_of};
use super::layers::{rescan, run, toc_of};
use super::{Options, PullError};
use crate::layer::{Toc, TocError};
use crate::limits::Limits;
use crate::oci::{ChainId, Descriptor, Digest};
use crate::store::{BlobId, Derived, Key, Store, StoreError, StoredImage};
use crate::tree::{History, ImageTree, MergeError, Merged, Merger, RowNo, Whiteouts, table};

/// The image's tree, with all its layers' tables in place. What is missing or stale is rebuilt
/// from the blobs. Hold a [`crate::store::Lease`] on the image's pins.
pub fn ensure_tree(store: &Store, image: &StoredImage) -> Result<ImageTree, PullError> {
    ensure_tree_of(store, image, &image.blobs(store)?)
}

/// The same for who has looked for the image's blobs already.
pub fn ensure_tree_of(
    store: &Store,
    image: &StoredImage,
    blobs: &[BlobId],
) -> Result<ImageTree, PullError> {
    let layers = ensure_tables(store, image, blobs)?;
    match open(store, chain_of(&layers))? {
        Some(tree) => Ok(tree),
        None => make(store, &layers, Limits::HIGHEST),
    }
}

/// What each layer of the image did, worked out from the layers' tables anew. As for
/// [`ensure_tree`], hold a lease.
pub fn history(store: &Store, image: &StoredImage) -> Result<History, PullError> {
    let layers = ensure_tables(store, image, &image.blobs(store)?)?;
    let limits = Options::again().limits;
    let begin = || Merger::recording(limits);
    Ok(merge_healing(store, &layers, begin)?.finish_history())
}

/// The image's layers, with the tables of all in place.
fn ensure_tables(
    store: &Store,
    image: &StoredImage,
    blobs: &[BlobId],
) -> Result<Vec<ImageLayer>, PullError> {
    let layers: Vec<ImageLayer> = layers_of(image).collect();
    let options = Options::again();
    let missing: Vec<_> =
        layers.iter().zip(blobs).filter(|(layer, _)| toc_of(store, layer).is_none()).collect();
    run(&missing, options.jobs, &AtomicBool::new(false), |(layer, blob)| {
        rescan(store, layer, blob, &options.limits)
    })?;
    Ok(layers)
}

/// The layers of a stored image.
pub(super) fn layers_of(image: &StoredImage) -> impl Iterator<Item = ImageLayer> + '_ {
    image.layers.iter().map(|layer| ImageLayer {
        descriptor: Descriptor::new(&layer.media_type, layer.digest, layer.size),
        diff_id: layer.diff_id,
    })
}

/// Makes the tree of `layers` when it is missing, stale or damaged anywhere.
pub(super) fn build(store: &Store, layers: &[ImageLayer], limits: Limits) -> Result<(), PullError> {
    match open(store, chain_of(layers))? {
        Some(tree) if tree.check().is_ok() => Ok(()),
        _ => make(store, layers, limits).map(drop),
    }
}

/// The tree, when there is one that this version can read.
pub(super) fn open(store: &Store, chain: ChainId) -> Result<Option<ImageTree>, PullError> {
    let file = store.open_derived(Derived::Tree, &chain)?;
    Ok(file.and_then(|file| ImageTree::open(file, chain).ok()))
}

/// Makes the tree of `layers` from their tables.
fn make(store: &Store, layers: &[ImageLayer], limits: Limits) -> Result<ImageTree, PullError> {
    let chain = chain_of(layers);
    let merged = merge_healing(store, layers, || Merger::new(limits))?.finish();
    let mut draft = match store.draft_derived(Derived::Tree, &chain) {
        Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::ReadOnlyFilesystem => {
            return in_memory(store, &merged, chain);
        }
        draft => draft?,
    };
    let at = |source| StoreError::Io { path: store.root().join("tree"), source };
    table::write(&merged, chain, &mut draft).map_err(at)?;
    draft.flush().map_err(at)?;
    let file = store.publish_derived(Derived::Tree, &chain, draft)?;
    Ok(ImageTree::open(file, chain)?)
}

/// A tree that no store takes: for this process alone.
fn in_memory(store: &Store, merged: &Merged, chain: ChainId) -> Result<ImageTree, PullError> {
    let at = |source| StoreError::Io { path: store.root().join("tree"), source };
    let memory = memfd_create("tree", MemfdFlags::CLOEXEC).map_err(|error| at(error.into()))?;
    let mut file = File::from(memory);
    table::write(merged, chain, &mut file).map_err(at)?;
    Ok(ImageTree::open(file, chain)?)
}

/// Merges the layers' tables. One that turns out damaged on the way is made again, once.
fn merge_healing(
    store: &Store,
    layers: &[ImageLayer],
    begin: impl Fn() -> Merger,
) -> Result<Merger, PullError> {
    let mut healed = HashSet::new();
    loop {
        let error = match merge_into(store, layers, begin()) {
            Err(PullError::Merge(error)) => error,
            other => return other,
        };
        let MergeError::Source { layer: position, .. } = &error else { return Err(error.into()) };
        let layer = usize::try_from(*position).ok().and_then(|position| layers.get(position));
        let Some(layer) = layer.filter(|_| healed.insert(*position)) else {
            return Err(error.into());
        };
        log::warn!("{error}; making it again");
        let digest = layer.descriptor.digest;
        let missing = || StoreError::MissingBlob { digest, needed_by: "its table".into() };
        let blob = store.blob(&digest, Some(layer.descriptor.size))?.ok_or_else(missing)?;
        rescan(store, layer, &blob, &Options::again().limits)?;
    }
}

/// Merges the layers' tables.
pub(super) fn merge(
    store: &Store,
    layers: &[ImageLayer],
    limits: Limits,
) -> Result<Merged, PullError> {
    Ok(merge_into(store, layers, Merger::new(limits))?.finish())
}

fn merge_into(
    store: &Store,
    layers: &[ImageLayer],
    mut merger: Merger,
) -> Result<Merger, PullError> {
    for layer in layers {
        let toc = open_toc(store, &layer.descriptor.digest)?;
        let whiteouts =
            if toc.header().whiteouts == 0 { Whiteouts::None } else { Whiteouts::Possible };
        merger.layer(whiteouts, || Ok::<_, TocError>(toc.entries()))?;
    }
    Ok(merger)
}

pub(super) fn open_toc(store: &Store, digest: &Digest) -> Result<Toc, PullError> {
    let missing = || StoreError::Damaged {
        path: store.root().join("toc"),
        what: format!("the table of layer {digest} vanished"),
    };
    let file = store.open_derived(Derived::Toc, digest)?.ok_or_else(missing)?;
    let damaged = |error: TocError| StoreError::Damaged {
        path: store.root().join("toc"),
        what: format!("the table of layer {digest}: {error}"),
    };
    Ok(Toc::open(file).map_err(damaged)?)
}

/// Which of the store's content objects the files of some trees use, for
/// [`Store::remove`](crate::store::Store::remove) and [`Store::prune`](crate::store::Store::prune).
/// A tree that cannot be read uses none: content can be extracted again.
///
/// What a tree uses is found out once, at the first question, which removal asks before it locks the
/// store: a million rows take half a second. Objects that come later count as used.
pub fn content_of(store: &Store) -> impl Fn(&HashSet<Digest>, &HashSet<Key>) -> HashSet<Key> {
    let store = store.clone();
    let first: RefCell<Option<HashSet<Key>>> = RefCell::default();
    let by_tree: RefCell<HashMap<Digest, HashSet<Key>>> = RefCell::default();
    move |trees, objects| {
        let mut first = first.borrow_mut();
        let known = first.get_or_insert_with(|| objects.clone());
        let mut used: HashSet<Key> = objects.difference(known).cloned().collect();
        for digest in trees {
            let mut by_tree = by_tree.borrow_mut();
            let of_tree =
                by_tree.entry(*digest).or_insert_with(|| objects_of(&store, *digest, objects));
            used.extend(of_tree.iter().filter(|key| objects.contains(*key)).cloned());
        }
        used
    }
}

/// Which of `objects` the files of one tree use.
fn objects_of(store: &Store, tree: Digest, objects: &HashSet<Key>) -> HashSet<Key> {
    let chain = ChainId(tree);
    let Ok(Some(file)) = store.open_derived(Derived::Tree, &chain) else { return HashSet::new() };
    let Ok(tree) = ImageTree::open(file, chain) else { return HashSet::new() };
    let files = (0..tree.rows()).filter_map(|row| tree.file(RowNo(row)).ok().flatten());
    files.map(|file| Key::from(file.content.0)).filter(|key| objects.contains(key)).collect()
}
