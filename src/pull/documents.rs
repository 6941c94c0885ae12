//! From a name to an image's documents: root, list, manifest, config, all checked, in memory.
//!
//! A document that the store has is taken from there: its digest says that it is the same.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{Options, PullError};
use crate::layer::Expected;
use crate::oci::{
    ChainId, ChoiceError, Config, Descriptor, DiffId, Digest, Document, DocumentError, Layer,
    Manifest, Platform, choose, escaped,
};
use crate::source::{Fetched, Source};
use crate::store::Store;

/// An image as its documents describe it.
#[derive(Debug)]
pub(super) struct Found {
    root: Fetched,
    /// The platform's manifest.
    pub manifest: Descriptor,
    manifest_bytes: Vec<u8>,
    config: Digest,
    config_bytes: Vec<u8>,
    /// Bottom first.
    pub layers: Vec<ImageLayer>,
}

/// A layer to be had.
#[derive(Debug, Clone)]
pub(super) struct ImageLayer {
    /// What the manifest says of it.
    pub descriptor: Descriptor,
    /// What the config says of it.
    pub diff_id: DiffId,
}

impl ImageLayer {
    /// What a pass over it must find.
    pub fn expected(&self) -> Expected {
        Expected {
            digest: self.descriptor.digest,
            size: self.descriptor.size,
            diff_id: Some(self.diff_id),
        }
    }
}

/// The key of the tree of `layers`. An image without layers has an empty tree, under the digest
/// of nothing.
pub(super) fn chain_of(layers: &[ImageLayer]) -> ChainId {
    let diff_ids: Vec<DiffId> = layers.iter().map(|layer| layer.diff_id).collect();
    ChainId::or_empty(&diff_ids)
}

impl Found {
    /// Everything that must stay in the store until the image has a name.
    pub fn digests(&self) -> Vec<Digest> {
        let documents = [self.root.descriptor.digest, self.manifest.digest, self.config];
        let layers = self.layers.iter().map(|layer| layer.descriptor.digest);
        documents.into_iter().chain(layers).chain([chain_of(&self.layers).0]).collect()
    }

    /// Puts the documents into the store and returns what the source served under the name.
    pub fn put(&self, store: &Store) -> Result<Digest, PullError> {
        store.put_document(&self.config, &self.config_bytes)?;
        store.put_document(&self.manifest.digest, &self.manifest_bytes)?;
        let root = &self.root.descriptor.digest;
        if *root != self.manifest.digest {
            store.put_document(root, &self.root.bytes)?;
        }
        Ok(*root)
    }
}

/// Finds the image that `source` has for the wanted platform.
pub(super) fn resolve(
    store: &Store,
    source: &dyn Source,
    options: &Options,
) -> Result<Found, PullError> {
    let root = source.root()?;
    let served = Digest::of(root.descriptor.digest.algorithm(), &root.bytes);
    let expected = options.pinned.unwrap_or(root.descriptor.digest);
    // A pinned digest can be of another algorithm than the source's.
    if Digest::of(expected.algorithm(), &root.bytes) != expected {
        return Err(PullError::Pinned { pinned: expected, served });
    }
    let wanted = options.platform.clone().unwrap_or_else(Platform::host);
    let (manifest, parsed, manifest_bytes) = match parse(&root.descriptor, &root.bytes)? {
        Document::Manifest(parsed) => (root.descriptor.clone(), parsed, root.bytes.clone()),
        Document::Index(index) => {
            let fetched = RefCell::new(HashMap::new());
            let mut fetch = |descriptor: &Descriptor| {
                let bytes = document(store, source, descriptor)?;
                let parsed = parse(descriptor, &bytes)?;
                fetched.borrow_mut().insert(descriptor.digest, bytes);
                Ok::<_, PullError>(parsed)
            };
            let (manifest, parsed) = choose(&index, &wanted, &mut fetch)?;
            let bytes = fetched.borrow_mut().remove(&manifest.digest).unwrap_or_default();
            let media_type = &parsed.media_type;
            (Descriptor::new(media_type, manifest.digest, manifest.size), parsed, bytes)
        }
    };
    let config = parsed.config.clone();
    let layers = layers(&parsed, options)?;
    let config_bytes = document(store, source, &config)?;
    let bad = |source: DocumentError| PullError::Document { digest: config.digest, source };
    let parsed = Config::parse(&config_bytes).map_err(bad)?;
    if root.descriptor.digest == manifest.digest {
        check_platform(&parsed, options)?;
    }
    let diff_ids = parsed.diff_ids(layers.len()).map_err(bad)?;
    let layers = layers.into_iter().zip(diff_ids);
    let layers =
        layers.map(|(descriptor, diff_id)| ImageLayer { descriptor, diff_id: *diff_id }).collect();
    Ok(Found { root, manifest, manifest_bytes, config: config.digest, config_bytes, layers })
}

/// An image that came without a list may be for another platform than the one asked for by name.
fn check_platform(config: &Config, options: &Options) -> Result<(), PullError> {
    let (Some(wanted), Some(is)) = (&options.platform, config.platform()) else { return Ok(()) };
    if wanted.preferences().iter().any(|able| able.matches(&is)) {
        return Ok(());
    }
    Err(ChoiceError::NoMatch { wanted: wanted.normal(), available: vec![is] }.into())
}

fn layers(manifest: &Manifest, options: &Options) -> Result<Vec<Descriptor>, PullError> {
    let bad = |source| PullError::Document { digest: manifest.config.digest, source };
    let layers = manifest.image_layers().map_err(bad)?;
    // One that has no other address is where the rest is, whatever its type says.
    let elsewhere = |layer: &&Layer| layer.foreign && !layer.descriptor.urls.is_empty();
    if let Some(layer) = layers.iter().find(|layer| elsewhere(layer) && !options.foreign) {
        let urls = layer.descriptor.urls.iter().map(|url| escaped(url).to_string()).collect();
        return Err(PullError::Foreign { digest: layer.descriptor.digest, urls });
    }
    Ok(layers.into_iter().map(|layer| layer.descriptor).collect())
}

fn parse(descriptor: &Descriptor, bytes: &[u8]) -> Result<Document, PullError> {
    Document::parse(bytes, &descriptor.media_type)
        .map_err(|source| PullError::Document { digest: descriptor.digest, source })
}

fn document(
    store: &Store,
    source: &dyn Source,
    descriptor: &Descriptor,
) -> Result<Vec<u8>, PullError> {
    match store.document(&descriptor.digest) {
        Ok(Some(bytes)) if bytes.len() as u64 == descriptor.size => Ok(bytes),
        // Missing, damaged, or not of the size that is claimed: the source decides.
        _ => Ok(source.document(descriptor)?),
    }
}
