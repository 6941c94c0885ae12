//! One good archive of every kind, for the tests that cut them and the tests that damage them.

use super::archive::{Archive, Header, Style};
use super::sparse::sparse_file;

/// Name and bytes of each archive; every one is accepted whole.
pub fn archives() -> Vec<(&'static str, Vec<u8>)> {
    let runs: Vec<(u64, u64)> = (0..30).map(|run| (run * 1000, run % 3)).collect();
    vec![
        ("v7", of_style(Style::V7)),
        ("ustar", of_style(Style::Ustar)),
        ("gnu", of_style(Style::Gnu)),
        ("star", of_style(Style::Star)),
        ("pax", pax()),
        ("global", global()),
        ("long", long()),
        ("xattrs", xattrs()),
        ("odd", odd()),
        ("sparse-gnu", sparse_file("GNU", 1 << 30, &runs, &[b'x'; 30]).bytes),
        ("sparse-0.0", sparse_file("0.0", 40_000, &runs, &[b'x'; 30]).bytes),
        ("sparse-0.1", sparse_file("0.1", 40_000, &runs, &[b'x'; 30]).bytes),
        ("sparse-1.0", sparse_file("1.0", 40_000, &runs, &[b'x'; 30]).bytes),
    ]
}

fn of_style(style: Style) -> Vec<u8> {
    let header = |name, typeflag| Header::new(style, name, typeflag);
    Archive::new()
        .member(&header("./", if style == Style::V7 { 0 } else { b'5' }), b"")
        .member(&header("dir/", if style == Style::V7 { 0 } else { b'5' }), b"")
        .member(&header("dir/file", b'0').size(700), &[b'd'; 700])
        .member(&header("dir/link", b'1').link("dir/file"), b"")
        .member(&header("symlink", b'2').link("dir/file"), b"")
        .member(&header("null", b'3').with(329, b"0000001\0").with(337, b"0000003\0"), b"")
        .member(&header("disk", b'4').with(329, b"0000010\0"), b"")
        .member(
            &header("fifo", b'6').with(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0"),
            b"",
        )
        .end()
        .bytes
}

fn pax() -> Vec<u8> {
    Archive::new()
        .pax(&[("path", b"a/long/../path"), ("mtime", b"-1.5"), ("uid", b"100000"), ("size", b"3")])
        .file("short", b"")
        .raw(&[b'd'; 512])
        .pax(&[("linkpath", b"../target"), ("atime", b"1.5"), ("path", b"x"), ("path", b"")])
        .member(&Header::new(Style::Ustar, "link", b'2').link("t"), b"")
        .end()
        .bytes
}

fn global() -> Vec<u8> {
    let records = super::archive::pax_records(&[("comment", b"c0ffee"), ("uid", b"7")]);
    Archive::new().extension(b'g', &records).file("a", b"a").pax(&[]).file("b", b"b").end().bytes
}

fn long() -> Vec<u8> {
    let name = "directory/".repeat(60) + "name\0";
    Archive::new()
        .extension(b'L', name.as_bytes())
        .extension(b'K', name.as_bytes())
        .member(&Header::new(Style::Gnu, "short", b'2').link("short"), b"")
        .extension(b'L', b"old/\0")
        .member(&Header::new(Style::V7, "short", 0), b"")
        .end()
        .bytes
}

fn xattrs() -> Vec<u8> {
    Archive::new()
        .pax(&[
            ("SCHILY.xattr.user.b", b"line\nline\0"),
            ("SCHILY.xattr.user.a", b"1"),
            ("LIBARCHIVE.xattr.user.%61", b"eA=="),
            ("LIBARCHIVE.xattr.user.c", b"eA"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ])
        .file("a", b"data")
        .end()
        .bytes
}

fn odd() -> Vec<u8> {
    Archive::new()
        .member(&Header::new(Style::Gnu, "label", b'V'), b"")
        .raw(&Header::new(Style::Ustar, "signed\u{e9}", b'0').block_signed())
        .member(&Header::new(Style::Gnu, "go", b'0').with(345, b"pre/fix"), b"")
        .member(&Header::new(Style::Ustar, "../up", b'7').size(1), b"7")
        .member(&Header::new(Style::Ustar, "dir", b'5').size(512), b"")
        .file("a/.wh.b", b"")
        .end()
        .raw(b"after the end")
        .bytes
}

#[test]
fn tar_golden_archives_are_accepted() {
    for (name, bytes) in archives() {
        let walk = Archive { bytes }.walk();
        assert_eq!(walk.result, Ok(()), "{name}");
        assert!(!walk.entries.is_empty(), "{name}");
    }
}
