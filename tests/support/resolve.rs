//! From a source to one image's documents, without a store.

use shalefs::oci::{
    ChoiceError, Config, Descriptor, DiffId, Document, DocumentError, Layer, Manifest, Platform,
    choose,
};
use shalefs::source::{Source, SourceError};

/// An image's documents, with its layers still to be fetched.
pub struct Resolved {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    pub layers: Vec<(Layer, DiffId)>,
}

/// Why there is no such image.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// The documents of the image that `source` has for linux/amd64.
pub fn resolve(source: &dyn Source) -> Result<Resolved, ResolveError> {
    let root = source.root()?;
    let (manifest, parsed) = match Document::parse(&root.bytes, &root.descriptor.media_type)? {
        Document::Manifest(parsed) => (root.bytes, parsed),
        Document::Index(index) => {
            let mut last = Vec::new();
            let mut fetch = |descriptor: &Descriptor| {
                last = source.document(descriptor)?;
                Ok::<_, ResolveError>(Document::parse(&last, &descriptor.media_type)?)
            };
            let (_, parsed) = choose(&index, &Platform::new("linux", "amd64"), &mut fetch)?;
            (last, parsed)
        }
    };
    finish(source, manifest, &parsed)
}

fn finish(
    source: &dyn Source,
    manifest: Vec<u8>,
    parsed: &Manifest,
) -> Result<Resolved, ResolveError> {
    let layers = parsed.image_layers()?;
    let config = source.document(&parsed.config)?;
    let diff_ids = Config::parse(&config)?.diff_ids(layers.len())?.to_vec();
    Ok(Resolved { manifest, config, layers: layers.into_iter().zip(diff_ids).collect() })
}
