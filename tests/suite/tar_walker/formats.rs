//! The formats: v7, ustar with prefix, old GNU, GNU, PAX, star; checksums.

use shalefs::layer::Kind;
use shalefs::layer::tar::Fault;

use super::archive::{Archive, Header, Style};

#[test]
fn tar_v7_is_read() {
    let header = Header::new(Style::V7, "old", 0)
        .with(100, b"0100755 ")
        .with(108, b"   1750 ")
        .with(116, b"   1751 ")
        .with(136, b"12036615200 ");
    // What later formats keep behind the link is not looked at.
    let header = header.size(3).with(329, b"garbage").with(345, b"no/prefix");
    let entry = Archive::new().member(&header, b"abc").walk().one();
    assert_eq!((entry.path, entry.kind, entry.size), (b"old".to_vec(), Kind::File, 3));
    assert_eq!((entry.mode, entry.uid, entry.gid), (0o755, 1000, 1001));
    assert_eq!((entry.mtime.seconds, entry.mtime.nanos), (1_350_244_992, 0));
}

#[test]
fn tar_ustar_prefix_is_joined() {
    let header = Header::new(Style::Ustar, "name", b'0').with(345, b"some/directory");
    assert_eq!(Archive::new().member(&header, b"").walk().paths(), ["some/directory/name"]);
    let header = Header::new(Style::Ustar, "", b'0').with(0, &[b'n'; 100]).with(345, &[b'p'; 155]);
    let path = format!("{}/{}", "p".repeat(155), "n".repeat(100));
    assert_eq!(Archive::new().member(&header, b"").walk().paths(), [path]);
}

#[test]
fn tar_star_prefix_ends_before_its_times() {
    let header = Header::new(Style::Star, "name", b'0')
        .with(345, &[b'p'; 131])
        .with(476, b"12036615200 ")
        .with(488, b"12036615200 ");
    let path = format!("{}/name", "p".repeat(131));
    assert_eq!(Archive::new().member(&header, b"").walk().paths(), [path]);
    let header = header.with(476, b"not a number");
    let fault = Archive::new().member(&header, b"").walk().fault();
    assert_eq!(fault, Fault::Number { field: "atime" });
}

#[test]
fn tar_gnu_has_times_where_ustar_has_a_prefix() {
    let header = Header::new(Style::Gnu, "name", b'0')
        .with(345, b"12036615200\0")
        .with(357, b"12036615200\0");
    assert_eq!(Archive::new().member(&header, b"").walk().paths(), ["name"]);
}

#[test]
fn tar_gnu_header_of_an_old_go_keeps_its_prefix() {
    let header = Header::new(Style::Gnu, "name", b'0').with(345, b"some/directory");
    assert_eq!(Archive::new().member(&header, b"").walk().paths(), ["some/directory/name"]);
    let header = Header::new(Style::Gnu, "name", b'0').with(345, b"some/d\xffrectory");
    assert_eq!(Archive::new().member(&header, b"").walk().paths(), ["name"]);
}

#[test]
fn tar_formats_mix_in_one_archive() {
    let mut archive = Archive::new();
    for (style, name) in
        [(Style::V7, "a"), (Style::Ustar, "b"), (Style::Gnu, "c"), (Style::Star, "d")]
    {
        archive = archive.member(&Header::new(style, name, b'0').size(1), b"x");
    }
    let archive = archive.extension(b'L', b"e\0").file("x", b"").pax(&[("path", b"f")]);
    assert_eq!(archive.file("x", b"").end().walk().paths(), ["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn tar_signed_and_unsigned_checksums_are_taken() {
    let header = Header::new(Style::Ustar, "n", b'0').with(1, &[0xc3, 0xa4, 0xff]);
    assert_ne!(header.block(), header.block_signed());
    for block in [header.block(), header.block_signed()] {
        assert_eq!(Archive::new().raw(&block).walk().one().path, b"n\xc3\xa4\xff");
    }
}

#[test]
fn tar_checksums_are_octal_in_any_padding() {
    let mut block = Header::new(Style::Ustar, "n", b'0').block();
    let digits: Vec<u8> = block[148..154].to_vec();
    for field in [
        [b" ", &digits[..], b" "].concat(),
        [&digits[..], b"  "].concat(),
        [b"\0\0", &digits[..]].concat(),
    ] {
        block[148..156].copy_from_slice(&field);
        assert_eq!(Archive::new().raw(&block).walk().paths(), ["n"], "{field:?}");
    }
}

#[test]
fn tar_bad_checksum_is_an_error_with_path_and_offset() {
    let mut damaged = Header::new(Style::Ustar, "damaged", b'0').block();
    damaged[300] ^= 1;
    let error = Archive::new().file("fine", b"data").raw(&damaged).walk().result.unwrap_err();
    assert_eq!(
        (error.fault, error.path.as_slice(), error.offset),
        (Fault::Checksum, &b"damaged"[..], 1024)
    );
}
