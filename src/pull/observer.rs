//! What a pull tells whoever watches: facts, no words and no widths.

use crate::oci::Descriptor;

/// Watches a pull. Called from several threads.
pub trait Observer: Send + Sync {
    /// The image's layers, bottom first; events name them by position. Said once, before them.
    fn layers(&self, layers: &[Descriptor]) {
        let _ = layers;
    }

    /// Something happened to a layer.
    fn layer(&self, position: usize, event: LayerEvent) {
        let _ = (position, event);
    }

    /// All layers are there; the tree is being made.
    fn merging(&self) {}
}

/// What can happen to a layer, in the order in which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerEvent {
    /// The store has it; its bytes are being checked or its table rebuilt.
    Checking,
    /// Another process is fetching it.
    Waiting,
    /// Fetching begins at this byte: what is before was fetched earlier.
    Started {
        /// Bytes of the blob that are there already.
        have: u64,
    },
    /// This many more compressed bytes were taken in, those that were there already too.
    Progress {
        /// Bytes since the last such event.
        bytes: u64,
    },
    /// What was fetched earlier or just now was wrong: progress begins again at 0.
    Restarted,
    /// It was fetched and is in the store.
    Done,
    /// It was in the store already.
    Exists,
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
