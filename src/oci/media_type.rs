//! Media types: which document, which layer, which compression a name claims.
//!
//! Docker's names and OCI's stand for the same things. A claim is only a claim: the magic bytes of
//! a layer decide how it is decoded, and the body of a document must agree with its claimed type.

use oci_spec::image::MediaType;

use super::Compression;

/// `Accept` of every request for a manifest, best first.
pub const ACCEPTED_DOCUMENTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// OCI's name of an image's manifest.
pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// OCI's name of an image's config.
pub(super) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Docker's name of an image's manifest.
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// An OCI index or a Docker manifest list.
    Index,
    /// The manifest of one image.
    Manifest,
    /// Docker's schema 1, which nothing writes any more and this program does not read.
    Schema1,
}

impl DocumentKind {
    /// What `media_type` claims; `None` when it is no document's. Parameters (`; charset=utf-8`)
    /// are left out and case does not count.
    pub fn of(media_type: &str) -> Option<Self> {
        let name = essence(media_type);
        match MediaType::from(name.as_str()) {
            MediaType::ImageIndex => Some(Self::Index),
            MediaType::ImageManifest => Some(Self::Manifest),
            MediaType::Other(docker) => match docker.as_str() {
                "application/vnd.docker.distribution.manifest.list.v2+json" => Some(Self::Index),
                "application/vnd.docker.distribution.manifest.v2+json" => Some(Self::Manifest),
                "application/vnd.docker.distribution.manifest.v1+json"
                | "application/vnd.docker.distribution.manifest.v1+prettyjws" => {
                    Some(Self::Schema1)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// What a layer's media type claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerType {
    /// How it says that it is compressed.
    pub compression: Compression,
    /// A foreign (non-distributable) layer: not in the registry but at the descriptor's `urls`.
    pub foreign: bool,
}

impl LayerType {
    /// What `media_type` claims; `None` when it is no layer's.
    pub fn of(media_type: &str) -> Option<Self> {
        use Compression::{Gzip, None as Plain, Zstd};
        let (compression, foreign) = match MediaType::from(essence(media_type).as_str()) {
            MediaType::ImageLayer => (Plain, false),
            MediaType::ImageLayerGzip => (Gzip, false),
            MediaType::ImageLayerZstd => (Zstd, false),
            MediaType::ImageLayerNonDistributable => (Plain, true),
            MediaType::ImageLayerNonDistributableGzip => (Gzip, true),
            MediaType::ImageLayerNonDistributableZstd => (Zstd, true),
            MediaType::Other(docker) => match docker.as_str() {
                "application/vnd.docker.image.rootfs.diff.tar" => (Plain, false),
                "application/vnd.docker.image.rootfs.diff.tar.gzip" => (Gzip, false),
                "application/vnd.docker.image.rootfs.diff.tar.zstd" => (Zstd, false),
                "application/vnd.docker.image.rootfs.foreign.diff.tar" => (Plain, true),
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => (Gzip, true),
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { compression, foreign })
    }

    /// OCI's name of it; `None` when no media type claims such a compression.
    pub(super) fn oci_name(self) -> Option<&'static str> {
        Some(match (self.foreign, self.compression) {
            (false, Compression::None) => "application/vnd.oci.image.layer.v1.tar",
            (false, Compression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (false, Compression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
            (true, Compression::None) => "application/vnd.oci.image.layer.nondistributable.v1.tar",
            (true, Compression::Gzip) => {
                "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            }
            (true, Compression::Zstd) => {
                "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            }
            (_, Compression::Bzip2 | Compression::Xz) => return None,
        })
    }
}

/// Whether `media_type` is Docker's of an image's manifest, which readers of OCI image layouts do
/// not take.
pub(crate) fn is_docker_manifest(media_type: &str) -> bool {
    essence(media_type) == DOCKER_MANIFEST
}

/// Whether `media_type` is that of an image's config. Old registries served it as octets.
pub(crate) fn is_config(media_type: &str) -> bool {
    match MediaType::from(essence(media_type).as_str()) {
        MediaType::ImageConfig => true,
        MediaType::Other(docker) => matches!(
            docker.as_str(),
            "application/vnd.docker.container.image.v1+json" | "application/octet-stream"
        ),
        _ => false,
    }
}

/// The type without parameters, in lower case.
pub(crate) fn essence(media_type: &str) -> String {
    let (name, _) = media_type.split_once(';').unwrap_or((media_type, ""));
    name.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_documents_are_known() {
        for name in ACCEPTED_DOCUMENTS {
            assert!(DocumentKind::of(name).is_some(), "{name}");
        }
    }

    #[test]
    fn documents() {
        use DocumentKind::{Index, Manifest, Schema1};
        for (name, kind) in [
            ("application/vnd.oci.image.manifest.v1+json; charset=utf-8", Some(Manifest)),
            ("APPLICATION/vnd.oci.image.index.v1+json", Some(Index)),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", Some(Schema1)),
            ("application/json", None),
            ("application/vnd.oci.image.config.v1+json", None),
            ("", None),
        ] {
            assert_eq!(DocumentKind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn layer_types_of_oci_and_docker() {
        let layer = |compression, foreign| Some(LayerType { compression, foreign });
        for (name, claim) in [
            ("application/vnd.oci.image.layer.v1.tar", layer(Compression::None, false)),
            ("application/vnd.oci.image.layer.v1.tar+gzip", layer(Compression::Gzip, false)),
            ("application/vnd.oci.image.layer.v1.tar+zstd", layer(Compression::Zstd, false)),
            (
                "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                layer(Compression::Gzip, true),
            ),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", layer(Compression::Gzip, false)),
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                layer(Compression::Gzip, true),
            ),
            ("application/vnd.in-toto+json", None),
            ("application/vnd.oci.image.manifest.v1+json", None),
            ("", None),
        ] {
            assert_eq!(LayerType::of(name), claim, "{name}");
        }
    }
}
