//! Entry types: what each makes, and which of them carry data.

use shalefs::layer::tar::Fault;
use shalefs::layer::{Kind, Warning, WarningKind};

use super::archive::{Archive, Header, Style};

fn kind_of(style: Style, name: &str, typeflag: u8) -> Kind {
    let header = Header::new(style, name, typeflag).link("target");
    Archive::new().member(&header, b"").walk().one().kind
}

#[test]
fn tar_types_make_their_kinds() {
    for (typeflag, kind) in [
        (b'0', Kind::File),
        (b'1', Kind::HardLink),
        (b'2', Kind::Symlink),
        (b'3', Kind::CharDevice),
        (b'4', Kind::BlockDevice),
        (b'5', Kind::Directory),
        (b'6', Kind::Fifo),
    ] {
        assert_eq!(kind_of(Style::Ustar, "n", typeflag), kind);
    }
}

#[test]
fn tar_type_7_is_a_file() {
    let header = Header::new(Style::Ustar, "n", b'7').size(3);
    let entry = Archive::new().member(&header, b"abc").walk().one();
    assert_eq!((entry.kind, entry.size), (Kind::File, 3));
}

#[test]
fn tar_trailing_slash_with_an_old_type_is_a_directory() {
    assert_eq!(kind_of(Style::V7, "n/", 0), Kind::Directory);
    assert_eq!(kind_of(Style::V7, "n", 0), Kind::File);
    let long = Archive::new().extension(b'L', b"long/\0");
    let entry = long.member(&Header::new(Style::V7, "n", 0), b"").walk().one();
    assert_eq!((entry.path, entry.kind), (b"long".to_vec(), Kind::Directory));
    let named = Archive::new().pax(&[("path", b"named/")]);
    let entry = named.member(&Header::new(Style::V7, "n", 0), b"").walk().one();
    assert_eq!(entry.kind, Kind::Directory);
}

/// GNU tar makes a directory of it, and files below it are files below it.
#[test]
fn tar_trailing_slash_with_a_new_type_is_a_directory_with_a_warning() {
    for typeflag in [b'0', b'7'] {
        let header = Header::new(Style::Ustar, "n/", typeflag);
        let walk = Archive::new().member(&header, b"").file("n/f", b"data").walk();
        let warning = Warning { kind: WarningKind::FileWithSlash, path: b"n".to_vec() };
        assert_eq!(walk.warnings, [warning]);
        let entries = walk.ok();
        assert_eq!((entries[0].kind, entries[0].path.as_slice()), (Kind::Directory, &b"n"[..]));
        assert_eq!((entries[1].kind, entries[1].size), (Kind::File, 4));
    }
    // One with data is what Go's tar makes of it: nothing of an image is passed over.
    let header = Header::new(Style::Ustar, "n/", b'0').size(4);
    let entry = Archive::new().member(&header, b"data").walk().one();
    assert_eq!((entry.kind, entry.size), (Kind::File, 4));
}

/// umoci and podman unpack it to where everything is unpacked to.
#[test]
fn tar_directory_without_a_name_is_the_root_with_a_warning() {
    for header in [Header::new(Style::Ustar, "", b'5'), Header::new(Style::V7, "", b'5')] {
        let walk = Archive::new().member(&header, b"").file("f", b"").walk();
        let warning = Warning { kind: WarningKind::NamelessDirectory, path: Vec::new() };
        assert_eq!(walk.warnings, [warning]);
        let entries = walk.ok();
        assert_eq!((entries[0].kind, entries[0].path.as_slice()), (Kind::Directory, &b""[..]));
        assert_eq!(entries[1].path, b"f");
    }
}

