//! What a mount shows: a tree, the layers behind it, and what must stay for it.

use super::Error;
use crate::oci::Digest;
use crate::pull;
use crate::store::{BlobId, Hold, Store, StoredImage};
use crate::tree::ImageTree;

/// What a mount shows.
#[derive(Debug)]
pub struct View {
    /// The name that the mount table shows as the source: the reference, canonical.
    pub image: String,
    /// Digest of the config.
    pub image_id: Digest,
    /// The names.
    pub tree: ImageTree,
    /// The layers that the tree speaks of, bottom first.
    pub layers: Vec<BlobId>,
    /// The number of the lowest of them in the image as it was pulled.
    pub first_layer: u32,
    /// Everything that must stay in the store while it is mounted.
    pub pinned: Vec<Digest>,
    /// Keeps it there.
    pub hold: Hold,
}

impl View {
    /// The whole of `image`, called `name`. To show some of its layers, take the others out of
    /// `image` before. Tables that are missing are made again, which takes as long as unpacking;
    /// otherwise nothing here depends on the number of files.
    pub fn of(store: &Store, image: &StoredImage, name: &str) -> Result<Self, Error> {
        // Before looking whether anything is there: what is found then stays.
        Self::held(store, image, name, store.hold(image)?)
    }

    /// The same of an image that `hold` keeps in the store.
    pub fn held(store: &Store, image: &StoredImage, name: &str, hold: Hold) -> Result<Self, Error> {
        let layers = image.blobs(store)?;
        Ok(Self {
            image: name.to_owned(),
            image_id: image.id,
            tree: pull::ensure_tree_of(store, image, &layers)?,
            layers,
            first_layer: 0,
            pinned: image.pins(),
            hold,
        })
    }
}
