//! Manifests and indexes, OCI's and Docker's, as checked values.
//!
//! One body must not be two things to two readers (CVE-2021-41190): a document with both
//! `manifests` and `layers` is refused, and the `mediaType` in the body must agree with what the
//! registry or the parent said. Unknown fields are left alone; the raw bytes are the caller's to
//! keep, since only they have the digest.

use serde::Deserialize;

use super::descriptor::RawDescriptor;
use super::media_type::{essence, is_config};
use super::{Compression, Descriptor, DigestError, DocumentKind, JsonError, LayerType, json};

/// Why a document is refused.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Too large, too deep, or not the JSON of such a document.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Docker's schema 1.
    #[error("a schema 1 manifest: too old, Docker stopped writing them in 2015; push it again")]
    Schema1,
    /// A `schemaVersion` that is neither 1 nor 2.
    #[error("schemaVersion {0} is not supported, only 2 is")]
    SchemaVersion(i64),
    /// Both `manifests` and `layers` (CVE-2021-41190).
    #[error("it has both \"manifests\" and \"layers\", so it is neither a list nor a manifest")]
    Ambiguous,
    /// Neither `manifests` nor a `config` with `layers`.
    #[error("it has neither \"manifests\" nor \"config\" and \"layers\"")]
    NoContent,
    /// The body says something else than the registry or the parent.
    #[error("it is declared as {declared:?} but its content is {own:?}")]
    Disagreement {
        /// Content-Type or the descriptor's media type.
        declared: String,
        /// The body's, or what its fields are.
        own: String,
    },
    /// A media type that no image has in this place.
    #[error("unknown media type {media_type:?} of {what}")]
    UnknownMediaType {
        /// As written.
        media_type: String,
        /// Document, config or layer.
        what: &'static str,
    },
    /// A digest that cannot be.
    #[error(transparent)]
    Digest(DigestError),
    /// A size below zero.
    #[error("{digest} has the negative size {size}")]
    NegativeSize {
        /// Whose.
        digest: String,
        /// As written.
        size: i64,
    },
    /// The manifest's layers and the config's DiffIDs do not match one to one.
    #[error("the manifest has {layers} layers but the config lists {diff_ids} DiffIDs")]
    LayerCount {
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
}

/// A parsed document.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A list of images, one a platform.
    Index(Index),
    /// One image.
    Manifest(Manifest),
}

/// An OCI index or a Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The body's media type, or else the declared one.
    pub media_type: String,
    /// The entries in their order.
    pub manifests: Vec<Descriptor>,
}

/// A manifest: a config and the layers, bottom first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The body's media type, or else the declared one.
    pub media_type: String,
    /// The config, or in an artifact something else.
    pub config: Descriptor,
    /// The layers, or in an artifact something else.
    pub layers: Vec<Descriptor>,
}

/// A layer of an image: a descriptor whose media type is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Where it is.
    pub descriptor: Descriptor,
    /// What its media type claims; the magic decides.
    pub claimed: Compression,
    /// Not in the registry but at `descriptor.urls`.
    pub foreign: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: Option<i64>,
    #[serde(default, deserialize_with = "json::null_as_default")]
    media_type: String,
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    /// Only schema 1 has these two.
    fs_layers: Option<serde::de::IgnoredAny>,
    history: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Parses `bytes`, which came with `declared` as Content-Type or descriptor media type.
    ///
    /// A declared type that says nothing (absent, `application/json`, octets, plain text) leaves
    /// the choice to the body.
    ///
    /// # Errors
    /// When limits are broken, the JSON is no such document, it contradicts itself or `declared`,
    /// or a digest or size in it cannot be.
    pub fn parse(bytes: &[u8], declared: &str) -> Result<Self, DocumentError> {
        if DocumentKind::of(declared) == Some(DocumentKind::Schema1) {
            return Err(DocumentError::Schema1);
        }
        let raw: RawDocument = json::object(bytes)?;
        let kind = raw.kind()?;
        let media_type = raw.agree(kind, declared)?;
        match (kind, raw.config) {
            (DocumentKind::Manifest, Some(config)) => Ok(Self::Manifest(Manifest {
                media_type,
                config: config.check()?,
                layers: check_all(raw.layers)?,
            })),
            _ => Ok(Self::Index(Index { media_type, manifests: check_all(raw.manifests)? })),
        }
    }

    /// The media type of the document.
    pub fn media_type(&self) -> &str {
        match self {
            Self::Index(index) => &index.media_type,
            Self::Manifest(manifest) => &manifest.media_type,
        }
    }
}

