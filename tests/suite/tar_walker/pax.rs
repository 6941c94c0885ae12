//! PAX records, global headers, GNU long names, and which of them counts.

use shalefs::layer::tar::Fault;
use shalefs::layer::{Time, WarningKind};

use super::archive::{Archive, Header, Style, Walk, pax_records};

fn file_after(records: &[(&str, &[u8])]) -> Walk {
    Archive::new().pax(records).file("name", b"").end().walk()
}

#[test]
fn tar_pax_keys_replace_header_fields() {
    let records: [(&str, &[u8]); 7] = [
        ("path", b"long/path"),
        ("linkpath", b"long/target"),
        ("uid", b"4294967295"),
        ("gid", b"100000"),
        ("mtime", b"1350244992.023960108"),
        ("atime", b"1"),
        ("comment", b"ignored"),
    ];
    let link = Header::new(Style::Ustar, "name", b'2').link("short");
    let entry = Archive::new().pax(&records).member(&link, b"").walk().one();
    assert_eq!(entry.path, b"long/path");
    assert_eq!(entry.link, b"long/target");
    assert_eq!((entry.uid, entry.gid), (u32::MAX, 100_000));
    assert_eq!(entry.mtime, Time { seconds: 1_350_244_992, nanos: 23_960_108 });
}

#[test]
fn tar_pax_values_may_hold_newlines_and_nuls() {
    // A reader that splits at newlines takes the line in the value for a record, and loses its
    // place in the archive to the size in it.
    let value = b"a\0b\n12 size=999\n";
    let archive = Archive::new().pax(&[("SCHILY.xattr.user.x", value), ("size", b"3")]);
    let entries = archive.file("name", b"").raw(&[b'd'; 512]).file("next", b"").walk().ok();
    assert_eq!(entries[0].xattrs, [(b"user.x".to_vec(), value.to_vec())]);
    assert_eq!((entries[0].size, entries[1].path.as_slice()), (3, &b"next"[..]));
}

#[test]
fn tar_pax_last_key_wins() {
    let entry = file_after(&[("path", b"first"), ("uid", b"x"), ("uid", b"7"), ("path", b"last")]);
    let entry = entry.one();
    assert_eq!((entry.path, entry.uid), (b"last".to_vec(), 7));
}

#[test]
fn tar_pax_empty_value_deletes() {
    let walk = file_after(&[("path", b"long"), ("path", b""), ("uid", b"7"), ("uid", b"")]);
    let entry = walk.one();
    assert_eq!((entry.path, entry.uid), (b"name".to_vec(), 0));
}

#[test]
fn tar_pax_size_rules_the_skipping() {
    // What stands in a file's data is never an entry, whichever size is the larger.
    let smuggled = Header::new(Style::Ustar, "smuggled", b'0').block();
    let archive = Archive::new().pax(&[("size", b"512")]).file("outer", b"").raw(&smuggled);
    assert_eq!(archive.file("next", b"").walk().paths(), ["outer", "next"]);
    let header = Header::new(Style::Ustar, "outer", b'0').size(1024);
    let archive = Archive::new().pax(&[("size", b"512")]).raw(&header.block()).raw(&smuggled);
    assert_eq!(archive.file("next", b"").walk().paths(), ["outer", "next"]);
}

#[test]
fn tar_cve_2025_62518_pax_size_over_a_header_size_of_zero() {
    let inner = Archive::new().file("evil", b"payload").end();
    let size = inner.bytes.len().to_string();
    let archive = Archive::new().pax(&[("size", size.as_bytes())]).file("inner.tar", b"");
    let walk = archive.raw(&inner.bytes).file("next", b"").end().walk();
    assert_eq!(walk.paths(), ["inner.tar", "next"]);
}

#[test]
fn tar_pax_negative_and_fractional_times() {
    for (text, seconds, nanos) in [
        ("-1.5", -2, 500_000_000),
        ("-1", -1, 0),
        ("-0.1", -1, 900_000_000),
        ("0.000000001", 0, 1),
        ("1.9999999999", 1, 999_999_999),
        ("1.", 1, 0),
        ("-9223372036854775808", i64::MIN, 0),
    ] {
        let entry = file_after(&[("mtime", text.as_bytes())]).one();
        assert_eq!(entry.mtime, Time { seconds, nanos }, "{text}");
    }
}

#[test]
fn tar_pax_unreadable_number_is_an_error() {
    for field in ["uid", "gid", "size", "mtime", "atime", "ctime"] {
        for value in [&b"x"[..], b"1x", b" 1", b"0x1", b"99999999999999999999", b"1e3"] {
            let fault = file_after(&[(field, value)]).fault();
            assert_eq!(fault, Fault::Number { field });
        }
    }
}

