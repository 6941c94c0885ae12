//! Why a pull did not come to its end.

use crate::layer::ScanError;
use crate::oci::{ChoiceError, Digest, DocumentError};
use crate::source::SourceError;
use crate::store::StoreError;
use crate::tree::{MergeError, OpenError};

/// Errors of `pull`, each with what it is about.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The source did not deliver.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store could not take or give something.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A layer was refused, or did not come whole.
    #[error(transparent)]
    Layer(#[from] ScanError),
    /// The layers do not make a tree.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The tree's table was just written and cannot be read.
    #[error(transparent)]
    Tree(#[from] OpenError),
    /// A document that cannot be used.
    #[error("{digest}: {source}")]
    Document {
        /// The document.
        digest: Digest,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// The list has no image for the platform.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// The reference names a digest, and the source served something else.
    #[error("the reference says {pinned}, the source served {served}")]
    Pinned {
        /// In the reference.
        pinned: Digest,
        /// What came.
        served: Digest,
    },
    /// A layer that registries do not hold.
    #[error("layer {digest} is not in the registry but at {}", urls.join(", "))]
    Foreign {
        /// The layer.
        digest: Digest,
        /// Where it would be, escaped.
        urls: Vec<String>,
    },
    /// One blob with two DiffIDs: the config lies about one of them.
    #[error("layer {digest} is listed with two different DiffIDs")]
    TwoDiffIds {
        /// The layer.
        digest: Digest,
    },
    /// Another layer failed first.
    #[error("stopped")]
    Stopped,
}

impl PullError {
    /// Whether the image itself is refused, so that nothing of it is worth keeping for another try.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Layer(error) => error.is_refusal(),
            Self::Merge(MergeError::Source { .. }) => false,
            Self::Merge(MergeError::Entry { .. } | MergeError::TooManyLayers { .. }) => true,
            _ => false,
        }
    }

    /// Whether bytes did not match the digest or size they must have (exit status 3).
    pub fn is_mismatch(&self) -> bool {
        match self {
            Self::Source(error) => error.is_mismatch(),
            Self::Store(error) => error.is_mismatch(),
            // What the source's reader said, in the I/O error that readers have to return.
            Self::Layer(ScanError::Read { source, .. }) => source
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<SourceError>())
                .is_some_and(SourceError::is_mismatch),
            Self::Layer(error) => matches!(
                error,
                ScanError::Digest { .. } | ScanError::DiffId { .. } | ScanError::Size { .. }
            ),
            Self::Pinned { .. } | Self::TwoDiffIds { .. } => true,
            _ => false,
        }
    }
}