fn check_all(raw: Option<Vec<RawDescriptor>>) -> Result<Vec<Descriptor>, DocumentError> {
    raw.unwrap_or_default().into_iter().map(RawDescriptor::check).collect()
}

impl RawDocument {
    /// What the fields are, whatever any media type says.
    fn kind(&self) -> Result<DocumentKind, DocumentError> {
        let list = self.manifests.is_some();
        let image = self.layers.is_some() || self.config.is_some();
        if self.schema_version == Some(1) || (self.fs_layers.is_some() && self.history.is_some()) {
            return Err(DocumentError::Schema1);
        }
        if let Some(version) = self.schema_version.filter(|version| *version != 2) {
            return Err(DocumentError::SchemaVersion(version));
        }
        match (list, image) {
            (true, true) => Err(DocumentError::Ambiguous),
            (true, false) => Ok(DocumentKind::Index),
            (false, true) if self.config.is_some() => Ok(DocumentKind::Manifest),
            _ => Err(DocumentError::NoContent),
        }
    }

    /// The media type, once body, fields and declaration agree.
    fn agree(&self, kind: DocumentKind, declared: &str) -> Result<String, DocumentError> {
        let declared = essence(declared);
        let own = essence(&self.media_type);
        let by_fields = match kind {
            DocumentKind::Index => "application/vnd.oci.image.index.v1+json",
            _ => "application/vnd.oci.image.manifest.v1+json",
        };
        let says_nothing = matches!(
            declared.as_str(),
            "" | "application/json"
                | "application/octet-stream"
                | "binary/octet-stream"
                | "text/plain"
                | "text/json"
        );
        let disagreement = |declared: &str, own: &str| DocumentError::Disagreement {
            declared: declared.to_owned(),
            own: own.to_owned(),
        };
        let named = if own.is_empty() { &declared } else { &own };
        match DocumentKind::of(named) {
            _ if own.is_empty() && says_nothing => return Ok(by_fields.to_owned()),
            Some(known) if known == kind => {}
            Some(DocumentKind::Schema1) => return Err(DocumentError::Schema1),
            Some(_) => return Err(disagreement(named, by_fields)),
            None => return Err(unknown(named, "the document")),
        }
        if !own.is_empty() && !says_nothing && declared != own {
            return Err(disagreement(&declared, &own));
        }
        Ok(named.clone())
    }
}

fn unknown(media_type: &str, what: &'static str) -> DocumentError {
    DocumentError::UnknownMediaType { media_type: media_type.to_owned(), what }
}

impl Manifest {
    /// The layers, bottom first, when this is the manifest of an image and not of an artifact.
    ///
    /// # Errors
    /// Names the media type of config or layer that no image has.
    pub fn image_layers(&self) -> Result<Vec<Layer>, DocumentError> {
        if !is_config(&self.config.media_type) {
            return Err(unknown(&self.config.media_type, "the config"));
        }
        let layer = |descriptor: &Descriptor| {
            let claim = LayerType::of(&descriptor.media_type)
                .ok_or_else(|| unknown(&descriptor.media_type, "a layer"))?;
            Ok(Layer {
                descriptor: descriptor.clone(),
                claimed: claim.compression,
                foreign: claim.foreign,
            })
        };
        self.layers.iter().map(layer).collect()
    }
}

#[cfg(test)]
mod tests;
