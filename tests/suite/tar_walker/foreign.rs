//! Archives that others collected (tests/data, with their source and licence): what real tools wrote,
//! and what once made readers disagree about where an entry ends.

use std::fs;
use std::path::Path;

use super::archive::Archive;
use super::check::check;

/// Name, entries as `PATH SIZE`, and the end of the error when there is one.
const EXPECTED: [(&str, &[&str], &str); 24] = [
    ("7z_long_path", &["LONG 0", "LONG/test.txt 0"], ""),
    ("diff-014-unterminated-pax", &[], "malformed PAX record"),
    ("diff-024-pending-pax-boundary", &[], ""),
    ("diff-039-truncated-entry-body", &[], "the archive is cut off"),
    ("directory", &["a 0", "a/b 0", "a/c 2"], ""),
    ("duplicate_dirs", &["some_dir 0", "some_dir 0"], ""),
    ("empty_filename", &[" 0"], ""),
    ("file_times", &["a 0"], ""),
    ("link", &["lnk 0", "file 14"], ""),
    ("pax", &["Cargo.toml 760", "src/lib.rs 2390"], ""),
    ("pax-header-precedence", &["normal.txt 6", "blob.bin 1024", "marker.txt 7"], ""),
    ("pax-hidden-entry", &["file_a 1536", "file_b 0", "hidden 73"], ""),
    ("pax-overrides-extension-header", &["longname.txt 2048", "file_b 0"], ""),
    ("pax-phantom-entry", &["file_a 512", "file_b 1536"], ""),
    ("pax2", &["LONG 0"], ""),
    ("paxlongname", &["LONG 0"], ""),
    ("reading_files", &["a 22", "b 22"], ""),
    ("simple", &["a 0", "b 0", "c 0"], ""),
    ("simple_missing_last_header", &["a 0", "b 0", "c 0"], ""),
    ("spaces", &["a 2"], ""),
    (
        "sparse",
        &[
            "sparse_begin.txt 8096",
            "sparse_end.txt 8105",
            "sparse_ext.txt 45061",
            "sparse.txt 16384",
        ],
        "",
    ),
    ("sparse-1", &["a.big 1048588"], ""),
    ("sparse-large", &["huge 12626929280"], ""),
    ("xattrs", &["a 0", "a/b 0"], ""),
];

fn archive(name: &str) -> Archive {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astral-tokio-tar");
    Archive { bytes: fs::read(folder.join(name).with_extension("tar")).expect("test data") }
}

#[test]
fn tar_archives_of_other_projects_are_read_as_gnu_tar_reads_them() {
    for (name, entries, error) in EXPECTED {
        let archive = archive(name);
        check(&archive.bytes);
        let walk = archive.walk();
        let found: Vec<String> = walk
            .entries
            .iter()
            .map(|entry| {
                let path = String::from_utf8_lossy(&entry.path);
                let cut = path.find("/test.txt").unwrap_or(path.len());
                let path = if cut > 90 { format!("LONG{}", &path[cut..]) } else { path.into() };
                format!("{path} {}", entry.size)
            })
            .collect();
        let said = walk.result.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(found, entries, "{name}");
        assert!(said.ends_with(error) && said.is_empty() == error.is_empty(), "{name}: {said}");
    }
}