#[test]
fn tar_pax_number_out_of_range_is_an_error() {
    for (field, value) in [("uid", 1 << 32), ("gid", -1), ("size", -1)] {
        let fault = file_after(&[(field, value.to_string().as_bytes())]).fault();
        assert_eq!(fault, Fault::Range { field, value });
    }
}

#[test]
fn tar_pax_malformed_record_is_an_error() {
    for data in [&b"9 path=ab"[..], b"path=a\n", b"99 path=a\n", b"5 =a\n", b"6 abc\n", b"\0"] {
        let archive = Archive::new().extension(b'x', data).file("name", b"");
        let error = archive.walk().result.unwrap_err();
        assert_eq!((error.fault, error.path.as_slice()), (Fault::PaxRecord, &b"ext"[..]));
    }
    assert_eq!(file_after(&[("path", b"a\0b")]).fault(), Fault::NulInName);
    assert_eq!(file_after(&[("linkpath", b"a\0b")]).fault(), Fault::NulInName);
}

#[test]
fn tar_pax_records_are_for_one_entry() {
    let archive = Archive::new().pax(&[("uid", b"7")]).file("a", b"").file("b", b"");
    let entries = archive.walk().ok();
    assert_eq!((entries[0].uid, entries[1].uid), (7, 0));
}

#[test]
fn tar_pax_second_header_replaces_the_first() {
    let archive = Archive::new().pax(&[("uid", b"7"), ("path", b"lost")]).pax(&[("gid", b"8")]);
    let entry = archive.file("name", b"").walk().one();
    assert_eq!((entry.path, entry.uid, entry.gid), (b"name".to_vec(), 0, 8));
}

#[test]
fn tar_global_header_is_parsed_and_not_applied() {
    let records = pax_records(&[("uid", b"7"), ("path", b"global"), ("size", b"512")]);
    let walk = Archive::new().extension(b'g', &records).file("a", b"").file("b", b"").walk();
    let entries = walk.ok();
    assert_eq!((entries[0].path.as_slice(), entries[0].uid), (&b"a"[..], 0));
    let broken = Archive::new().extension(b'g', b"12 uid=7\n").file("a", b"");
    assert_eq!(broken.walk().fault(), Fault::PaxRecord);
}

#[test]
fn tar_global_header_takes_what_stood_before_it() {
    // Go hands it out as an entry, and records before it are that entry's.
    let records = pax_records(&[("comment", b"x")]);
    let archive = Archive::new().pax(&[("uid", b"7")]).extension(b'L', b"long\0");
    let entry = archive.extension(b'g', &records).file("name", b"").walk().one();
    assert_eq!((entry.path, entry.uid), (b"name".to_vec(), 0));
}

#[test]
fn tar_gnu_long_names_and_links() {
    let name = "n/".repeat(100) + "name";
    let link = "l/".repeat(200) + "link";
    let archive = Archive::new()
        .extension(b'K', format!("{link}\0").as_bytes())
        .extension(b'L', format!("{name}\0 and what follows a NUL").as_bytes())
        .member(&Header::new(Style::Gnu, "short", b'2').link("short"), b"");
    let entry = archive.walk().one();
    assert_eq!((entry.path, entry.link), (name.into_bytes(), link.into_bytes()));
}

#[test]
fn tar_gnu_last_long_name_counts_and_an_empty_one_does_not() {
    let archive = Archive::new().extension(b'L', b"first\0").extension(b'L', b"last");
    assert_eq!(archive.file("name", b"").walk().paths(), ["last"]);
    let archive = Archive::new().extension(b'L', b"").file("name", b"");
    assert_eq!(archive.walk().paths(), ["name"]);
}

#[test]
fn tar_pax_wins_over_gnu_long_names() {
    let long = Archive::new().extension(b'L', b"gnu").extension(b'K', b"gnu-link");
    let records: [(&str, &[u8]); 2] = [("path", b"pax"), ("linkpath", b"pax-link")];
    let link = Header::new(Style::Gnu, "name", b'2').link("target");
    let walk = long.clone().pax(&records).member(&link, b"").walk();
    assert_eq!(walk.kinds(), [WarningKind::NamesDisagree]);
    let entry = walk.one();
    assert_eq!((entry.path, entry.link), (b"pax".to_vec(), b"pax-link".to_vec()));
    let before = Archive::new().pax(&records).extension(b'L', b"pax").member(&link, b"").walk();
    assert_eq!(before.kinds(), [], "both names are the same");
    assert_eq!(before.one().path, b"pax");
}

#[test]
fn tar_extensions_before_the_end_are_ignored() {
    let walk = Archive::new().file("a", b"").pax(&[("path", b"lost")]).end().walk();
    assert_eq!(walk.paths(), ["a"]);
    assert_eq!(Archive::new().extension(b'L', b"lost").walk().ok().len(), 0);
}
