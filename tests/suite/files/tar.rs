//! What an export's headers cannot hold: large numbers, long names, holes beyond 8 GiB, odd
//! attributes. Written through the program, read back by GNU tar, bsdtar and our own walker.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::images::{TestImage, TestLayer, gzip};
use crate::support::program::Bench;
use shalefs::oci::{DiffId, Digest};

/// An entry of a layer, after PAX records.
fn entry(
    tar: &mut tar::Builder<Vec<u8>>,
    records: &[(&str, &[u8])],
    path: &str,
    set: impl Fn(&mut tar::Header),
    bytes: &[u8],
) {
    tar.append_pax_extensions(records.iter().copied()).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path(path).unwrap();
    header.set_mode(0o640);
    header.set_mtime(1_000_000_000);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(bytes.len() as u64);
    set(&mut header);
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
}

/// A store with an image of that layer, its export, and the export's path.
fn exported(tar: tar::Builder<Vec<u8>>) -> (Bench, std::path::PathBuf) {
    let tar = tar.into_inner().unwrap();
    let blob = gzip(&tar);
    let (digest, diff_id) = (Digest::sha256(&blob), DiffId(Digest::sha256(&tar)));
    let bench = Bench::new();
    let layers = vec![TestLayer { blob, digest, diff_id }];
    TestImage::new(layers, "odd").put(&bench.store(), Some("docker.io/library/odd:1"));
    let path = bench.path("x.tar");
    let said = bench.shale(&["export", "-o", path.to_str().unwrap(), "odd:1"]);
    assert!(said.success, "{}", said.stderr);
    (bench, path)
}

fn listed(program: &str, options: &[&str], tar: &Path) -> String {
    let mut command = Command::new(program);
    command.env("TZ", "UTC").arg("-tv").args(options).arg("-f").arg(tar);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn numbers_that_need_records_are_read_back() {
    let mut tar = tar::Builder::new(Vec::new());
    let records: [(&str, &[u8]); 3] =
        [("uid", b"3000000000"), ("gid", b"4294967294"), ("mtime", b"10000000000.25")];
    entry(&mut tar, &records, "large", |_| {}, b"x");
    entry(&mut tar, &[("uid", b"2097151")], "fits", |_| {}, b"x");
    let (bench, path) = exported(tar);
    let gnu = listed("tar", &["--full-time", "--numeric-owner"], &path);
    let bsd = listed("bsdtar", &["--numeric-owner"], &path);
    for listing in [&gnu, &bsd] {
        let words: Vec<Vec<&str>> =
            listing.lines().map(|line| line.split_whitespace().collect()).collect();
        let line = |name| words.iter().find(|words| words.last() == Some(&name)).unwrap().join(" ");
        let large = line("./large").replace('/', " ");
        assert!(large.contains("3000000000 4294967294"), "{large}");
        assert!(line("./fits").replace('/', " ").contains("2097151 0"), "{listing}");
    }
    assert!(gnu.contains("2286-11-20 17:46:40.25"), "{gnu}");
    assert_eq!(walked(&bench, &path, "{{.UID}} {{.GID}} {{.ModTime}}", "/large"), {
        "3000000000 4294967294 2286-11-20T17:46:40.25Z\n"
    });
}

#[test]
fn a_file_beyond_8_gib_with_holes_is_read_back() {
    const SIZE: u64 = 10 << 30;
    let mut tar = tar::Builder::new(Vec::new());
    let map = "1\n5368709120\n3\n";
    let mut stored = map.as_bytes().to_vec();
    stored.resize(512, 0);
    stored.extend_from_slice(b"abc");
    let size = SIZE.to_string();
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"big"),
        ("GNU.sparse.realsize", size.as_bytes()),
    ];
    entry(&mut tar, &records, "GNUSparseFile.0/big", |_| {}, &stored);
    let (bench, path) = exported(tar);
    assert!(path.metadata().unwrap().len() < 20_000, "the holes are in the archive");
    for program in ["tar", "bsdtar"] {
        let to = bench.path(program);
        fs::create_dir(&to).unwrap();
        let mut command = Command::new(program);
        assert!(command.arg("-xf").arg(&path).arg("-C").arg(&to).status().unwrap().success());
        let read = fs::File::open(to.join("big")).unwrap();
        assert_eq!(read.metadata().unwrap().len(), SIZE, "{program}");
        let mut bytes = [1; 5];
        std::os::unix::fs::FileExt::read_exact_at(&read, &mut bytes, (5 << 30) - 1).unwrap();
        assert_eq!(&bytes, b"\0abc\0", "{program}");
    }
    assert_eq!(walked(&bench, &path, "{{.Size}}", "/big"), format!("{SIZE}\n"));
}

#[test]
fn long_names_links_and_attributes_are_read_back() {
    let mut tar = tar::Builder::new(Vec::new());
    let (name, target) = (["n".repeat(180), "m".repeat(200)].join("/"), "t/".repeat(150));
    entry(&mut tar, &[("path", name.as_bytes())], "short", |_| {}, b"x");
    let hard = |header: &mut tar::Header| {
        header.set_entry_type(tar::EntryType::Link);
        header.set_link_name("x").unwrap();
    };
    entry(&mut tar, &[("linkpath", name.as_bytes())], "zhard", hard, b"");
    let symbolic = |header: &mut tar::Header| {
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_link_name("x").unwrap();
    };
    entry(&mut tar, &[("linkpath", target.as_bytes())], "zlink", symbolic, b"");
    let odd: [(&str, &[u8]); 2] =
        [("SCHILY.xattr.user.plain", b"1\n\0=2"), ("LIBARCHIVE.xattr.user.a%3Db", b"AP8")];
    entry(&mut tar, &odd, "attributes", |_| {}, b"");
    let (bench, path) = exported(tar);
    for program in ["tar", "bsdtar"] {
        let listing = listed(program, &[], &path);
        for wanted in [
            format!("./{name}\n"),
            format!("zhard link to ./{name}\n"),
            format!("./zlink -> {target}\n"),
        ] {
            assert!(listing.contains(&wanted), "{program}: no {wanted} in\n{listing}");
        }
    }
    let bytes = fs::read(&path).unwrap();
    let has = |record: &[u8]| bytes.windows(record.len()).any(|window| window == record);
    assert!(has(b"SCHILY.xattr.user.plain=1\n\0=2\n"));
    assert!(has(b"LIBARCHIVE.xattr.user.a%3Db=AP8\n"));
    assert_eq!(walked(&bench, &path, "{{.Links}} {{.Size}}", "/zhard"), "2 1\n");
}

/// What our own walker reads in an export: the file's row, from an image of that one layer.
fn walked(bench: &Bench, tar: &Path, format: &str, path: &str) -> String {
    let tar = fs::read(tar).unwrap();
    let blob = gzip(&tar);
    let (digest, diff_id) = (Digest::sha256(&blob), DiffId(Digest::sha256(&tar)));
    let layers = vec![TestLayer { blob, digest, diff_id }];
    TestImage::new(layers, "again").put(&bench.store(), Some("docker.io/library/again:1"));
    let said = bench.shale(&["files", "--format", format, "again:1", path]);
    assert!(said.success, "{}", said.stderr);
    said.stdout
}
