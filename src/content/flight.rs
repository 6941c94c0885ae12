//! A span on its way: one thread decodes it, the others wait for its result.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::ContentError;
use super::decoded::Decoded;

/// A span that somebody is decoding.
#[derive(Debug, Default)]
pub(super) struct Flight {
    result: Mutex<Option<Result<Arc<Decoded>, ContentError>>>,
    landed: Condvar,
}

impl Flight {
    /// Ends it, for all who wait.
    pub(super) fn land(&self, result: Result<Arc<Decoded>, ContentError>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.landed.notify_all();
    }

    /// The result, when it is there.
    pub(super) fn wait(&self) -> Result<Arc<Decoded>, ContentError> {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = &*result {
                return result.clone();
            }
            result = self.landed.wait(result).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
