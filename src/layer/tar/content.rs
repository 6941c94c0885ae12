//! The identity of a file's bytes while they stream by.
//!
//! A body that lies whole in one piece, as most do, is hashed in one go: setting up and finishing
//! a running hash costs more than hashing a small file.

use blake3::Hasher;

use crate::layer::{ContentId, Extent};

/// Keeps sparse content apart from plain content, whatever bytes either holds.
const SPARSE_CONTEXT: &str = "shale sparse file v1: size, runs, stored bytes";

/// A running hash of one file after the other.
#[derive(Debug)]
pub struct ContentHasher {
    hasher: Hasher,
    /// Whether `hasher` has taken something.
    started: bool,
    sparse: bool,
}

impl ContentHasher {
    /// Ready for a plain file.
    pub fn new() -> Self {
        Self { hasher: Hasher::new(), started: false, sparse: false }
    }

    /// The bytes that follow are the stored ones of a sparse file with this size and these runs.
    pub fn begin_sparse(&mut self, size: u64, runs: &[Extent]) {
        self.hasher = Hasher::new_derive_key(SPARSE_CONTEXT);
        self.started = true;
        self.sparse = true;
        self.hasher.update(&size.to_le_bytes());
        self.hasher.update(&u64::try_from(runs.len()).unwrap_or(u64::MAX).to_le_bytes());
        for run in runs {
            self.hasher.update(&run.offset.to_le_bytes());
            self.hasher.update(&run.length.to_le_bytes());
        }
    }

    /// More bytes of the file; not the last ones.
    pub fn update(&mut self, data: &[u8]) {
        self.started = true;
        self.hasher.update(data);
    }

    /// The last bytes of the file; afterwards ready for the next plain file.
    pub fn finish(&mut self, data: &[u8]) -> ContentId {
        if !self.started {
            return ContentId(*blake3::hash(data).as_bytes());
        }
        let content = ContentId(*self.hasher.update(data).finalize().as_bytes());
        if self.sparse {
            self.hasher = Hasher::new();
            self.sparse = false;
        } else {
            self.hasher.reset();
        }
        self.started = false;
        content
    }
}
