//! Why layers make no tree.

use crate::limits::Exceeded;

/// Why the layers make no tree. A [`Merger`](super::Merger) that returned one is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The entries of a layer could not be read.
    #[error("layer {layer}: its entries cannot be read: {source}")]
    Source {
        /// Position of the layer, 0 = bottom.
        layer: u32,
        /// What the reader said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An entry that no tree can be made of.
    #[error("layer {layer}: entry \"{}\": {fault}", String::from_utf8_lossy(.path).escape_debug())]
    Entry {
        /// Position of the layer, 0 = bottom.
        layer: u32,
        /// The entry's cleaned path; empty for the root.
        path: Vec<u8>,
        /// What is wrong with it.
        #[source]
        fault: Fault,
    },
    /// More layers than a table can tell apart.
    #[error("more than {limit} layers")]
    TooManyLayers {
        /// How many there may be.
        limit: u32,
    },
}

/// What can be wrong with an entry, seen from the tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// `.wh.` followed by nothing, `.`, `..` or a name with NUL.
    #[error("a whiteout that names nothing")]
    WhiteoutName,
    /// A parent's name begins with `.wh.`, so it can never exist.
    #[error("it stands below a `.wh.` name")]
    BelowWhiteout,
    /// A parent is something else than a directory, and this layer made it so.
    #[error("its parent is a file of the same layer")]
    ParentIsFile,
    /// Following symlinks on the way to a parent does not end.
    #[error("more than {limit} symlinks on the way (a loop?)")]
    Loop {
        /// How many are followed.
        limit: u32,
    },
    /// A hard link to a directory.
    #[error("hard link to \"{}\", which is a directory", shown(.target))]
    LinkToDirectory {
        /// The link's target path.
        target: Vec<u8>,
    },
    /// A hard link whose target is its own name.
    #[error("hard link to itself")]
    LinkToItself,
    /// A hard link whose target is in neither this layer so far nor a lower one.
    #[error("hard link to \"{}\", which does not exist", shown(.target))]
    LinkToNothing {
        /// The link's target path.
        target: Vec<u8>,
    },
    /// The image's root as anything else than a directory.
    #[error("the root is not a directory")]
    RootNotDirectory,
    /// A component that no file system takes.
    #[error("a name that is empty, `.`, `..`, over 255 bytes, or holds NUL")]
    BadName,
    /// A symlink text that no file system takes.
    #[error("a symlink text that is empty or over 4095 bytes")]
    BadSymlink,
    /// Beyond what a table row can point at.
    #[error("its data begins at byte {offset} of the layer, past 2^48")]
    FarData {
        /// Where the data begins.
        offset: u64,
    },
    /// It costs more than allowed.
    #[error("{0}")]
    Limit(#[source] Exceeded),
}

impl From<Exceeded> for Fault {
    fn from(exceeded: Exceeded) -> Self {
        Self::Limit(exceeded)
    }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().to_string()
}
