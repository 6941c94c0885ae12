//! Images in the store: what the documents say of one, found by name or ID.
//!
//! Opening an image reads `index.json`, its manifest and its config, checks both digests, and of
//! other images reads the manifests alone, for names of the same image ([`super::same`]): neither
//! the number of files nor of other images' layers matters. Whether the layers are there is a
//! question of its own ([`StoredImage::blobs`]), so that an image with a missing layer can still be
//! listed and removed.

use std::collections::{HashMap, HashSet};

use super::index::Index;
use super::same::Ids;
use super::{BlobId, NameRow, Store, StoreError};
use crate::oci::{ChainId, Config, Descriptor, DiffId, Digest, Document, DocumentError, Reference};

/// How many hexadecimal digits of an ID people are shown.
const SHORT_ID: usize = 12;

/// A layer as manifest and config describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLayer {
    /// Of the blob, compressed as it was pulled.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// The manifest's media type.
    pub media_type: String,
    /// Of the uncompressed tar.
    pub diff_id: DiffId,
}

/// An image in the store. Its manifest and config matched their digests a moment ago.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredImage {
    /// The image ID: digest of the config.
    pub id: Digest,
    /// The platform's manifest.
    pub manifest: Descriptor,
    /// Full references in the order in which they were set, those of its other manifests too; none
    /// for a dangling image.
    pub names: Vec<String>,
    /// `(repository, digest)` pairs that a registry served it under, for RepoDigests.
    pub origins: Vec<(String, Digest)>,
    /// Bottom first.
    pub layers: Vec<StoredLayer>,
    /// The config, read leniently.
    pub config: Config,
    /// The config's bytes.
    pub config_bytes: Vec<u8>,
    /// The manifest's bytes.
    pub manifest_bytes: Vec<u8>,
}

/// An image whose manifest or config cannot be used.
#[derive(Debug)]
pub struct BrokenImage {
    /// Its names.
    pub names: Vec<String>,
    /// The manifest that they stand for.
    pub manifest: Descriptor,
    /// What is wrong.
    pub error: StoreError,
}

/// All images of a store.
#[derive(Debug, Default)]
pub struct Images {
    /// In the order in which their first name was set.
    pub whole: Vec<StoredImage>,
    /// Those that cannot be read.
    pub broken: Vec<BrokenImage>,
}

/// What a user's text stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The name of a row.
    Name(NameRow),
    /// A repository and the digest that a registry served: the row with that origin.
    Origin(NameRow),
    /// The beginning of an image ID.
    Id(Digest),
}

impl StoredImage {
    /// The identity of all its layers together, and the key of its tree.
    pub fn chain(&self) -> ChainId {
        ChainId::or_empty(&self.diff_ids())
    }

    /// The layers' DiffIDs, bottom first.
    pub fn diff_ids(&self) -> Vec<DiffId> {
        self.layers.iter().map(|layer| layer.diff_id).collect()
    }

    /// Bytes of all its layers as they were pulled.
    pub fn compressed_size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// The first twelve digits of the ID.
    pub fn short_id(&self) -> String {
        short(&self.id)
    }

    /// Whether a tag stands for it. One that only digests stand for is dangling, as in Docker.
    pub fn has_tag(&self) -> bool {
        self.names.iter().any(|name| !name.contains('@'))
    }

    /// Everything that a mount of it needs, for [`Store::lease`] and [`super::MountRecord`].
    pub fn pins(&self) -> Vec<Digest> {
        let layers = self.layers.iter().map(|layer| layer.digest);
        let documents = [self.manifest.digest, self.id];
        documents.into_iter().chain(layers).chain([self.chain().0]).collect()
    }

    /// The layers' blobs, bottom first, when all are in the store.
    pub fn blobs(&self, store: &Store) -> Result<Vec<BlobId>, StoreError> {
        let present = |layer: &StoredLayer| {
            let missing = || StoreError::MissingBlob {
                digest: layer.digest,
                needed_by: self.names.first().cloned().unwrap_or_else(|| self.short_id()),
            };
            store.blob(&layer.digest, Some(layer.size))?.ok_or_else(missing)
        };
        self.layers.iter().map(present).collect()
    }
}

/// The first twelve digits of an image ID.
pub(super) fn short(id: &Digest) -> String {
    id.hex().chars().take(SHORT_ID).collect()
}

