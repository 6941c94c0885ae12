//! Extended attributes from PAX records.
//!
//! Two spellings exist, and bsdtar writes both for one attribute: `SCHILY.xattr.` wins. Overlay
//! attributes are dropped, since an image must not be able to speak to overlayfs. Names that the
//! kernel could not take are an error, because docker's and containerd's unpacking fails on them.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::error::Fault;
use super::pax::{Dialect, Records};
use crate::layer::Xattr;
use crate::limits::{Limit, Limits};

/// The longest name of an attribute, in bytes (`XATTR_NAME_MAX`).
const NAME_MAX: usize = 255;

/// libarchive writes base64 without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The attributes of one entry and what was dropped on the way.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Xattrs {
    /// Name and value, sorted by name, names unique.
    pub list: Vec<Xattr>,
    /// An overlay attribute was dropped.
    pub overlay: bool,
    /// A libarchive attribute could not be decoded and was dropped.
    pub unreadable: bool,
}

/// Gathers the attributes among `records`; names and values within the limits.
pub fn gather(records: &Records, limits: &Limits) -> Result<Xattrs, Fault> {
    let mut found = Xattrs::default();
    let mut all = Vec::new();
    for (dialect, name, value) in records.xattrs() {
        match decode(dialect, name, value) {
            Some((name, value)) => all.push((name, dialect, value)),
            None => found.unreadable = true,
        }
    }
    // Stable, so that of one name and dialect the last record stays last.
    all.sort_by(|left, right| (&left.0, left.1).cmp(&(&right.0, right.1)));
    let mut all = all.into_iter().peekable();
    let mut bytes = 0_u64;
    while let Some((name, dialect, value)) = all.next() {
        let replaced = all.peek().is_some_and(|next| next.0 == name && next.1 == dialect);
        let taken = found.list.last().is_some_and(|(last, _)| *last == name);
        if replaced || taken || value.is_empty() {
            continue;
        }
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            found.overlay = true;
            continue;
        }
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(Fault::XattrName { length: name.len() });
        }
        bytes += u64::try_from(name.len() + value.len()).unwrap_or(u64::MAX);
        limits.hold(Limit::Xattrs, bytes)?;
        found.list.push((name, value));
    }
    Ok(found)
}

fn decode(dialect: Dialect, name: &[u8], value: &[u8]) -> Option<Xattr> {
    match dialect {
        Dialect::Schily => Some((name.to_vec(), value.to_vec())),
        Dialect::Libarchive => {
            let name = percent_decode(name);
            let usable = !name.is_empty() && name.len() <= NAME_MAX && !name.contains(&0);
            Some((name, BASE64.decode(value).ok()?)).filter(|_| usable)
        }
    }
}

/// `%41` becomes `A`; a percent sign without two hexadecimal digits stands for itself.
fn percent_decode(name: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        decoded.push(escaped.map_or(*first, |(high, low)| high << 4 | low));
        rest = after.get(if escaped.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Exceeded;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let body = [key.as_bytes(), b"=", value, b"\n"].concat();
        let length = (1..).find(|length| length.to_string().len() + 1 + body.len() == *length);
        [format!("{} ", length.expect("a length")).as_bytes(), &body].concat()
    }

    fn gathered(records: &[(&str, &[u8])], limit: u64) -> Result<Xattrs, Fault> {
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        let mut parsed = Records::default();
        parsed.parse(&body).expect("well-formed records");
        gather(&parsed, &Limits { xattrs: limit, ..Limits::DEFAULT })
    }

    fn list(records: &[(&str, &[u8])]) -> Vec<Xattr> {
        gathered(records, 65536).expect("attributes").list
    }

    fn pair(name: &str, value: &[u8]) -> Xattr {
        (name.as_bytes().to_vec(), value.to_vec())
    }

    #[test]
    fn names_are_sorted_and_unique() {
        let records: [(&str, &[u8]); 3] = [
            ("SCHILY.xattr.user.b", b"1"),
            ("SCHILY.xattr.user.a", b"2"),
            ("SCHILY.xattr.user.b", b"3"),
        ];
        assert_eq!(list(&records), [pair("user.a", b"2"), pair("user.b", b"3")]);
    }

    #[test]
    fn an_empty_value_deletes() {
        let records: [(&str, &[u8]); 2] =
            [("SCHILY.xattr.user.a", b"1"), ("SCHILY.xattr.user.a", b"")];
        assert_eq!(list(&records), []);
    }

    #[test]
    fn libarchive_names_and_values_are_decoded() {
        let records: [(&str, &[u8]); 1] = [("LIBARCHIVE.xattr.user.%3d%25%", b"AP8KAA")];
        assert_eq!(list(&records), [pair("user.=%%", b"\0\xff\n\0")]);
    }

    #[test]
    fn schily_wins_in_either_order() {
        for order in [[0, 1], [1, 0]] {
            let records: [(&str, &[u8]); 2] =
                [("LIBARCHIVE.xattr.user.a", b"eA=="), ("SCHILY.xattr.user.a", b"y")];
            assert_eq!(list(&order.map(|place| records[place])), [pair("user.a", b"y")]);
        }
    }

    #[test]
    fn undecodable_attributes_are_dropped_and_told() {
        for (key, value) in [
            ("LIBARCHIVE.xattr.user.a", &b"?"[..]),
            ("LIBARCHIVE.xattr.user.%00", b"eA"),
            ("LIBARCHIVE.xattr.", b"eA"),
        ] {
            let found = gathered(&[(key, value)], 100).expect("attributes");
            assert_eq!(found, Xattrs { unreadable: true, ..Xattrs::default() }, "{key}");
        }
    }

    #[test]
    fn overlay_attributes_are_dropped_and_told() {
        let records: [(&str, &[u8]); 4] = [
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("LIBARCHIVE.xattr.user.overlay.origin", b"eA"),
            ("SCHILY.xattr.trusted.overlays", b"1"),
            ("SCHILY.xattr.user.overlay", b"2"),
        ];
        let found = gathered(&records, 100).expect("attributes");
        assert!(found.overlay);
        assert_eq!(found.list, [pair("trusted.overlays", b"1"), pair("user.overlay", b"2")]);
    }

    #[test]
    fn the_limit_counts_names_and_values() {
        let records: [(&str, &[u8]); 2] =
            [("SCHILY.xattr.user.a", b"1234"), ("SCHILY.xattr.user.b", b"1234")];
        assert!(gathered(&records, 20).is_ok());
        assert_eq!(
            gathered(&records, 19),
            Err(Fault::Limit(Exceeded { limit: Limit::Xattrs, most: 19 }))
        );
    }

    #[test]
    fn impossible_names_are_refused() {
        let long = format!("SCHILY.xattr.{}", "a".repeat(256));
        let found = gathered(&[(&long, b"1")], 1000);
        assert_eq!(found, Err(Fault::XattrName { length: 256 }));
        let found = gathered(&[("SCHILY.xattr.", b"1")], 1000);
        assert_eq!(found, Err(Fault::XattrName { length: 0 }));
    }
}