#[test]
fn tar_links_directories_and_devices_carry_no_data_whatever_size_says() {
    for typeflag in b'1'..=b'6' {
        let header = Header::new(Style::Ustar, "n", typeflag).link("target").size(512);
        let archive = Archive::new().member(&header, b"").file("next", b"data");
        let entries = archive.end().walk().ok();
        assert_eq!(entries.len(), 2, "type {}", char::from(typeflag));
        assert_eq!((entries[0].size, entries[0].data_offset), (0, 0));
        assert_eq!(entries[1].path, b"next");
    }
    let header = Header::new(Style::V7, "n/", 0).size(512);
    assert_eq!(Archive::new().member(&header, b"").file("next", b"").walk().ok().len(), 2);
    // Nor does a PAX size give them any.
    let archive = Archive::new().pax(&[("size", b"512")]);
    let archive = archive.member(&Header::new(Style::Ustar, "n", b'5'), b"").file("next", b"");
    assert_eq!(archive.walk().ok().len(), 2);
}

#[test]
fn tar_negative_size_of_what_carries_no_data_is_ignored() {
    let header = Header::new(Style::Ustar, "n", b'5').with(124, &[0xff; 12]);
    assert_eq!(Archive::new().member(&header, b"").walk().one().kind, Kind::Directory);
}

#[test]
fn tar_labels_and_volume_marks_are_skipped_with_a_warning() {
    for typeflag in *b"VMN" {
        let header = Header::new(Style::Gnu, "label", typeflag).size(700);
        let archive = Archive::new().pax(&[("uid", b"7")]).member(&header, &[b'x'; 700]);
        let walk = archive.file("next", b"data").end().walk();
        let path = b"label".to_vec();
        assert_eq!(walk.warnings, [Warning { kind: WarningKind::SkippedType, path }]);
        let entry = walk.one();
        assert_eq!((entry.path, entry.uid), (b"next".to_vec(), 0), "records went with the label");
    }
    let header = Header::new(Style::Gnu, "", b'V');
    assert_eq!(Archive::new().member(&header, b"").file("next", b"").walk().paths(), ["next"]);
}

#[test]
fn tar_unknown_type_is_an_error() {
    for typeflag in [b'8', b'A', b'D', b'X', b'Z', 0x80, b' ', 1] {
        let header = Header::new(Style::Ustar, "n", typeflag);
        let fault = Archive::new().member(&header, b"").walk().fault();
        assert_eq!(fault, Fault::UnknownType(typeflag));
    }
    assert_eq!(Fault::UnknownType(b'8').to_string(), "unknown entry type '8'");
}

#[test]
fn tar_symlink_text_is_kept_as_it_is() {
    for text in ["../../x", "/abs/./olute//", "a\\b c", ".."] {
        let header = Header::new(Style::Ustar, "n", b'2').link(text);
        assert_eq!(Archive::new().member(&header, b"").walk().one().link, text.as_bytes());
    }
}

#[test]
fn tar_hard_link_targets_are_cleaned_like_names() {
    for (target, cleaned) in [("./a//b/", "a/b"), ("/a/./b", "a/b"), ("a/x/../b", "a/b")] {
        let header = Header::new(Style::Ustar, "n", b'1').link(target);
        let walk = Archive::new().member(&header, b"").walk();
        assert_eq!((walk.warnings.len(), walk.one().link.as_slice()), (0, cleaned.as_bytes()));
    }
    let header = Header::new(Style::Ustar, "n", b'1').link("../../etc/passwd");
    let walk = Archive::new().member(&header, b"").walk();
    assert_eq!(walk.kinds(), [WarningKind::ParentClamped]);
    assert_eq!(walk.one().link, b"etc/passwd");
}

#[test]
fn tar_link_without_a_target_is_an_error() {
    for typeflag in [b'1', b'2'] {
        let header = Header::new(Style::Ustar, "n", typeflag);
        assert_eq!(Archive::new().member(&header, b"").walk().fault(), Fault::EmptyLink);
        // A whiteout counts by its name alone.
        let header = Header::new(Style::Ustar, "d/.wh.n", typeflag);
        assert_eq!(Archive::new().member(&header, b"").walk().one().link, b"");
    }
}
