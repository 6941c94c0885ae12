//! Archives of images, as `save` writes them: read by docker, podman, skopeo, umoci and ourselves.
//!
//! ```text
//! oci-layout index.json          an OCI image layout in a tar
//! blobs/ALG/HEX                  config, manifest, layers
//! manifest.json                  Docker's list of the same
//! ```
//!
//! An OCI archive has the layers as they were pulled, and the manifest too unless it has Docker's
//! media types: those become OCI's, because skopeo and podman read no others from a layout. A
//! docker archive has the layers uncompressed, named by their DiffIDs, and a manifest that says so.
//! The image ID stays the same in both, and both have the list that docker reads. Each blob is
//! written once, however many images have it; times and owners are zero, so the same images make
//! the same bytes.
//!
//! Guarantees: what is written was checked against its digest while it was; when something does not
//! match, writing fails and the archive is not to be used. Does not decide where it goes.

mod error;
mod writer;

pub use error::ArchiveError;

use std::collections::HashSet;
use std::io::Write;

use serde_json::{Value, json};

use crate::oci::{Descriptor, Digest, OciManifest, Reference, is_docker_manifest};
use crate::store::{Store, StoredImage};
use writer::Writer;

/// Which archive to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Layers uncompressed.
    Docker,
    /// Layers as they were pulled.
    Oci,
}

/// An image and the names that it has in the archive.
#[derive(Debug)]
pub struct Item {
    /// Which image.
    pub image: StoredImage,
    /// Tags; none for an image that is saved by its ID.
    pub names: Vec<Reference>,
}

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// Writes an archive of `items` to `out`.
///
/// # Errors
/// When the store lacks or has damaged what the images need, or `out` refuses.
pub fn write(
    store: &Store,
    items: &[Item],
    kind: Kind,
    out: impl Write,
) -> Result<(), ArchiveError> {
    let mut writer = Writer::new(out);
    let mut written = HashSet::new();
    let mut rows = Vec::new();
    let mut docker = Vec::new();
    writer.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    for item in items {
        let image = &item.image;
        let layers = layers(store, image, kind)?;
        for (layer, descriptor) in image.layers.iter().zip(&layers) {
            if written.insert(descriptor.digest) {
                match kind {
                    Kind::Docker => writer.unpacked(store, layer, descriptor)?,
                    Kind::Oci => writer.blob(store, descriptor)?,
                }
            }
        }
        let (manifest, bytes) = manifest(image, &layers, kind);
        for (digest, bytes) in [(image.id, &image.config_bytes), (manifest.digest, &bytes)] {
            if written.insert(digest) {
                writer.file(&blob_path(&digest), bytes)?;
            }
        }
        rows.extend(index_rows(item, &manifest));
        docker.push(docker_row(item, &layers));
    }
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": rows});
    writer.file("index.json", index.to_string().as_bytes())?;
    writer.file("manifest.json", Value::Array(docker).to_string().as_bytes())?;
    writer.finish()
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The layers as they stand in the archive.
fn layers(store: &Store, image: &StoredImage, kind: Kind) -> Result<Vec<Descriptor>, ArchiveError> {
    let as_pulled = |layer: &crate::store::StoredLayer| {
        Descriptor::new(&layer.media_type, layer.digest, layer.size)
    };
    match kind {
        Kind::Oci => Ok(image.layers.iter().map(as_pulled).collect()),
        Kind::Docker => image
            .layers
            .iter()
            .map(|layer| {
                let size = writer::unpacked_size(store, layer)?;
                Ok(Descriptor::new(OCI_TAR, layer.diff_id.0, size))
            })
            .collect(),
    }
}

/// The manifest as it stands in the archive, with its bytes.
fn manifest(image: &StoredImage, layers: &[Descriptor], kind: Kind) -> (Descriptor, Vec<u8>) {
    if kind == Kind::Oci && !is_docker_manifest(&image.manifest.media_type) {
        return (image.manifest.clone(), image.manifest_bytes.clone());
    }
    let config = Descriptor::new("", image.id, image.config_bytes.len() as u64);
    let OciManifest { descriptor, bytes } = OciManifest::new(&config, layers);
    (descriptor, bytes)
}

fn descriptor_json(descriptor: &Descriptor) -> Value {
    json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    })
}

/// A row for each name; one without a name for an image that has none.
fn index_rows(item: &Item, manifest: &Descriptor) -> Vec<Value> {
    let mut row = descriptor_json(manifest);
    let config = &item.image.config;
    if let (Some(row), false) = (row.as_object_mut(), config.architecture.is_empty()) {
        let mut platform = json!({"architecture": config.architecture, "os": config.os});
        if let (Some(platform), false) = (platform.as_object_mut(), config.variant.is_empty()) {
            platform.insert("variant".to_owned(), json!(config.variant));
        }
        row.insert("platform".to_owned(), platform);
    }
    if item.names.is_empty() {
        return vec![row];
    }
    let named = |name: &Reference| {
        let mut row = row.clone();
        if let Some(row) = row.as_object_mut() {
            // The first is podman's and skopeo's, the second containerd's and Docker's.
            let annotations = json!({
                "org.opencontainers.image.ref.name": name.to_string(),
                "io.containerd.image.name": name.to_string(),
            });
            row.insert("annotations".to_owned(), annotations);
        }
        row
    };
    item.names.iter().map(named).collect()
}

fn docker_row(item: &Item, layers: &[Descriptor]) -> Value {
    let names: Vec<String> = item.names.iter().map(Reference::familiar).collect();
    let layers: Vec<String> = layers.iter().map(|layer| blob_path(&layer.digest)).collect();
    json!({"Config": blob_path(&item.image.id), "RepoTags": names, "Layers": layers})
}