impl Store {
    /// The image that `text` stands for: a reference first, then the beginning of an ID.
    pub fn open_image(&self, text: &str) -> Result<StoredImage, StoreError> {
        let index = self.index()?;
        let mut image = self.load(&index, &self.manifest_in(&index, text)?)?;
        self.ids(&index).gather(&index, &mut image);
        Ok(image)
    }

    /// The same with the references of its manifest alone: no other image's documents are read to
    /// find it by a name, however many there are.
    pub fn open_to_mount(&self, text: &str) -> Result<StoredImage, StoreError> {
        let index = self.index()?;
        self.load(&index, &self.manifest_in(&index, text)?)
    }

    /// The manifest that `text` stands for, whether it is whole or not.
    pub fn manifest_of(&self, text: &str) -> Result<Descriptor, StoreError> {
        self.manifest_in(&self.index()?, text)
    }

    fn manifest_in(&self, index: &Index, text: &str) -> Result<Descriptor, StoreError> {
        match self.find(index, text)? {
            Found::Name(row) | Found::Origin(row) => Ok(row.manifest),
            Found::Id(id) => self.by_id(index, &id, text),
        }
    }

    /// The image of a manifest, whether a name stands for it or not, with the references of that
    /// manifest alone.
    pub fn image_of(&self, manifest: &Descriptor) -> Result<StoredImage, StoreError> {
        self.load(&self.index()?, manifest)
    }

    /// All images, each once however many names it has.
    pub fn images(&self) -> Result<Images, StoreError> {
        Ok(self.images_of(&self.index()?))
    }

    pub(super) fn images_of(&self, index: &Index) -> Images {
        let Images { whole: all, broken } = self.by_manifest(index);
        let ids = all.iter().map(|image| (image.manifest.digest, image.id));
        let damaged = broken.iter().map(|image| &image.manifest);
        let damaged = damaged.filter_map(|of| Some((of.digest, self.image_id(of).ok()?)));
        let ids: Ids = ids.chain(damaged).collect();
        let mut images: Vec<Vec<StoredImage>> = Vec::new();
        let mut positions = HashMap::new();
        for image in all {
            let position = *positions.entry(image.id).or_insert(images.len());
            match images.get_mut(position) {
                Some(same) => same.push(image),
                None => images.push(vec![image]),
            }
        }
        let mut whole: Vec<_> = images.into_iter().filter_map(|same| self.best(same)).collect();
        for image in &mut whole {
            ids.gather(index, image);
        }
        Images { whole, broken }
    }

    /// The images with each manifest by itself, and its own references.
    pub(super) fn by_manifest(&self, index: &Index) -> Images {
        let mut images = Images::default();
        let mut seen = HashSet::new();
        for row in index.images().filter(|row| seen.insert(row.manifest.digest)) {
            match self.load(index, &row.manifest) {
                Ok(image) => images.whole.push(image),
                Err(error) => {
                    let names = names_of(index, &row.manifest.digest);
                    images.broken.push(BrokenImage {
                        names,
                        manifest: row.manifest.clone(),
                        error,
                    });
                }
            }
        }
        images
    }

    /// What `text` stands for. A damaged image elsewhere in the store does not get in the way.
    pub(super) fn find(&self, index: &Index, text: &str) -> Result<Found, StoreError> {
        if let Ok(reference) = text.parse::<Reference>() {
            let canonical = reference.canonical();
            if let Some(row) = index.images().find(|row| row.name.as_ref() == Some(&canonical)) {
                return Ok(Found::Name(row.clone()));
            }
            let served = reference.digest().map(|digest| (reference.name(), *digest));
            if let Some(row) = index.images().find(|row| served.is_some() && row.origin == served) {
                return Ok(Found::Origin(row.clone()));
            }
        }
        self.find_id(index, text).map(Found::Id)
    }

