//! The manifest of an image in OCI's words, whatever words it came in.
//!
//! Docker's and OCI's manifests are one format with two sets of media types, and readers of OCI
//! image layouts (skopeo, umoci, podman) take only OCI's. The same manifest always gives the same
//! bytes: stores name a translation by its digest. A layer that its maker does not distribute stays
//! marked as one, but without `urls`: who has the translation has the layer's bytes beside it.
//!
//! Says nothing of whether the blobs are there, and translates no config: Docker's is OCI's, with
//! more fields.

use serde_json::{Value, json};

use super::media_type::{DOCKER_MANIFEST, LayerType, OCI_CONFIG, OCI_MANIFEST};
use super::{Descriptor, Digest, Document, JSON_LIMIT};

/// A manifest in OCI's media types, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciManifest {
    /// Of the bytes.
    pub descriptor: Descriptor,
    /// The JSON.
    pub bytes: Vec<u8>,
}

impl OciManifest {
    /// The manifest of an image with this config and these layers, bottom first.
    pub fn new(config: &Descriptor, layers: &[Descriptor]) -> Self {
        let layer = |layer: &Descriptor| {
            let oci = LayerType::of(&layer.media_type).and_then(LayerType::oci_name);
            row(oci.unwrap_or(&layer.media_type), layer)
        };
        let layers: Vec<Value> = layers.iter().map(layer).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": row(OCI_CONFIG, config),
            "layers": layers,
        });
        let bytes = manifest.to_string().into_bytes();
        let descriptor = Descriptor::new(OCI_MANIFEST, Digest::sha256(&bytes), bytes.len() as u64);
        Self { descriptor, bytes }
    }

    /// The translation of the manifest of an image of Docker's type, or of one that does not say
    /// its type; `None` when `manifest` is something else.
    pub fn of_docker(manifest: &[u8]) -> Option<Self> {
        match Document::parse(manifest, DOCKER_MANIFEST).ok()? {
            Document::Manifest(parsed) if parsed.image_layers().is_ok() => {
                let translated = Self::new(&parsed.config, &parsed.layers);
                // Some names are longer in OCI's words; nobody reads a document over the limit.
                (translated.descriptor.size <= JSON_LIMIT).then_some(translated)
            }
            _ => None,
        }
    }
}

fn row(media_type: &str, blob: &Descriptor) -> Value {
    json!({ "mediaType": media_type, "digest": blob.digest, "size": blob.size })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: [(&str, &str); 6] = [
        ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"),
        (
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        ),
        (
            "application/vnd.docker.image.rootfs.diff.tar.zstd",
            "application/vnd.oci.image.layer.v1.tar+zstd",
        ),
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
        ),
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        ),
        (
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        ),
    ];

    fn docker(layer: &str) -> String {
        let digest = |word: &str| Digest::sha256(word.as_bytes());
        format!(
            r#"{{ "schemaVersion": 2, "mediaType": "{DOCKER_MANIFEST}",
            "config": {{ "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": 7, "digest": "{}" }},
            "layers": [ {{ "mediaType": "{layer}", "size": 5, "digest": "{}",
                "urls": ["https://example.com/layer"] }} ] }}"#,
            digest("config"),
            digest("layer")
        )
    }

    #[test]
    fn exactly_these_bytes() {
        // Stores name the translation by its digest, so it must not change from version to version.
        for (docker_type, oci_type) in LAYERS {
            let translated = OciManifest::of_docker(docker(docker_type).as_bytes()).expect("one");
            let wanted = format!(
                concat!(
                    r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
                    r#""config":{{"mediaType":"application/vnd.oci.image.config.v1+json","#,
                    r#""digest":"{}","size":7}},"layers":[{{"mediaType":"{}","digest":"{}","size":5}}]}}"#,
                ),
                Digest::sha256(b"config"),
                oci_type,
                Digest::sha256(b"layer"),
            );
            assert_eq!(translated.bytes, wanted.as_bytes(), "{docker_type}");
            assert_eq!(translated.descriptor.digest, Digest::sha256(wanted.as_bytes()));
            assert_eq!(translated.descriptor.size, wanted.len() as u64);
            let parsed = Document::parse(&translated.bytes, OCI_MANIFEST).expect("one");
            assert!(
                matches!(parsed, Document::Manifest(manifest) if manifest.image_layers().is_ok())
            );
        }
    }

    #[test]
    fn what_is_no_manifest_of_dockers() {
        let text = docker("application/vnd.docker.image.rootfs.diff.tar.gzip");
        let silent = text.replace(&format!(r#""mediaType": "{DOCKER_MANIFEST}","#), "");
        let said = OciManifest::of_docker(text.as_bytes()).expect("one");
        assert_eq!(OciManifest::of_docker(silent.as_bytes()), Some(said), "the row says it");
        for other in [
            "{}".to_owned(),
            text.replace(DOCKER_MANIFEST, OCI_MANIFEST),
            text.replace("image.rootfs.diff.tar.gzip", "plugin"),
            text.replace("\"layers\"", "\"manifests\""),
        ] {
            assert_eq!(OciManifest::of_docker(other.as_bytes()), None, "{other}");
        }
    }
}
