//! The limits that JSON from outside must keep, checked before a parser builds anything from it.
//!
//! The depth is counted over the raw bytes: a deep document costs one scan and no stack. What is
//! left (is it JSON at all, does it have the right fields) is the parser's to say.

/// The largest manifest, index or config that is read: 4 MiB, what registries accept on push.
pub const JSON_LIMIT: u64 = 4 * 1024 * 1024;

/// How many arrays and objects may be open at once.
pub const JSON_DEPTH: usize = 64;

/// Why a JSON text is refused before it is parsed, or by the parser.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// More than [`JSON_LIMIT`] bytes.
    #[error("{0} bytes, more than the limit of {JSON_LIMIT} bytes (4 MiB) for a document")]
    TooLarge(u64),
    /// More than [`JSON_DEPTH`] levels.
    #[error("JSON nested deeper than the limit of {JSON_DEPTH} levels")]
    TooDeep,
    /// An array, a string, ...
    #[error("not a JSON object")]
    NotAnObject,
    /// Not JSON, or not the JSON that belongs here.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
}

/// Checks the limits, then parses an object. (serde would take an array for a structure.)
pub(crate) fn object<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    // Some writers put a byte order mark in front.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes.trim_ascii_start().first() {
        Some(b'{') | None => parse(bytes),
        Some(_) => Err(JsonError::NotAnObject),
    }
}

/// Checks the limits, then parses.
pub(crate) fn parse<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    let size = bytes.len() as u64;
    if size > JSON_LIMIT {
        return Err(JsonError::TooLarge(size));
    }
    if depth(bytes) > JSON_DEPTH {
        return Err(JsonError::TooDeep);
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// The greatest number of brackets open at once, strings left out.
fn depth(bytes: &[u8]) -> usize {
    let (mut now, mut most, mut in_string, mut escape) = (0_usize, 0, false, false);
    for &byte in bytes {
        match byte {
            _ if escape => escape = false,
            b'\\' if in_string => escape = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// Reads a missing or `null` value as the default, as Go does.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + serde::Deserialize<'de>,
{
    use serde::Deserialize as _;
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_at_the_limit_and_one_past() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse::<serde_json::Value>(nested(JSON_DEPTH).as_bytes()).is_ok());
        let error = parse::<serde_json::Value>(nested(JSON_DEPTH + 1).as_bytes());
        assert!(matches!(error, Err(JsonError::TooDeep)));
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        assert_eq!(depth(br#"{"a":"[[[[\"[[","b":"\\"}"#), 1);
    }

    #[test]
    fn size_at_the_limit_and_one_past() {
        let text = |size: usize| format!("\"{}\"", "x".repeat(size - 2));
        let limit = usize::try_from(JSON_LIMIT).expect("fits");
        assert!(parse::<String>(text(limit).as_bytes()).is_ok());
        let error = parse::<String>(text(limit + 1).as_bytes());
        assert!(matches!(error, Err(JsonError::TooLarge(_))));
    }
}
