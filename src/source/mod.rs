//! Where images come from: registries, layouts, archives. Yields claims and untrusted streams.
//!
//! A [`Source`] is one image in one place. Documents (indexes, manifests, configs) are small and
//! come as bytes that were checked against the size and digest they were asked for by; blobs come
//! as streams that nobody has checked, which is what `store` is for. A reader of a blob retries and
//! resumes by itself, so an error from it is final.
//!
//! What the sources rely on: `oci` for words, [`Options`] for everything that a user can set, a
//! [`Clock`] for time and a [`Lookup`] for names. What they do not do: keep anything (only a
//! compressed archive needs a temporary file), print, or look at what is in a layer.

mod archive;
mod clock;
mod docker_archive;
mod error;
mod files;
mod lookup;
mod oci_archive;
mod oci_layout;
mod options;
pub mod registry;
mod secret;

use std::io::Read;

pub use clock::{Clock, SystemClock};
pub use error::{Mismatch, SourceError};
pub use lookup::{Lookup, SystemLookup};
pub use options::{Options, Proxies, Timeouts};
pub use secret::Secret;

use crate::oci::{Descriptor, Digest, ImageName, Reference};

/// The document that a name stands for: what the source says of it, and its bytes, checked against
/// the descriptor's size and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Media type, digest and size of `bytes`.
    pub descriptor: Descriptor,
    /// An index or a manifest, exactly as it came.
    pub bytes: Vec<u8>,
}

/// One image in one place.
pub trait Source: Send + Sync {
    /// The index or manifest that the name stands for.
    ///
    /// # Errors
    /// When there is no such image, or what there is cannot be had or does not match.
    fn root(&self) -> Result<Fetched, SourceError>;

    /// The digest of [`Source::root`] when the source can tell without handing it out.
    ///
    /// # Errors
    /// As [`Source::root`].
    fn root_digest(&self) -> Result<Option<Digest>, SourceError> {
        Ok(None)
    }

    /// A small blob (index, manifest, config), checked against size and digest.
    ///
    /// # Errors
    /// When it cannot be had, is too large, or does not match.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError>;

    /// A blob from byte `offset` on: an untrusted stream that ends after `descriptor.size` bytes
    /// counted from the blob's start, or earlier with an error.
    ///
    /// # Errors
    /// When it cannot be had. An error of the reader carries a [`SourceError`].
    fn blob(
        &self,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Box<dyn Read + Send>, SourceError>;

    /// What the source itself calls the image: the tags of a docker archive, a layout's names.
    fn names(&self) -> Vec<Reference> {
        Vec::new()
    }
}

/// Opens the place that `name` names. A registry is not yet asked anything.
///
/// # Errors
/// When the place is not there, is not what its transport says, or has no such image.
pub fn open(name: &ImageName, options: &Options) -> Result<Box<dyn Source>, SourceError> {
    Ok(match name {
        ImageName::Registry(reference) => {
            Box::new(registry::RegistryImage::new(reference, options)?)
        }
        ImageName::OciLayout { path, image } => Box::new(oci_layout::open(path, image)?),
        ImageName::OciArchive { path, image } => Box::new(oci_archive::open(path, image, options)?),
        ImageName::DockerArchive { path, image } => {
            Box::new(docker_archive::open(path, image, options)?)
        }
    })
}

/// The images in the place that `name` names, whichever of them it selects: how to select each, and
/// the names that the place gives it. A registry's reference is one image.
///
/// # Errors
/// When the place is not there or is not what its transport says.
pub fn images(
    name: &ImageName,
    options: &Options,
) -> Result<Vec<(ImageName, Vec<Reference>)>, SourceError> {
    let names = match name {
        ImageName::Registry(reference) => return Ok(vec![(name.clone(), vec![reference.clone()])]),
        ImageName::OciLayout { path, .. } => oci_layout::images(path)?,
        ImageName::OciArchive { path, .. } => oci_archive::images(path, options)?,
        ImageName::DockerArchive { path, .. } => docker_archive::images(path, options)?,
    };
    let selected = |(position, names)| (name.with_position(position), names);
    Ok(names.into_iter().enumerate().map(selected).collect())
}
