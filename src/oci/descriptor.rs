//! A descriptor: somebody's claim about a blob (descriptor.md).
//!
//! Read by structures of our own and not by `oci-spec`'s: those keep no order of annotations, lose
//! `os.version`, and refuse a whole list for one entry whose platform lacks a field.

use serde::Deserialize;

use super::json::null_as_default;
use super::{Digest, DocumentError, Platform};

/// What a document says of another blob. An allegation until the bytes were checked against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type as written.
    pub media_type: String,
    /// The claimed digest.
    pub digest: Digest,
    /// The claimed size in bytes.
    pub size: u64,
    /// Where a foreign layer may be had.
    pub urls: Vec<String>,
    /// Of an index's entry.
    pub platform: Option<Platform>,
    /// Annotations, in the order of the document.
    pub annotations: Vec<(String, String)>,
}

impl Descriptor {
    /// A descriptor with nothing but the three required fields.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            platform: None,
            annotations: Vec::new(),
        }
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Whether it describes an attestation (build provenance or SBOM) and not an image.
    pub fn is_attestation(&self) -> bool {
        let unknown = self
            .platform
            .as_ref()
            .is_some_and(|platform| platform.os == "unknown" && platform.architecture == "unknown");
        unknown || self.annotation("vnd.docker.reference.type") == Some("attestation-manifest")
    }
}

/// A descriptor as it stands in JSON, nothing checked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawDescriptor {
    #[serde(default, deserialize_with = "null_as_default")]
    media_type: String,
    digest: String,
    size: i64,
    #[serde(default, deserialize_with = "null_as_default")]
    urls: Vec<String>,
    platform: Option<RawPlatform>,
    #[serde(default, deserialize_with = "null_as_default")]
    annotations: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default, deserialize_with = "null_as_default")]
    os: String,
    #[serde(default, deserialize_with = "null_as_default")]
    architecture: String,
    variant: Option<String>,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
}

impl RawDescriptor {
    /// Checks the digest and the size.
    pub(super) fn check(self) -> Result<Descriptor, DocumentError> {
        let digest: Digest = self.digest.parse().map_err(DocumentError::Digest)?;
        let size = u64::try_from(self.size)
            .map_err(|_| DocumentError::NegativeSize { digest: self.digest, size: self.size })?;
        Ok(Descriptor {
            media_type: self.media_type,
            digest,
            size,
            urls: self.urls,
            platform: self.platform.map(|raw| Platform {
                os: raw.os,
                architecture: raw.architecture,
                variant: raw.variant.filter(|variant| !variant.is_empty()),
                os_version: raw.os_version.filter(|version| !version.is_empty()),
            }),
            annotations: self
                .annotations
                .into_iter()
                .filter_map(|(key, value)| match value {
                    serde_json::Value::String(text) => Some((key, text)),
                    _ => None,
                })
                .collect(),
        })
    }
}
