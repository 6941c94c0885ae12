//! Numbers: octal with spaces and NULs, base-256 with a sign, and what is out of range.

use shalefs::layer::tar::Fault;
use shalefs::layer::{Kind, Time};

use super::archive::{Archive, Header, Style, Walk};

fn file(offset: usize, field: &[u8]) -> Walk {
    let header = Header::new(Style::Gnu, "n", b'0').with(offset, field);
    Archive::new().member(&header, b"").walk()
}

#[test]
fn tar_octal_with_spaces_or_nuls() {
    for field in [&b"   1750\0"[..], b"1750\0\0\0\0", b"\0  1750 ", b"0001750 ", b"1750\0999"] {
        assert_eq!(file(108, field).one().uid, 1000, "{field:?}");
    }
    assert_eq!(file(108, b"\0\0\0\0\0\0\0\0").one().uid, 0);
    assert_eq!(file(108, b"        ").one().uid, 0);
}

#[test]
fn tar_base256_with_sign() {
    assert_eq!(file(108, b"\x80\0\0\0\xff\xff\xff\xfe").one().uid, 0xffff_fffe);
    assert_eq!(file(116, b"\x80\0\0\0\0\x01\0\0").one().gid, 65536);
    let past = file(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe").one();
    assert_eq!(past.mtime, Time { seconds: -2, nanos: 0 });
    let header = Header::new(Style::Gnu, "n", b'0').with(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x03");
    assert_eq!(Archive::new().member(&header, b"abc").walk().one().size, 3);
}

#[test]
fn tar_number_out_of_range_is_an_error() {
    let range = |field, value| Fault::Range { field, value };
    assert_eq!(file(108, b"\x80\0\0\x01\0\0\0\0").fault(), range("uid", 1 << 32));
    assert_eq!(file(116, b"\xff\xff\xff\xff\xff\xff\xff\xff").fault(), range("gid", -1));
    let negative = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    assert_eq!(file(124, negative).fault(), range("size", -1));
    let device = Header::new(Style::Ustar, "n", b'3').with(329, b"\x80\0\0\x01\0\0\0\0");
    assert_eq!(Archive::new().member(&device, b"").walk().fault(), range("devmajor", 1 << 32));
    let extension = Header::new(Style::Gnu, "n", b'L').with(124, negative);
    assert_eq!(Archive::new().member(&extension, b"").walk().fault(), range("size", -1));
}

#[test]
fn tar_number_of_more_than_63_bits_is_an_error() {
    let fault = file(136, b"\x80\0\0\x01\0\0\0\0\0\0\0\0").fault();
    assert_eq!(fault, Fault::Number { field: "mtime" });
}

#[test]
fn tar_unreadable_number_is_an_error_even_if_unused() {
    for (offset, field) in [
        (100, "mode"),
        (108, "uid"),
        (116, "gid"),
        (124, "size"),
        (136, "mtime"),
        (329, "devmajor"),
        (337, "devminor"),
    ] {
        for kind in [b'0', b'5'] {
            let header = Header::new(Style::Ustar, "n", kind).with(offset, b"12x4567\0");
            let fault = Archive::new().member(&header, b"").walk().fault();
            assert_eq!(fault, Fault::Number { field });
        }
    }
}

#[test]
fn tar_mode_keeps_suid_sgid_and_sticky_and_nothing_more() {
    assert_eq!(file(100, b"0007755\0").one().mode, 0o7755);
    assert_eq!(file(100, b"0104644\0").one().mode, 0o4644);
    assert_eq!(file(100, b"\xff\xff\xff\xff\xff\xff\xff\xff").one().mode, 0o7777);
}

#[test]
fn tar_devices_have_major_and_minor() {
    for (typeflag, kind) in [(b'3', Kind::CharDevice), (b'4', Kind::BlockDevice)] {
        let header = Header::new(Style::Ustar, "n", typeflag);
        let header = header.with(329, b"0000010\0").with(337, b"\x80\0\0\0\0\x0f\xff\xff");
        let entry = Archive::new().member(&header, b"").walk().one();
        assert_eq!((entry.kind, entry.device), (kind, (8, 0xf_ffff)));
    }
    let fifo = Header::new(Style::Ustar, "n", b'6').with(329, b"0000010\0");
    assert_eq!(Archive::new().member(&fifo, b"").walk().one().device, (0, 0));
}
