//! An OCI image layout (image-layout.md), in a directory or in a tar.
//!
//! `index.json` lists the images; one is chosen by its `org.opencontainers.image.ref.name` (a tag
//! or a whole reference), by containerd's `io.containerd.image.name`, by digest or by position.
//! When its rows are the platforms of one image and have no names, it is itself the image's list.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files::{Directory, Files, blob_path, check, described};
use super::{Fetched, Mismatch, Source, SourceError};
use crate::oci::{
    Descriptor, Digest, Document, DocumentKind, ImageSelector, Index, Reference, escaped,
};

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const CONTAINERD_NAME: &str = "io.containerd.image.name";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One image of a layout.
pub(super) struct OciLayout<F> {
    files: F,
    root: Root,
}

/// What the image's name stands for.
enum Root {
    /// A row of `index.json`.
    Row(Descriptor),
    /// `index.json` itself.
    Whole(Fetched),
}

/// Opens the layout in the directory `path`.
pub(super) fn open(
    path: &Path,
    image: &ImageSelector,
) -> Result<OciLayout<Directory>, SourceError> {
    OciLayout::new(Directory(path.to_owned()), path, image)
}

/// The rows of the layout in the directory `path`, with the names that they give.
pub(super) fn images(path: &Path) -> Result<Vec<Vec<Reference>>, SourceError> {
    rows(&Directory(path.to_owned()), path)
}

/// The rows of a layout, with the names that they give.
pub(super) fn rows<F: Files>(files: &F, path: &Path) -> Result<Vec<Vec<Reference>>, SourceError> {
    let (index, _) = read_index(files, path)?;
    Ok(images_of(&index).map(references).collect())
}

/// The rows that are images or lists of them, in their order; layouts may have others
/// (image-layout.md shows one). Names, positions and images all come from here.
fn images_of(index: &Index) -> impl Iterator<Item = &Descriptor> {
    index.manifests.iter().filter(|row| DocumentKind::of(&row.media_type).is_some())
}

impl<F: Files> OciLayout<F> {
    /// Finds `image` among `files`; `path` is for messages.
    pub(super) fn new(files: F, path: &Path, image: &ImageSelector) -> Result<Self, SourceError> {
        let (index, whole) = read_index(&files, path)?;
        let root = select(&index, whole, image, &files.place())?;
        Ok(Self { files, root })
    }

    fn checked(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        let place = self.files.place();
        let digest = descriptor.digest;
        let bytes = self
            .files
            .document(&blob_path(&digest))?
            .ok_or_else(|| SourceError::Missing { place: place.clone(), digest })?;
        check(&place, descriptor, &bytes)?;
        Ok(bytes)
    }
}

impl<F: Files> Source for OciLayout<F> {
    fn root(&self) -> Result<Fetched, SourceError> {
        match &self.root {
            Root::Whole(fetched) => Ok(fetched.clone()),
            Root::Row(descriptor) => {
                let bytes = self.checked(descriptor)?;
                Ok(Fetched { descriptor: descriptor.clone(), bytes })
            }
        }
    }

    fn root_digest(&self) -> Result<Option<Digest>, SourceError> {
        Ok(Some(match &self.root {
            Root::Whole(fetched) => fetched.descriptor.digest,
            Root::Row(descriptor) => descriptor.digest,
        }))
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        self.checked(descriptor)
    }

