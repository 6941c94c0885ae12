//! Limits: each can be set, each is named in its error, none is off by one.

use shalefs::layer::tar::Fault;
use shalefs::limits::{Exceeded, Limit, Limits};

use super::archive::{Archive, Header, Style, walk};

fn limited(archive: &Archive, limits: Limits) -> Result<(), String> {
    walk(&archive.bytes, limits, [4096]).result.map_err(|error| error.to_string())
}

#[test]
fn tar_limit_of_entries() {
    let archive = Archive::new().file("a", b"").member(&Header::new(Style::Gnu, "v", b'V'), b"");
    let archive = archive.file("c", b"");
    let limits = Limits { entries: 3, ..Limits::default() };
    assert_eq!(limited(&archive, limits), Ok(()));
    let limits = Limits { entries: 2, ..Limits::default() };
    let message = "tar entry \"c\" at byte 1024: more than 2 entries (limit `entries`)";
    assert_eq!(limited(&archive, limits), Err(message.to_string()));
}

#[test]
fn tar_limit_of_extensions() {
    let limits = Limits { extension: 12, ..Limits::default() };
    for typeflag in *b"xgLK" {
        let fits = Archive::new().extension(typeflag, b"12 path=abc\n").file("a", b"");
        assert_eq!(limited(&fits, limits), Ok(()));
        let header = Header::new(Style::Ustar, "ext", typeflag).size(13);
        let long = Archive::new().raw(&header.block());
        let message =
            "tar entry \"ext\" at byte 0: an extension of more than 12 bytes (limit `extension`)";
        assert_eq!(limited(&long, limits), Err(message.to_string()), "before its data comes");
    }
}

#[test]
fn tar_limit_of_extensions_by_default() {
    let long = |length| Archive::new().extension(b'L', &vec![b'/'; length]).file("a", b"");
    assert_eq!(long(1 << 20).walk().result, Ok(()));
    let fault = long((1 << 20) + 1).walk().fault();
    assert_eq!(fault, Fault::Limit(Exceeded { limit: Limit::Extension, most: 1 << 20 }));
}

#[test]
fn tar_limit_of_sparse_maps_cve_2025_58183() {
    // A map of format 1.0 that never ends, in data that is as long as it says.
    let records: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")];
    let map = [b"1000000000\n".to_vec(), b"0\n".repeat(1 << 20)].concat();
    let header = Header::new(Style::Ustar, "n", b'0').size(map.len() as u64);
    let fault = Archive::new().pax(&records).member(&header, &map).walk().fault();
    assert_eq!(fault, Fault::Limit(Exceeded { limit: Limit::Extension, most: 1 << 20 }));
    // Old GNU extension blocks that always announce another one.
    let header = Header::new(Style::Gnu, "n", b'S').with(482, &[1]);
    let mut block = [0; 512];
    block[504] = 1;
    let archive = Archive::new().raw(&header.block()).raw(&block.repeat(2049));
    assert_eq!(
        archive.walk().fault(),
        Fault::Limit(Exceeded { limit: Limit::Extension, most: 1 << 20 })
    );
}

#[test]
fn tar_limit_of_xattrs() {
    let archive = Archive::new().pax(&[("SCHILY.xattr.user.a", b"1234")]).file("a", b"");
    assert_eq!(limited(&archive, Limits { xattrs: 10, ..Limits::default() }), Ok(()));
    let message =
        "tar entry \"a\" at byte 1024: extended attributes of more than 9 bytes (limit `xattrs`)";
    let limits = Limits { xattrs: 9, ..Limits::default() };
    assert_eq!(limited(&archive, limits), Err(message.to_string()));
}

#[test]
fn tar_limit_of_xattrs_by_default() {
    let value = vec![b'v'; (64 << 10) - 6];
    let archive = Archive::new().pax(&[("SCHILY.xattr.user.a", &value)]).file("a", b"");
    assert_eq!(archive.walk().result, Ok(()));
    let value = vec![b'v'; (64 << 10) - 5];
    let archive = Archive::new().pax(&[("SCHILY.xattr.user.a", &value)]).file("a", b"");
    assert_eq!(
        archive.walk().fault(),
        Fault::Limit(Exceeded { limit: Limit::Xattrs, most: 64 << 10 })
    );
}

#[test]
fn tar_limit_of_bytes_after_the_end() {
    let limits = Limits { trailing: 700, ..Limits::DEFAULT };
    for byte in [0, 7] {
        let archive = |length: usize| Archive::new().file("a", b"").end().raw(&vec![byte; length]);
        assert_eq!(limited(&archive(700), limits), Ok(()));
        let message = "tar entry \"\" at byte 1536: more than 700 bytes after the end of the \
                       archive (limit `trailing`)";
        assert_eq!(limited(&archive(701), limits), Err(message.to_string()));
    }
}
