//! Ends: how an archive ends, and where it must not.

use shalefs::layer::tar::Fault;

use super::archive::{Archive, Header, Style};

#[test]
fn tar_ends_at_two_zero_blocks() {
    assert_eq!(Archive::new().file("a", b"x").end().walk().paths(), ["a"]);
    assert_eq!(Archive::new().end().walk().ok().len(), 0);
}

#[test]
fn tar_ends_at_the_end_of_the_stream() {
    assert_eq!(Archive::new().file("a", b"x").walk().paths(), ["a"]);
    assert_eq!(Archive::new().file("a", b"x").raw(&[0; 512]).walk().paths(), ["a"]);
    assert_eq!(Archive::new().walk().ok().len(), 0);
}

#[test]
fn tar_may_end_in_the_padding_of_its_last_file() {
    let mut archive = Archive::new().file("a", &[1; 700]);
    for length in [512 + 700, 512 + 701, 512 + 1023] {
        archive.bytes.truncate(512 + 1024);
        let cut = Archive { bytes: archive.bytes[..length].to_vec() };
        assert_eq!(cut.walk().paths(), ["a"], "{length}");
    }
}

#[test]
fn tar_bytes_after_the_end_are_ignored() {
    let archive = Archive::new().file("a", b"x").end();
    for after in [&b"garbage"[..], &[0; 10240], &Archive::new().file("b", b"").bytes] {
        assert_eq!(archive.clone().raw(after).walk().paths(), ["a"]);
    }
}

#[test]
fn tar_single_zero_block_in_the_middle_is_an_error() {
    let archive = Archive::new().file("a", b"x").raw(&[0; 512]).file("b", b"");
    let error = archive.walk().result.unwrap_err();
    assert_eq!((error.fault, error.offset), (Fault::LoneZeroBlock, 1536));
}

#[test]
fn tar_truncated_body_is_an_error_with_path_and_offset() {
    let archive = Archive::new().file("fine", b"x").file("dir/cut", &[1; 2000]);
    for length in [1024 + 512, 1024 + 513, 1024 + 512 + 1999] {
        let cut = Archive { bytes: archive.bytes[..length].to_vec() };
        let error = cut.walk().result.unwrap_err();
        assert_eq!(error.fault, Fault::Truncated);
        assert_eq!((error.path.as_slice(), error.offset), (&b"dir/cut"[..], length as u64));
    }
}

#[test]
fn tar_truncated_header_is_an_error() {
    let archive = Archive::new().file("a", b"x").file("b", b"");
    for length in [1025, 1024 + 511] {
        let cut = Archive { bytes: archive.bytes[..length].to_vec() };
        let walk = cut.walk();
        assert_eq!(walk.entries.len(), 1, "what was whole came out");
        assert_eq!(walk.fault(), Fault::Truncated);
    }
    let cut = Archive::new().file("a", b"x").raw(&[0; 700]);
    assert_eq!(cut.walk().fault(), Fault::Truncated, "in the second zero block");
}

#[test]
fn tar_truncated_extension_is_an_error() {
    for typeflag in *b"xgLK" {
        let header = Header::new(Style::Ustar, "ext", typeflag).size(100);
        let cut = Archive::new().raw(&header.block()).raw(&[b'1'; 99]);
        let error = cut.walk().result.unwrap_err();
        assert_eq!((error.fault, error.path.as_slice()), (Fault::Truncated, &b"ext"[..]));
    }
}

#[test]
fn tar_truncated_label_is_an_error() {
    let header = Header::new(Style::Gnu, "label", b'V').size(100);
    let cut = Archive::new().raw(&header.block()).raw(&[b'1'; 99]);
    let error = cut.walk().result.unwrap_err();
    assert_eq!((error.fault, error.path.as_slice()), (Fault::Truncated, &b"label"[..]));
}

#[test]
fn tar_huge_size_is_only_a_promise() {
    let header =
        Header::new(Style::Gnu, "n", b'0').with(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    let archive = Archive::new().raw(&header.block()).raw(&[1; 4096]);
    let error = archive.walk().result.unwrap_err();
    assert_eq!((error.fault, error.offset), (Fault::Truncated, 4608));
}
