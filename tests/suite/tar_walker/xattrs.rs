//! Extended attributes: both spellings, which of them wins, and what is dropped.

use shalefs::layer::tar::Fault;
use shalefs::layer::{Kind, WarningKind, Xattr};

use super::archive::{Archive, Header, Style, Walk};

fn file_with(records: &[(&str, &[u8])]) -> Walk {
    Archive::new().pax(records).file("name", b"").walk()
}

fn pair(name: &str, value: &[u8]) -> Xattr {
    (name.as_bytes().to_vec(), value.to_vec())
}

#[test]
fn tar_xattr_schily_values_are_bytes() {
    // security.capability, as GNU tar and docker write it.
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let walk = file_with(&[
        ("SCHILY.xattr.user.text", b"line\nline\n"),
        ("SCHILY.xattr.security.capability", capability),
        ("SCHILY.xattr.system.posix_acl_access", b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff"),
    ]);
    assert_eq!(
        walk.one().xattrs,
        [
            pair("security.capability", capability),
            pair("system.posix_acl_access", b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff"),
            pair("user.text", b"line\nline\n"),
        ]
    );
}

#[test]
fn tar_xattr_libarchive_names_are_percent_and_values_base64() {
    for value in ["AAEC/w==", "AAEC/w"] {
        let walk = file_with(&[("LIBARCHIVE.xattr.user.a%3Db%20c", value.as_bytes())]);
        assert_eq!(walk.one().xattrs, [pair("user.a=b c", b"\0\x01\x02\xff")]);
    }
}

#[test]
fn tar_xattr_schily_wins_over_libarchive() {
    let schily: (&str, &[u8]) = ("SCHILY.xattr.user.a", b"schily");
    let libarchive: (&str, &[u8]) = ("LIBARCHIVE.xattr.user.a", b"eA");
    for records in [[schily, libarchive], [libarchive, schily]] {
        assert_eq!(file_with(&records).one().xattrs, [pair("user.a", b"schily")]);
    }
}

#[test]
fn tar_xattr_last_key_wins_and_an_empty_value_deletes() {
    let walk = file_with(&[
        ("SCHILY.xattr.user.a", b"1"),
        ("SCHILY.xattr.user.a", b"2"),
        ("SCHILY.xattr.user.b", b"1"),
        ("SCHILY.xattr.user.b", b""),
        ("LIBARCHIVE.xattr.user.c", b""),
    ]);
    assert_eq!(walk.one().xattrs, [pair("user.a", b"2")]);
}

#[test]
fn tar_xattr_of_every_kind_of_entry() {
    for typeflag in b'0'..=b'6' {
        let header = Header::new(Style::Ustar, "n", typeflag).link("target");
        let archive = Archive::new().pax(&[("SCHILY.xattr.trusted.a", b"1")]);
        let entry = archive.member(&header, b"").walk().one();
        assert_eq!(entry.xattrs, [pair("trusted.a", b"1")], "{:?}", entry.kind);
    }
}

#[test]
fn tar_xattr_overlay_is_dropped_with_a_warning() {
    for key in [
        "SCHILY.xattr.trusted.overlay.opaque",
        "SCHILY.xattr.user.overlay.redirect",
        "LIBARCHIVE.xattr.trusted.overlay.origin",
    ] {
        let walk = file_with(&[(key, b"eQ"), ("SCHILY.xattr.user.a", b"1")]);
        assert_eq!(walk.kinds(), [WarningKind::OverlayXattr]);
        assert_eq!(walk.warnings[0].path, b"name");
        assert_eq!(walk.one().xattrs, [pair("user.a", b"1")]);
    }
}

#[test]
fn tar_xattr_that_cannot_be_decoded_is_dropped_with_a_warning() {
    let walk = file_with(&[("LIBARCHIVE.xattr.user.a", b"*"), ("SCHILY.xattr.user.b", b"1")]);
    assert_eq!(walk.kinds(), [WarningKind::UnreadableXattr]);
    assert_eq!(walk.one().xattrs, [pair("user.b", b"1")]);
}

#[test]
fn tar_xattr_name_that_the_kernel_cannot_take_is_an_error() {
    let fault = file_with(&[("SCHILY.xattr.", b"1")]).fault();
    assert_eq!(fault, Fault::XattrName { length: 0 });
    let long = format!("SCHILY.xattr.user.{}", "a".repeat(251));
    assert_eq!(file_with(&[(&long, b"1")]).fault(), Fault::XattrName { length: 256 });
}

#[test]
fn tar_xattr_of_an_entry_is_not_the_next_ones() {
    let archive = Archive::new().pax(&[("SCHILY.xattr.user.a", b"1")]).file("a", b"");
    let entries = archive.file("b", b"").walk().ok();
    assert_eq!((entries[1].kind, entries[1].xattrs.len()), (Kind::File, 0));
}
