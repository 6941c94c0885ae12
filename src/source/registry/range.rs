//! `Content-Range`, read strictly (RFC 9110 section 14.4).

/// What a `Content-Range` says, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentRange {
    /// `bytes FIRST-LAST/TOTAL`: what follows is this range.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte; not before the first, and before the total.
        last: u64,
        /// All bytes; `None` for `*`.
        total: Option<u64>,
    },
    /// `bytes */TOTAL`: there is nothing at what was asked for.
    Unsatisfied {
        /// All bytes.
        total: u64,
    },
}

impl ContentRange {
    /// Parses the header's value; anything odd is `None`.
    pub fn parse(value: &str) -> Option<Self> {
        let rest = value.strip_prefix("bytes ")?;
        let (range, total) = rest.split_once('/')?;
        if range == "*" {
            return Some(Self::Unsatisfied { total: number(total)? });
        }
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let total = if total == "*" { None } else { Some(number(total)?) };
        let sane = first <= last && total.is_none_or(|total| last < total);
        sane.then_some(Self::Part { first, last, total })
    }
}

/// Digits and nothing else; Rust's own parser would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let part = |first, last, total| Some(ContentRange::Part { first, last, total });
        for (value, parsed) in [
            ("bytes 0-0/1", part(0, 0, Some(1))),
            ("bytes 5-9/10", part(5, 9, Some(10))),
            ("bytes 5-9/*", part(5, 9, None)),
            ("bytes */10", Some(ContentRange::Unsatisfied { total: 10 })),
            ("bytes 5-4/10", None),
            ("bytes 5-10/10", None),
            ("bytes +5-9/10", None),
            ("bytes -9/10", None),
            ("bytes 5-/10", None),
            ("bytes */*", None),
            ("bytes 5-9", None),
            ("bytes=5-9/10", None),
            ("bytes  5-9/10", None),
            ("octets 5-9/10", None),
            ("bytes 5-99999999999999999999/10", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(value), parsed, "{value:?}");
        }
    }
}
