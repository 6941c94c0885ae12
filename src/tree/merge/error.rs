//! Why layers make no tree, and the bounds that keep a hostile image from taking all memory.

/// Bounds on what the layers of one image may make the merge do; each is named in its error.
#[derive(Debug, Clone, Copy)]
pub struct MergeLimits {
    /// Entries of all layers together, with the directories made for missing parents.
    pub entries: u64,
    /// Bytes of names, symlink texts, extended attributes and sparse maps kept, of all layers
    /// together. Those that a later layer replaces count too.
    pub bytes: u64,
    /// Path components walked because a symlink stood in the way, of all layers together.
    pub steps: u64,
}

impl MergeLimits {
    /// The highest there are, for layers that made a tree before.
    pub const HIGHEST: Self = Self { entries: u64::MAX, bytes: u64::MAX, steps: u64::MAX };
}

impl Default for MergeLimits {
    /// Far above any image seen; at worst a few gigabytes and a few seconds.
    fn default() -> Self {
        Self { entries: 20_000_000, bytes: 1 << 30, steps: 100_000_000 }
    }
}

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
    /// [`MergeLimits::entries`].
    #[error("more than {limit} entries in the image (limit `entries`)")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// [`MergeLimits::bytes`].
    #[error("names and attributes of more than {limit} bytes in the image (limit `bytes`)")]
    TooManyBytes {
        /// The limit.
        limit: u64,
    },
    /// [`MergeLimits::steps`].
    #[error("more than {limit} steps through symlinks in the image (limit `steps`)")]
    TooManySteps {
        /// The limit.
        limit: u64,
    },
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().to_string()
}
