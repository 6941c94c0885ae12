//! Text that must not be shown: passwords, tokens, header values.
//!
//! A [`Secret`] has no `Display`, and its `Debug` says only that it is there. Whoever needs the
//! text says [`Secret::expose`], which is easy to search for.

use std::fmt;

/// A secret text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be sent to whom it belongs and to nobody else.
    pub fn expose(&self) -> &str {
        &self.0
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
}
