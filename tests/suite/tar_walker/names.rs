//! Names: what is stripped, folded and clamped, and what is too long.

use shalefs::layer::tar::Fault;
use shalefs::layer::{Warning, WarningKind};

use super::archive::{Archive, Header, Style, Walk};

fn named(name: &[u8]) -> Walk {
    Archive::new().pax(&[("path", name)]).file("x", b"").walk()
}

#[test]
fn tar_name_leading_slash_and_dot_slash_are_stripped() {
    for name in ["a/b", "/a/b", "./a/b", "//a/b", "/./a/b", "././a/b"] {
        let walk = named(name.as_bytes());
        assert_eq!((walk.warnings.len(), walk.paths()), (0, vec!["a/b".to_string()]), "{name}");
    }
}

#[test]
fn tar_name_double_slash_and_dot_fold() {
    for name in ["a//b", "a/./b", "a/.//./b", "a/b/", "a/b//", "a/b/."] {
        assert_eq!(named(name.as_bytes()).paths(), ["a/b"], "{name}");
    }
}

#[test]
fn tar_name_parents_fold_without_a_warning_below_the_root() {
    let walk = named(b"a/x/../b");
    assert_eq!((walk.warnings.len(), walk.paths()), (0, vec!["a/b".to_string()]));
}

#[test]
fn tar_name_parent_is_clamped_at_the_root_with_a_warning() {
    for name in ["../a", "/../a", "a/../../a", "./../../../a", "x/y/../../../a"] {
        let walk = named(name.as_bytes());
        let path = b"a".to_vec();
        assert_eq!(walk.warnings, [Warning { kind: WarningKind::ParentClamped, path }], "{name}");
        assert_eq!(walk.paths(), ["a"], "{name}");
    }
}

#[test]
fn tar_name_of_the_root_is_the_empty_path() {
    for name in ["/", ".", "./", "//", "a/.."] {
        let header = Header::new(Style::Ustar, name, b'5');
        assert_eq!(Archive::new().member(&header, b"").walk().paths(), [""], "{name}");
    }
}

#[test]
fn tar_name_is_bytes_not_text() {
    let name = b"caf\xe9/\xff\xfe\n\x1b[31m\\";
    assert_eq!(named(name).one().path, name);
    let header = Header::new(Style::Ustar, "", b'0').with(0, b"caf\xe9");
    assert_eq!(Archive::new().member(&header, b"").walk().one().path, b"caf\xe9");
}

#[test]
fn tar_name_empty_is_an_error() {
    let walk = Archive::new().member(&Header::new(Style::Ustar, "", b'0'), b"").walk();
    assert_eq!(walk.fault(), Fault::EmptyName);
    let walk = Archive::new().member(&Header::new(Style::V7, "", 0), b"").walk();
    assert_eq!(walk.fault(), Fault::EmptyName);
}

#[test]
fn tar_name_component_over_255_bytes_is_an_error() {
    let component = "c".repeat(255);
    assert_eq!(named(format!("a/{component}/b").as_bytes()).ok().len(), 1);
    let fault = named(format!("a/{component}c/b").as_bytes()).fault();
    assert_eq!(fault, Fault::LongComponent { length: 256 });
}

#[test]
fn tar_path_over_4095_bytes_is_an_error() {
    let path = "ab/".repeat(1364) + "abc";
    assert_eq!(path.len(), 4095);
    assert_eq!(named(path.as_bytes()).ok().len(), 1);
    assert_eq!(named(format!(".///{path}//").as_bytes()).ok().len(), 1, "it counts once cleaned");
    assert_eq!(named(format!("{path}d").as_bytes()).fault(), Fault::LongPath);
    let archive = Archive::new().extension(b'L', format!("{path}d\0").as_bytes());
    assert_eq!(archive.file("x", b"").walk().fault(), Fault::LongPath);
}

#[test]
fn tar_hard_link_target_that_is_too_long_is_an_error() {
    let target = "ab/".repeat(1366);
    let archive = Archive::new().pax(&[("linkpath", target.as_bytes())]);
    let walk = archive.member(&Header::new(Style::Ustar, "x", b'1'), b"").walk();
    assert_eq!(walk.fault(), Fault::LongPath);
}

#[test]
fn tar_symlink_text_over_4095_bytes_is_an_error() {
    let link = Header::new(Style::Ustar, "x", b'2');
    let text = "t".repeat(4095);
    let archive = Archive::new().pax(&[("linkpath", text.as_bytes())]);
    assert_eq!(archive.member(&link, b"").walk().one().link.len(), 4095);
    let text = "t".repeat(4096);
    let archive = Archive::new().pax(&[("linkpath", text.as_bytes())]);
    assert_eq!(archive.member(&link, b"").walk().fault(), Fault::LongLink { length: 4096 });
}

#[test]
fn tar_name_in_an_error_cannot_drive_a_terminal() {
    let archive = Archive::new().pax(&[("path", b"a\x1b[2J\xe2\x80\xae\"\n")]);
    let error = archive.member(&Header::new(Style::Ustar, "x", b'Z'), b"").walk().result;
    let message = error.unwrap_err().to_string();
    let expected = "tar entry \"a\\u{1b}[2J\\u{202e}\\\"\\n\" at byte 1024: unknown entry type 'Z'";
    assert_eq!(message, expected);
}

#[test]
fn tar_whiteouts_are_entries_like_others() {
    let archive = Archive::new().file("a/.wh.b", b"").file("a/.wh..wh..opq", b"");
    let walk = archive.walk();
    assert_eq!(
        (walk.warnings.len(), walk.paths()),
        (0, vec!["a/.wh.b".into(), "a/.wh..wh..opq".into()])
    );
}