    fn find_id(&self, index: &Index, text: &str) -> Result<Digest, StoreError> {
        let no_such = || StoreError::NoSuchImage { text: text.to_owned() };
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.is_empty() || !digits.bytes().all(hex) {
            return Err(no_such());
        }
        let mut matches: Vec<(Digest, Vec<String>)> = Vec::new();
        for row in index.images() {
            let Ok(id) = self.image_id(&row.manifest) else { continue };
            if !id.hex().starts_with(digits) {
                continue;
            }
            let position = matches.iter().position(|(known, _)| *known == id);
            let position = position.unwrap_or_else(|| {
                matches.push((id, Vec::new()));
                matches.len() - 1
            });
            if let Some((_, names)) = matches.get_mut(position) {
                names.extend(row.name.clone());
            }
        }
        match matches.as_slice() {
            [] => Err(no_such()),
            [(id, _)] => Ok(*id),
            several => {
                let candidate = |(id, names): &(Digest, Vec<String>)| match names.first() {
                    Some(name) => format!("{} ({name})", short(id)),
                    None => short(id),
                };
                let candidates = several.iter().map(candidate).collect();
                Err(StoreError::Ambiguous { text: text.to_owned(), candidates })
            }
        }
    }

    /// The manifest of the image `id` to show it by; a damaged one when there is no other.
    fn by_id(&self, index: &Index, id: &Digest, text: &str) -> Result<Descriptor, StoreError> {
        let ids = self.ids(index);
        let rows = || index.images().filter(|row| ids.of(row) == Some(*id));
        let images = rows().filter_map(|row| self.load(index, &row.manifest).ok()).collect();
        let best = self.best(images).map(|image| image.manifest);
        let best = best.or_else(|| rows().next().map(|row| row.manifest.clone()));
        best.ok_or_else(|| StoreError::NoSuchImage { text: text.to_owned() })
    }

    /// The digest of the config that a manifest names.
    pub(super) fn image_id(&self, manifest: &Descriptor) -> Result<Digest, StoreError> {
        let bytes = self.need(&manifest.digest, "index.json")?;
        match Document::parse(&bytes, &manifest.media_type) {
            Ok(Document::Manifest(parsed)) => Ok(parsed.config.digest),
            Ok(Document::Index(_)) => Err(not_a_manifest(manifest)),
            Err(source) => Err(StoreError::Document { digest: manifest.digest, source }),
        }
    }

    pub(super) fn load(
        &self,
        index: &Index,
        manifest: &Descriptor,
    ) -> Result<StoredImage, StoreError> {
        let names = names_of(index, &manifest.digest);
        let needed_by = names.first().map_or("index.json", String::as_str);
        let manifest_bytes = self.need(&manifest.digest, needed_by)?;
        let bad = |digest: Digest| move |source| StoreError::Document { digest, source };
        let parsed = Document::parse(&manifest_bytes, &manifest.media_type);
        let Document::Manifest(parsed) = parsed.map_err(bad(manifest.digest))? else {
            return Err(not_a_manifest(manifest));
        };
        let config_bytes = self.need(&parsed.config.digest, needed_by)?;
        let config = Config::parse(&config_bytes).map_err(bad(parsed.config.digest))?;
        let layers = parsed.image_layers().map_err(bad(manifest.digest))?;
        let diff_ids = config.diff_ids(layers.len()).map_err(bad(parsed.config.digest))?;
        let layers = layers.into_iter().zip(diff_ids).map(|(layer, diff_id)| StoredLayer {
            digest: layer.descriptor.digest,
            size: layer.descriptor.size,
            media_type: layer.descriptor.media_type,
            diff_id: *diff_id,
        });
        let layers = layers.collect();
        let mut origins = Vec::new();
        for row in index.images().filter(|row| row.manifest.digest == manifest.digest) {
            origins.extend(row.origin.clone().filter(|origin| !origins.contains(origin)));
        }
        let (id, manifest) = (parsed.config.digest, manifest.clone());
        Ok(StoredImage {
            id,
            manifest,
            names,
            origins,
            layers,
            config,
            config_bytes,
            manifest_bytes,
        })
    }

    /// A document that must be there.
    fn need(&self, digest: &Digest, needed_by: &str) -> Result<Vec<u8>, StoreError> {
        self.document(digest)?.ok_or_else(|| StoreError::MissingBlob {
            digest: *digest,
            needed_by: needed_by.to_owned(),
        })
    }
}

fn names_of(index: &Index, manifest: &Digest) -> Vec<String> {
    let rows = index.images().filter(|row| row.manifest.digest == *manifest);
    rows.filter_map(|row| row.name.clone()).collect()
}

fn not_a_manifest(manifest: &Descriptor) -> StoreError {
    let source = DocumentError::Disagreement {
        declared: manifest.media_type.clone(),
        own: "application/vnd.oci.image.index.v1+json".into(),
    };
    StoreError::Document { digest: manifest.digest, source }
}
