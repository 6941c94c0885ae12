//! Manifests of one image: an image is its config, and several manifests can name one.
//!
//! The layers of an image compressed anew have other digests, so the manifest is another one: so it
//! is after `save` and `load`, or when a tag moves to a new compression. Such manifests have rows
//! of their own, because each stands for other blobs, but people see one image with all names. A
//! row without a name whose image has one is not an image that dangles: `prune` drops it, as soon
//! as nothing is lost with it.

use std::collections::{HashMap, HashSet};

use super::index::Index;
use super::{NameRow, Store, StoredImage};
use crate::oci::{Descriptor, Digest};

/// Image IDs by the digests of manifests. A damaged manifest is of no image.
#[derive(Debug, Default)]
pub(super) struct Ids(HashMap<Digest, Digest>);

impl FromIterator<(Digest, Digest)> for Ids {
    fn from_iter<T: IntoIterator<Item = (Digest, Digest)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Ids {
    /// The image that a row stands for.
    pub fn of(&self, row: &NameRow) -> Option<Digest> {
        self.0.get(&row.manifest.digest).copied()
    }

    /// Gives an image the references of all its manifests.
    pub fn gather(&self, index: &Index, image: &mut StoredImage) {
        let own = image.manifest.digest;
        let is = |row: &&NameRow| row.manifest.digest == own || self.of(row) == Some(image.id);
        let rows: Vec<&NameRow> = index.images().filter(is).collect();
        image.names = rows.iter().filter_map(|row| row.name.clone()).collect();
        image.origins.clear();
        for origin in rows.iter().filter_map(|row| row.origin.as_ref()) {
            if !image.origins.contains(origin) {
                image.origins.push(origin.clone());
            }
        }
    }
}

impl Store {
    /// Reads every manifest that the index names.
    pub(super) fn ids(&self, index: &Index) -> Ids {
        let id = |row: &NameRow| Some((row.manifest.digest, self.image_id(&row.manifest).ok()?));
        index.images().filter_map(id).collect()
    }

    /// Of the manifests of one image, the one to show it by: one whose layers are there, then one
    /// with a tag, with a name, with a digest; of equal ones the last. The images have only the
    /// references of their own manifests.
    pub(super) fn best(&self, images: Vec<StoredImage>) -> Option<StoredImage> {
        images.into_iter().max_by_key(|image| {
            let (named, served) = (!image.names.is_empty(), !image.origins.is_empty());
            (image.blobs(self).is_ok(), image.has_tag(), named, served)
        })
    }

    /// Drops the rows without a name of other manifests than those that have the image's names,
    /// when one of these has all its layers; what a registry served the image under goes to that
    /// one. Returns whether there were any.
    pub(super) fn drop_nameless(&self, index: &mut Index, ids: &Ids) -> bool {
        let heirs = self.heirs(index, ids);
        let goes = |row: &NameRow| row.name.is_none() && heirs.of(ids, row).is_some();
        let mut dropped = false;
        while let Some(row) = index.take(goes) {
            dropped = true;
            if let Some(heir) = heirs.of(ids, &row) {
                index.keep_origin(NameRow { manifest: heir.clone(), ..row });
            }
        }
        dropped
    }

    /// By image, a manifest that has a name and all its layers.
    fn heirs(&self, index: &Index, ids: &Ids) -> Heirs {
        let nameless = index.images().filter(|row| row.name.is_none());
        let wanted: HashSet<Digest> = nameless.filter_map(|row| ids.of(row)).collect();
        let whole = |row: &NameRow| {
            self.load(index, &row.manifest).is_ok_and(|image| image.blobs(self).is_ok())
        };
        let mut heirs = HashMap::new();
        for row in index.images().filter(|row| row.name.is_some()) {
            let Some(id) = ids.of(row).filter(|id| wanted.contains(id)) else { continue };
            if !heirs.contains_key(&id) && whole(row) {
                heirs.insert(id, row.manifest.clone());
            }
        }
        let named = index.images().filter(|row| row.name.is_some());
        let named = named.map(|row| row.manifest.digest).collect();
        Heirs { heirs, named }
    }
}

/// Which rows without a name are of no use, and what takes their place.
struct Heirs {
    /// By image ID.
    heirs: HashMap<Digest, Descriptor>,
    /// Manifests with names: their rows without one hold further digests that they were served by.
    named: HashSet<Digest>,
}

impl Heirs {
    /// What takes the place of a row, when something does.
    fn of(&self, ids: &Ids, row: &NameRow) -> Option<&Descriptor> {
        self.heirs.get(&ids.of(row)?).filter(|_| !self.named.contains(&row.manifest.digest))
    }
}
