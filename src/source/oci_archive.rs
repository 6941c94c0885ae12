//! A tar of an OCI image layout, read in place.

use std::path::Path;

use super::archive::Archive;
use super::oci_layout::{self, OciLayout};
use super::{Options, SourceError};
use crate::oci::{ImageSelector, Reference};

const KIND: &str = "an OCI archive";

/// Opens the archive at `path`.
pub(super) fn open(
    path: &Path,
    image: &ImageSelector,
    options: &Options,
) -> Result<OciLayout<Archive>, SourceError> {
    OciLayout::new(Archive::open(path, KIND, options)?, path, image)
}

/// The images of the archive at `path`, with the names that they have.
pub(super) fn images(path: &Path, options: &Options) -> Result<Vec<Vec<Reference>>, SourceError> {
    oci_layout::rows(&Archive::open(path, KIND, options)?, path)
}
