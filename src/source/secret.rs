//! Text that must not be shown: passwords, tokens, header values.
//!
//! A [`Secret`] has no `Display`, and its `Debug` says only that it is there. Whoever needs the
//! text says [`Secret::expose`], which is easy to search for. As long as there is one, the process
//! leaves no core file; when it goes, its bytes are overwritten. (Copies that an HTTP client makes
//! are the client's.)

use std::fmt;

use crate::sys::process::NoCoreFile;

/// A secret text.
pub struct Secret {
    text: String,
    _no_core_file: NoCoreFile,
}

impl Secret {
    /// Takes a secret out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), _no_core_file: NoCoreFile::new() }
    }

    /// The text, to be sent to whom it belongs and to nobody else.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl Clone for Secret {
    fn clone(&self) -> Self {
        Self::new(self.text.as_str())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        bytes.fill(0);
        // Somebody may look at them: so they are written.
        std::hint::black_box(&bytes);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_cannot_be_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:#?}", vec![secret.clone()]).matches("hunter2").count(), 0);
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn while_there_is_a_secret_there_is_no_core_file() {
        use rustix::process::{DumpableBehavior, dumpable_behavior};
        let secret = Secret::new("hunter2");
        let other = secret.clone();
        drop(secret);
        assert_eq!(dumpable_behavior().expect("Linux"), DumpableBehavior::NotDumpable);
        drop(other);
    }
}
