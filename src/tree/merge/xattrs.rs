//! A node's extended attributes as bytes, so that equal sets are equal bytes and kept once.
//!
//! ```text
//! set: { u16 length of name, u32 length of value, name, value } ...   sorted by name
//! ```
//!
//! No name is empty: in a table, a length of 0 ends the set.

use std::collections::BTreeMap;

/// The bytes of a set that is sorted by name, names unique (as [`crate::layer::Entry`] has it).
pub(super) fn encode(set: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in set {
        push(&mut bytes, name, value);
    }
    bytes
}

/// The set in `old` with each attribute of `new` set on top.
pub(super) fn encode_over(old: &[u8], new: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    if new.is_empty() {
        return old.to_vec();
    }
    let mut all: BTreeMap<&[u8], &[u8]> = decode(old).collect();
    all.extend(new.iter().map(|(name, value)| (name.as_slice(), value.as_slice())));
    let mut bytes = Vec::new();
    for (name, value) in all {
        push(&mut bytes, name, value);
    }
    bytes
}

/// The attributes of a set; ends where the bytes end or are none.
fn decode(mut set: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = set.split_first_chunk::<6>()?;
        let [a, b, c, d, e, f] = *head;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([a, b])))?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes([c, d, e, f]) as usize)?;
        set = rest;
        Some((name, value))
    })
}

/// An empty name is left out and lengths that do not fit are cut; the tar walker lets neither pass.
fn push(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if name.is_empty() {
        return;
    }
    let name_length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    let value_length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&name_length.to_le_bytes());
    bytes.extend_from_slice(&value_length.to_le_bytes());
    bytes.extend_from_slice(&name[..usize::from(name_length)]);
    bytes.extend_from_slice(&value[..value_length as usize]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_and_on_top() {
        let set = [(b"a".to_vec(), b"1\0\n".to_vec()), (b"c".to_vec(), b"".to_vec())];
        let bytes = encode(&set);
        let pairs: Vec<(&[u8], &[u8])> = vec![(b"a", b"1\0\n"), (b"c", b"")];
        assert_eq!(decode(&bytes).collect::<Vec<_>>(), pairs);
        assert_eq!(encode_over(&bytes, &[]), bytes);
        let over = encode_over(&bytes, &[(b"a".to_vec(), b"2".to_vec()), (b"b".to_vec(), vec![])]);
        let pairs: Vec<(&[u8], &[u8])> = vec![(b"a", b"2"), (b"b", b""), (b"c", b"")];
        assert_eq!(decode(&over).collect::<Vec<_>>(), pairs);
        assert_eq!(decode(&bytes[..3]).count(), 0);
    }
}
