//! Short forms of texts and digests, and JSON with an indent.

use serde::Serialize;
use serde_json::Value as Json;

use crate::oci::Digest;

/// At most `width` characters, the last one `…` when more are left out.
pub fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// The first twelve digits of a digest.
pub fn short(digest: &Digest) -> String {
    digest.hex().chars().take(12).collect()
}

/// JSON with an indent: four spaces in Docker's `inspect`.
pub fn indented(json: &Json, indent: &[u8]) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // Neither a Vec nor a JSON value can refuse.
    let _ = json.serialize(&mut serializer);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_end_with_an_ellipsis() {
        assert_eq!(ellipsis("abc", 3), "abc");
        assert_eq!(ellipsis("abcd", 3), "ab…");
        assert_eq!(ellipsis("ääää", 3), "ää…");
    }
}
