//! Why a source did not deliver.

use std::io;
use std::path::PathBuf;

use super::registry::RegistryError;
use crate::oci::{ChoiceError, Digest, DocumentError, escaped};

/// Why a source did not deliver. Each message is one line, with foreign text escaped.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system refused.
    #[error("{}: {source}", escaped(&path.display().to_string()))]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A place that is not what its transport says.
    #[error("{}: not {kind}: {reason}", escaped(&path.display().to_string()))]
    NotA {
        /// Where.
        path: PathBuf,
        /// `an OCI image layout`, `a docker archive`, ...
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The place has no such image.
    #[error("{place}: no image {}; there is {}", escaped(wanted), listed(available))]
    NoImage {
        /// Where was looked.
        place: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        available: Vec<String>,
    },
    /// The place has several images and none was named.
    #[error("{place}: {} images, name one: {}", available.len(), listed(available))]
    SeveralImages {
        /// Where was looked.
        place: String,
        /// What there is.
        available: Vec<String>,
    },
    /// A blob that the image refers to is not there.
    #[error("{place}: {digest} is missing")]
    Missing {
        /// Where was looked.
        place: String,
        /// The blob.
        digest: Digest,
    },
    /// Bytes that are not what their digest or size claims.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
    /// A document is larger than any document may be.
    #[error("{place}: {what} has {size} bytes, more than the limit of {limit} bytes")]
    TooLarge {
        /// Where it is.
        place: String,
        /// Which.
        what: String,
        /// Its size or more.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A document that is no manifest, index or config as it should be.
    #[error("{place}: {what}: {source}")]
    Document {
        /// Where it is.
        place: String,
        /// Which.
        what: String,
        /// Why.
        source: DocumentError,
    },
    /// A list without an image for the platform.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// A foreign layer, and nobody asked for those.
    #[error("{0} is a foreign layer, to be had elsewhere, and those are not fetched unless asked")]
    ForeignLayer(Digest),
    /// A registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Bytes that are not what their digest or size claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The bytes are not those that the digest stands for.
    #[error("{place}: {expected} does not match its content, which is {found}")]
    Content {
        /// Where the bytes came from; a URL without its query.
        place: String,
        /// The claim.
        expected: Digest,
        /// What was computed.
        found: Digest,
    },
    /// More or fewer bytes than claimed.
    #[error("{place}: {digest} has {found} bytes instead of {expected}")]
    Size {
        /// Where the bytes came from; a URL without its query.
        place: String,
        /// The blob.
        digest: Digest,
        /// The claim.
        expected: u64,
        /// What is there.
        found: u64,
    },
}

impl SourceError {
    /// Whether bytes did not match a digest or size: damage or deceit, not a lack.
    pub fn is_mismatch(&self) -> bool {
        match self {
            Self::Mismatch(_) => true,
            Self::Registry(error) => error.is_mismatch(),
            _ => false,
        }
    }

    /// Whether there is no such image, as far as the source tells.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NoImage { .. } => true,
            Self::Registry(error) => error.is_not_found(),
            _ => false,
        }
    }
}

/// Names for people; the first few of many.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| escaped(name).to_string())
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}
