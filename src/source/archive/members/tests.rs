//! Archives as tools write them and as nobody should.

use std::io::Write as _;

use super::*;

fn header(name: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_path(name).expect("short");
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn member(archive: &mut Vec<u8>, header: &Header, body: &[u8]) {
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(body);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

fn file(archive: &mut Vec<u8>, name: &str, body: &[u8]) {
    member(archive, &header(name, EntryType::Regular, body.len() as u64), body);
}

fn link(archive: &mut Vec<u8>, name: &str, kind: EntryType, target: &str) {
    let mut header = header(name, kind, 0);
    header.set_link_name_literal(target).expect("short");
    header.set_cksum();
    member(archive, &header, b"");
}

fn scan(archive: &[u8]) -> Result<(Members, File), ScanError> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(archive).expect("written");
    let members = Members::scan(&file, archive.len() as u64)?;
    Ok((members, file))
}

fn text_of(archive: &[u8], name: &str) -> String {
    let (members, file) = scan(archive).expect("an archive");
    match members.get(name) {
        Some(Member::File { offset, size }) => {
            let mut bytes = vec![0; usize::try_from(*size).expect("small")];
            file.read_exact_at(&mut bytes, *offset).expect("read");
            String::from_utf8(bytes).expect("text")
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn names_in_every_form() {
    let long = format!("{}/x", "d".repeat(150));
    let mut archive = Vec::new();
    file(&mut archive, "./a//b", b"plain");
    member(&mut archive, &header("././@LongLink", EntryType::GNULongName, 152), long.as_bytes());
    file(&mut archive, "short", b"gnu");
    let pax = "19 path=some/where\n";
    member(&mut archive, &header("pax", EntryType::XHeader, 19), pax.as_bytes());
    file(&mut archive, "ignored", b"pax");
    file(&mut archive, "a/b", b"the last one counts");
    assert_eq!(text_of(&archive, "a/b"), "the last one counts");
    assert_eq!(text_of(&archive, &long), "gnu");
    assert_eq!(text_of(&archive, "some/where"), "pax");
    archive.resize(archive.len() + 1024, 0);
    file(&mut archive, "after", b"the end");
    assert_eq!(text_of(&archive, "after"), "None", "nothing after the end counts");
}

#[test]
fn links_stay_inside() {
    let mut archive = Vec::new();
    link(&mut archive, "id/layer.tar", EntryType::Symlink, "../other/layer.tar");
    link(&mut archive, "hard", EntryType::Link, "other/layer.tar");
    link(&mut archive, "out", EntryType::Symlink, "../../../etc/passwd");
    link(&mut archive, "abs", EntryType::Symlink, "/etc/passwd");
    let (members, _) = scan(&archive).expect("an archive");
    let to = |name: &str| members.get(name).cloned();
    let link = |target: &str| Some(Member::Link(target.to_owned()));
    assert_eq!(to("id/layer.tar"), link("other/layer.tar"));
    assert_eq!(to("hard"), link("other/layer.tar"));
    assert_eq!(to("out"), link("etc/passwd"));
    assert_eq!(to("abs"), link("etc/passwd"));
}

#[test]
fn a_pax_size_rules_and_links_have_no_data() {
    let mut archive = Vec::new();
    member(&mut archive, &header("pax", EntryType::XHeader, 11), b"11 size=600\n"[..11].as_ref());
    member(&mut archive, &header("big", EntryType::Regular, 0), &[b'x'; 600]);
    let mut lying = header("lying", EntryType::Symlink, 512);
    lying.set_link_name_literal("big").expect("short");
    lying.set_cksum();
    member(&mut archive, &lying, b"");
    file(&mut archive, "next", b"found");
    assert_eq!(text_of(&archive, "next"), "found");
}

#[test]
fn what_is_refused() {
    let mut good = Vec::new();
    file(&mut good, "a", &[b'x'; 600]);
    let truncated = &good[..1024];
    let mut bad_sum = good.clone();
    bad_sum[0] ^= 1;
    let mut huge = Vec::new();
    member(&mut huge, &header("x", EntryType::XHeader, EXTENSION_LIMIT + 1), &[]);
    huge.resize(4 << 20, 0);
    let mut overflow = Vec::new();
    member(&mut overflow, &header("x", EntryType::Regular, u64::MAX - 100), &[]);
    let mut sparse = Vec::new();
    member(&mut sparse, &header("x", EntryType::GNUSparse, 0), &[]);
    for (archive, why) in [
        (truncated, "truncated"),
        (&bad_sum, "bad checksum"),
        (&huge, "larger than the limit"),
        (&overflow, "byte 0"),
        (&sparse, "sparse"),
        (&[b'x'; 600][..], "bad checksum"),
    ] {
        let error = scan(archive).expect_err(why).to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
    assert!(scan(b"").expect("nothing in it").0.0.is_empty());
}

#[test]
fn normal_names() {
    for (name, normal_form) in [
        ("./a", "a"),
        ("/a//b/", "a/b"),
        ("a/../b", "b"),
        ("../../a", "a"),
        ("", ""),
        ("a/./b", "a/b"),
    ] {
        assert_eq!(normal(name), normal_form, "{name}");
    }
}