    fn blob(
        &self,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Box<dyn Read + Send>, SourceError> {
        let (place, digest) = (self.files.place(), descriptor.digest);
        let Some(slice) = self.files.open(&blob_path(&digest))? else {
            return Err(SourceError::Missing { place, digest });
        };
        let (expected, found) = (descriptor.size, slice.size());
        if expected != found {
            return Err(Box::new(Mismatch::Size { place, digest, expected, found }).into());
        }
        Ok(Box::new(slice.reader(offset)))
    }

    fn names(&self) -> Vec<Reference> {
        match &self.root {
            Root::Whole(_) => Vec::new(),
            Root::Row(descriptor) => references(descriptor),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// Checks the marker file and reads `index.json`.
fn read_index<F: Files>(files: &F, path: &Path) -> Result<(Index, Vec<u8>), SourceError> {
    let not_a = |reason: String| SourceError::NotA {
        path: PathBuf::from(path),
        kind: "an OCI image layout",
        reason,
    };
    let missing = |name: &str| match files.open("manifest.json") {
        Ok(Some(_)) => not_a(format!("it has no {name}; try docker-archive:")),
        _ => not_a(format!("it has no {name}")),
    };
    let marker = files.document("oci-layout")?.ok_or_else(|| missing("oci-layout"))?;
    let marker: Marker =
        serde_json::from_slice(&marker).map_err(|error| not_a(format!("oci-layout: {error}")))?;
    if !marker.image_layout_version.starts_with("1.") {
        let version = escaped(&marker.image_layout_version).to_string();
        return Err(not_a(format!("layout version {version:?} is not supported, only 1.x is")));
    }
    let bytes = files.document("index.json")?.ok_or_else(|| missing("index.json"))?;
    match Document::parse(&bytes, INDEX) {
        Ok(Document::Index(index)) => Ok((index, bytes)),
        Ok(Document::Manifest(_)) => Err(not_a("index.json is a manifest".to_owned())),
        Err(source) => Err(SourceError::Document {
            place: files.place(),
            what: "index.json".to_owned(),
            source,
        }),
    }
}

fn select(
    index: &Index,
    whole: Vec<u8>,
    image: &ImageSelector,
    place: &str,
) -> Result<Root, SourceError> {
    let rows: Vec<&Descriptor> = images_of(index).collect();
    let found = match image {
        ImageSelector::Only => match rows.as_slice() {
            [only] => Some(*only),
            [_, _, ..] if rows.iter().all(|row| is_platform_of_one(row)) => {
                return Ok(Root::Whole(described(INDEX, whole)));
            }
            [_, _, ..] => {
                let available = rows.iter().map(|row| label(row)).collect();
                return Err(SourceError::SeveralImages { place: place.to_owned(), available });
            }
            [] => None,
        },
        ImageSelector::Named(name) => rows.iter().find(|row| is_named(row, name)).copied(),
        ImageSelector::Position(position) => rows.get(*position).copied(),
    };
    found.map(|row| Root::Row(row.clone())).ok_or_else(|| SourceError::NoImage {
        place: place.to_owned(),
        wanted: image.to_string().trim_start_matches(':').to_owned(),
        available: rows.iter().map(|row| label(row)).collect(),
    })
}

/// Whether a row is nameless and for a platform (or an attestation beside such rows).
fn is_platform_of_one(row: &Descriptor) -> bool {
    row.annotation(REF_NAME).is_none()
        && row.annotation(CONTAINERD_NAME).is_none()
        && row.platform.is_some()
}

fn is_named(row: &Descriptor, name: &str) -> bool {
    let names = [row.annotation(REF_NAME), row.annotation(CONTAINERD_NAME)];
    if names.contains(&Some(name)) || row.digest.to_string() == name {
        return true;
    }
    let Ok(wanted) = name.parse::<Reference>() else { return false };
    references(row).iter().any(|reference| reference.canonical() == wanted.canonical())
}

/// The names that a row gives in full; a bare tag names no repository.
fn references(row: &Descriptor) -> Vec<Reference> {
    let full = |name: &&str| name.contains(['/', ':']);
    let names = [row.annotation(CONTAINERD_NAME), row.annotation(REF_NAME)];
    let mut references: Vec<Reference> =
        names.into_iter().flatten().filter(full).filter_map(|name| name.parse().ok()).collect();
    references.dedup();
    references
}

/// A row's name for people.
fn label(row: &Descriptor) -> String {
    let name = row.annotation(REF_NAME).or_else(|| row.annotation(CONTAINERD_NAME));
    name.map_or_else(|| row.digest.to_string(), str::to_owned)
}
