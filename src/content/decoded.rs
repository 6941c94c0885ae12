//! The bytes of a decoded span, whose buffer is used again.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers kept for the next span.
const SPARE: usize = 2;

/// Buffers that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// One of them, with whatever is in it, or a new one.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }
}

/// The bytes of a span, checked.
#[derive(Debug)]
pub(super) struct Decoded {
    bytes: Vec<u8>,
    spare: Arc<Spare>,
}

impl Decoded {
    /// The buffer goes to `spare` in the end.
    pub(super) fn new(bytes: Vec<u8>, spare: &Arc<Spare>) -> Self {
        Self { bytes, spare: Arc::clone(spare) }
    }
}

impl Deref for Decoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Decoded {
    fn drop(&mut self) {
        let mut spare = self.spare.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}
