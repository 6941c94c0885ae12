//! Access control lists as text. An image has them as the value of an extended attribute, which
//! GNU tar restores as such; bsdtar restores them only from the records `SCHILY.acl.access` and
//! `.default`, so an archive has both.
//!
//! ```text
//! value: version 2 (u32) | tag (u16) permissions (u16) id (u32) | ...      little-endian
//! text:  user::rw-,user:1000:rw-:1000,group::r--,mask::rw-,other::r--
//! ```

/// The record for an attribute, when that is an access control list.
pub(super) fn record_key(attribute: &[u8]) -> Option<&'static [u8]> {
    match attribute {
        b"system.posix_acl_access" => Some(b"SCHILY.acl.access"),
        b"system.posix_acl_default" => Some(b"SCHILY.acl.default"),
        _ => None,
    }
}

/// The text of a list; `None` when the value is none.
pub(super) fn text(value: &[u8]) -> Option<String> {
    let (version, entries) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 || !entries.len().is_multiple_of(8) {
        return None;
    }
    let entries: Option<Vec<String>> = entries.chunks_exact(8).map(entry).collect();
    Some(entries?.join(","))
}

fn entry(bytes: &[u8]) -> Option<String> {
    let (tag, rest) = bytes.split_first_chunk::<2>()?;
    let (permissions, id) = rest.split_first_chunk::<2>()?;
    let id = u32::from_le_bytes(id.try_into().ok()?);
    let permissions = u16::from_le_bytes(*permissions);
    let letter = |bit, letter| if permissions & bit != 0 { letter } else { '-' };
    let shown: String = [letter(4, 'r'), letter(2, 'w'), letter(1, 'x')].iter().collect();
    Some(match u16::from_le_bytes(*tag) {
        0x01 => format!("user::{shown}"),
        0x02 => format!("user:{id}:{shown}:{id}"),
        0x04 => format!("group::{shown}"),
        0x08 => format!("group:{id}:{shown}:{id}"),
        0x10 => format!("mask::{shown}"),
        0x20 => format!("other::{shown}"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_shown_as_text() {
        let value = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x06\0\xe8\x03\0\0\
            \x04\0\x04\0\xff\xff\xff\xff\x08\0\x05\0\xd0\x07\0\0\x10\0\x07\0\xff\xff\xff\xff\
            \x20\0\0\0\xff\xff\xff\xff";
        let wanted =
            "user::rw-,user:1000:rw-:1000,group::r--,group:2000:r-x:2000,mask::rwx,other::---";
        assert_eq!(text(value).as_deref(), Some(wanted));
        assert_eq!(text(b"\x02\0\0\0").as_deref(), Some(""));
    }

    #[test]
    fn what_is_no_list_has_no_text() {
        for value in [&b""[..], b"\x01\0\0\0", b"\x02\0\0\0\x01", b"\x02\0\0\0\x03\0\0\0\0\0\0\0"] {
            assert_eq!(text(value), None);
        }
        assert_eq!(record_key(b"user.a"), None);
    }
}
