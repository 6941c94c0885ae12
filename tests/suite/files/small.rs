//! `files`, `cat` and `cp` on small images: forms of output, errors, odd names, and a destination
//! that is hostile. Runs the program; needs no mount and no root, except where a test says so.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::images::{TestImage, TestLayer, gzip};
use crate::support::program::Bench;
use proptest::prelude::*;
use shalefs::oci::{DiffId, Digest};
use tar::EntryType;

/// What an entry of a layer is made of: name, type, mode, bytes or target.
type Item<'a> = (&'a [u8], EntryType, u32, &'a [u8]);

/// A store with one image, `odd:1`, of one layer with these entries.
fn store_with(items: &[Item<'_>]) -> Bench {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, mode, content) in items {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_mtime(1_000_000_000);
        header.set_uid(0);
        header.set_gid(0);
        let name = Path::new(OsStr::from_bytes(name));
        let target = Path::new(OsStr::from_bytes(content));
        match kind {
            EntryType::Symlink | EntryType::Link => {
                header.set_size(0);
                builder.append_link(&mut header, name, target).unwrap();
            }
            _ => {
                header.set_device_major(1).unwrap();
                header.set_device_minor(3).unwrap();
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, name, *content).unwrap();
            }
        }
    }
    let tar = builder.into_inner().unwrap();
    let blob = gzip(&tar);
    let (digest, diff_id) = (Digest::sha256(&blob), DiffId(Digest::sha256(&tar)));
    let bench = Bench::new();
    let image = TestImage::new(vec![TestLayer { blob, digest, diff_id }], "odd");
    image.put(&bench.store(), Some("docker.io/library/odd:1"));
    bench
}

const FILE: EntryType = EntryType::Regular;
const DIR: EntryType = EntryType::Directory;
const LINK: EntryType = EntryType::Symlink;

/// A tree with one of everything.
fn sample() -> Bench {
    store_with(&[
        (b"etc/passwd", FILE, 0o644, b"root\n"),
        (b"etc/empty", FILE, 0o600, b""),
        (b"etc/second", EntryType::Link, 0o644, b"etc/passwd"),
        (b"usr/bin/tool", FILE, 0o4755, b"#!\n"),
        (b"bin", LINK, 0o777, b"usr/bin"),
        (b"out", LINK, 0o777, b"/../../etc/passwd"),
        (b"gone", LINK, 0o777, b"no/where"),
        (b"loop", LINK, 0o777, b"loop"),
        (b"dev/null", EntryType::Char, 0o666, b""),
        (b"dev/pipe", EntryType::Fifo, 0o644, b""),
        (b"tight", DIR, 0o500, b""),
        (b"tight/in", FILE, 0o400, b"x"),
    ])
}

fn run(bench: &Bench, arguments: &[&str]) -> Output {
    bench.command(arguments).output().unwrap()
}

/// Standard output of a command that must succeed.
#[track_caller]
fn said(bench: &Bench, arguments: &[&str]) -> String {
    let output = run(bench, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn files_lists_names_in_order_and_follows_links_inside() {
    let bench = sample();
    assert_eq!(
        said(&bench, &["files", "odd:1"]),
        "/\n/bin\n/dev\n/dev/null\n/dev/pipe\n/etc\n/etc/empty\n/etc/passwd\n/etc/second\n/gone\n\
         /loop\n/out\n/tight\n/tight/in\n/usr\n/usr/bin\n/usr/bin/tool\n"
    );
    assert_eq!(said(&bench, &["files", "odd:1", "/bin"]), "/usr/bin\n/usr/bin/tool\n");
    assert_eq!(said(&bench, &["files", "odd:1", "bin/tool", "/gone"]), "/usr/bin/tool\n/gone\n");
    let output = run(&bench, &["files", "odd:1", "/none", "/tight"]);
    assert_eq!((output.status.code(), output.stdout), (Some(1), b"/tight\n/tight/in\n".to_vec()));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with("shale: /none: the image has no such file\nhint: `shale files"));
    assert_eq!(said(&bench, &["files", "-0", "odd:1", "/dev"]), "/dev\0/dev/null\0/dev/pipe\0");
}

#[test]
fn files_in_long_form_says_what_ls_says() {
    let bench = sample();
    let output = bench.command(&["files", "-l", "odd:1"]).env("TZ", "UTC").output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    for line in [
        "lrwxrwxrwx   1     0     0          7 2001-09-09 01:46 /bin -> usr/bin",
        "crw-rw-rw-   1     0     0       1, 3 2001-09-09 01:46 /dev/null",
        "-rw-r--r--   2     0     0          5 2001-09-09 01:46 /etc/second",
        "-rwsr-xr-x   1     0     0          3 2001-09-09 01:46 /usr/bin/tool",
        "dr-x------   2     0     0          0 2001-09-09 01:46 /tight",
    ] {
        assert!(lines.lines().any(|found| found == line), "no {line:?} in\n{lines}");
    }
    assert_eq!(said(&bench, &["files", "-lq", "odd:1", "/tight"]), "/tight\n/tight/in\n");
}

#[test]
fn files_takes_templates() {
    let bench = sample();
    let format = "{{.Type}} {{.Perm}} {{.Size}} {{.Links}} {{.Target}}{{.Device}} {{.Layer}}";
    for (path, wanted) in [
        ("/etc/second", "file 0644 5 2  0\n"),
        ("/gone", "symlink 0777 8 1 no/where 0\n"),
        ("/dev/null", "char 0666 0 1 1:3 0\n"),
    ] {
        assert_eq!(said(&bench, &["files", "--format", format, "odd:1", path]), wanted);
    }
    let json = said(&bench, &["files", "--format", "json", "odd:1"]);
    let rows: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 17);
    let row = rows.iter().find(|row| row["Path"] == "/usr/bin/tool").unwrap();
    assert_eq!((&row["Mode"], &row["Size"]), (&"-rwsr-xr-x".into(), &3.into()));
    assert_eq!(row["ModTime"], "2001-09-09T01:46:40Z");
    let table = said(&bench, &["files", "--format", "table {{.Size}}\t{{.Path}}", "odd:1", "/bin"]);
    assert_eq!(table, "SIZE      PATH\n0         /usr/bin\n3         /usr/bin/tool\n");
}

#[test]
fn cat_follows_links_inside_and_goes_on_past_errors() {
    let bench = sample();
    assert_eq!(said(&bench, &["cat", "odd:1", "/out", "bin/tool", "/etc/empty"]), "root\n#!\n");
    let paths = ["/etc", "/etc/x/y", "/gone", "/loop", "/dev/null", "/dev/pipe", "/out/", "/out"];
    let output = run(&bench, &[&["cat", "odd:1"], &paths[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"root\n");
    let lines = String::from_utf8(output.stderr).unwrap();
    for line in [
        "shale: /etc: is a directory",
        "hint: `shale files odd:1 /etc` lists what there is",
        "shale: /etc/x/y: the image has no such file",
        "shale: /gone: a symbolic link to no/where, which the image does not have",
        "hint: `shale files odd:1 /` lists what there is",
        "shale: /loop: too many symbolic links",
        "shale: /dev/null: is a device, which has no bytes in an image",
        "shale: /dev/pipe: is a named pipe, which has no bytes in an image",
        "shale: /out/: not a directory",
    ] {
        assert!(lines.lines().any(|found| found == line), "no {line:?} in\n{lines}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_silently() {
    let bench = store_with(&[(b"big", FILE, 0o644, &[b'x'; 3 << 20])]);
    let mut cat = bench.command(&["cat", "odd:1", "/big"]);
    let mut child = cat.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}

#[test]
fn cp_goes_where_docker_says() {
    let bench = sample();
    let at = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    fs::create_dir(bench.path("dir")).unwrap();
    let read = |name: &str| fs::read_to_string(bench.path(name)).unwrap();

    said(&bench, &["cp", "odd:1:/etc/passwd", &at("dir")]);
    said(&bench, &["cp", "odd:1:/etc/passwd", &at("dir/users")]);
    said(&bench, &["cp", "odd:1:/bin/tool", &at("dir/users")]);
    assert_eq!((read("dir/passwd"), read("dir/users")), ("root\n".into(), "#!\n".into()));
    said(&bench, &["cp", "odd:1:/etc", &at("new")]);
    said(&bench, &["cp", "odd:1:/etc", &at("dir")]);
    said(&bench, &["cp", "odd:1:/tight/.", &at("dir")]);
    assert_eq!((read("new/passwd"), read("dir/etc/passwd")), ("root\n".into(), "root\n".into()));
    assert_eq!(read("dir/in"), "x");
    said(&bench, &["cp", "odd:1:/bin", &at("link")]);
    said(&bench, &["cp", "-L", "odd:1:/bin", &at("followed")]);
    assert_eq!(fs::read_link(bench.path("link")).unwrap(), Path::new("usr/bin"));
    assert_eq!(read("followed/tool"), "#!\n");
    said(&bench, &["cp", "odd:1:/bin/", &at("dir")]);
    assert_eq!(read("dir/bin/tool"), "#!\n");

    let mode = |name: &str| bench.path(name).metadata().unwrap().mode() & 0o7777;
    assert_eq!(mode("followed/tool") & 0o4000, 0, "no set-user-ID without -a");
    said(&bench, &["cp", "odd:1:/tight", &at("tight")]);
    assert_eq!((mode("tight"), mode("tight/in")), (0o500, 0o400));

    for (source, to, why) in [
        ("odd:1:/etc", "dir/passwd", "dir/passwd: is not a directory"),
        ("odd:1:/etc/passwd", "none/", "none/: there is no such directory"),
        ("odd:1:/etc/passwd", "dir/passwd/", "dir/passwd/: Not a directory"),
        ("odd:1:/etc/passwd", "none/x", "none: No such file"),
        ("odd:1:/etc/none", "x", "/etc/none: the image has no such file"),
    ] {
        let output = run(&bench, &["cp", source, &at(to)]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(why), "{error}");
    }
}

#[test]
fn planted_links_do_not_lead_out_of_the_destination() {
    let bench = sample();
    let (outside, dest) = (bench.path("outside"), bench.path("dest"));
    fs::create_dir(&outside).unwrap();
    fs::create_dir_all(dest.join("usr")).unwrap();
    fs::write(outside.join("passwd"), "untouched").unwrap();
    symlink(&outside, dest.join("etc")).unwrap();
    symlink(&outside, dest.join("usr/bin")).unwrap();
    symlink(outside.join("passwd"), dest.join("gone")).unwrap();
    symlink("/proc/self/cwd", dest.join("dev")).unwrap();

    let output = run(&bench, &["cp", "odd:1:/.", dest.to_str().unwrap()]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    let lines = error.lines().filter(|line| line.contains(": there is something else, not "));
    assert!(lines.count() == 3 && error.lines().count() == 3, "{error}");
    assert_eq!(fs::read_to_string(outside.join("passwd")).unwrap(), "untouched");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_link(dest.join("gone")).unwrap(), Path::new("no/where"), "replaced");
    assert_eq!(fs::read_to_string(dest.join("tight/in")).unwrap(), "x", "the rest is copied");
    let left = fs::read_dir(&dest).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().contains(".part")));
}

/// As a user without rights, in a directory of theirs. Needs root to become one.
#[test]
fn cp_a_says_what_a_normal_user_may_not_restore() {
    let mut bench = sample();
    if !shalefs::sys::process::is_real_root() {
        return;
    }
    let home = bench.path("home");
    fs::create_dir(&home).unwrap();
    for path in [&home, &bench.path("store")] {
        let mut chown = std::process::Command::new("chown");
        assert!(chown.args(["-R", "65534"]).arg(path).status().unwrap().success());
    }
    bench.prefix =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).to_vec();
    let output = run(&bench, &["cp", "-a", "odd:1:/", home.join("out").to_str().unwrap()]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("attributes could not be restored, such as"), "{error}");
    assert!(error.contains("owner 0:0: Operation not permitted"), "{error}");
    assert!(
        error.contains("shale: ") && error.contains("dev/null: Operation not permitted"),
        "{error}"
    );
    let mode = |name: &str| home.join("out").join(name).metadata().unwrap().mode() & 0o7777;
    assert_eq!(mode("usr/bin/tool"), 0o755, "set-user-ID would be another user's");
    assert_eq!((mode("tight"), mode("tight/in")), (0o500, 0o400));
    let inode = |name: &str| home.join("out").join(name).metadata().unwrap().ino();
    assert_eq!(inode("etc/passwd"), inode("etc/second"));
    fs::set_permissions(home.join("out/tight"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_wrong_source_is_a_usage_error_with_a_hint() {
    let bench = sample();
    let output = run(&bench, &["cp", "odd:1", "x"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.starts_with("shale: odd:1: no path in the image\nhint: write IMAGE:PATH"));
}

#[test]
fn damage_ends_an_export_and_is_told_by_its_status() {
    let bench = store_with(&[(b"big", FILE, 0o644, &[b'x'; 1 << 20]), (b"a", FILE, 0o644, b"a")]);
    said(&bench, &["files", "odd:1"]);
    let store = bench.store();
    let image = store.open_image("odd:1").unwrap();
    let blob = bench.path("store/blobs/sha256").join(image.layers[0].digest.hex());
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o600)).unwrap();
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).unwrap();

    let (tar, out) = (bench.path("x.tar"), bench.path("out"));
    fs::write(&tar, "old").unwrap();
    let output = run(&bench, &["export", "-o", tar.to_str().unwrap(), "odd:1"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(&tar).unwrap(), "old", "a failed export leaves the old one");
    let output = run(&bench, &["cp", "odd:1:/.", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!out.join("big").exists(), "no half of a file under its name");
    let names = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().ends_with(".part")));
}

/// Any bytes that can be a name, odd ones often.
fn names() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(b'\n'),
        Just(0xff_u8),
        Just(b'='),
        Just(b' '),
        Just(b'\\'),
        Just(0x1b),
        Just(b'-'),
        Just(b'.'),
        Just(b'%'),
        1..=255_u8
    ];
    let name = prop::collection::vec(byte.prop_filter("no slash", |byte| *byte != b'/'), 1..120);
    name.prop_filter("a name", |name| {
        !name.starts_with(b".wh.") && !matches!(name.as_slice(), b"." | b"..")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Names come through `files`, `cat`, `cp` and `export` as they are.
    #[test]
    fn odd_names_come_through_as_they_are(
        found in prop::collection::btree_map(names(), prop::collection::vec(any::<u8>(), 0..9), 1..6)
    ) {
        let paths: Vec<Vec<u8>> = found.keys().map(|n| [b"d/", n.as_slice()].concat()).collect();
        let contents = paths.iter().zip(found.values());
        let items: Vec<Item<'_>> =
            contents.map(|(path, content)| (path.as_slice(), FILE, 0o644, content.as_slice())).collect();
        let bench = store_with(&items);
        let listed = run(&bench, &["files", "-0", "odd:1", "/d"]).stdout;
        let wanted: Vec<u8> = std::iter::once(b"/d\0".to_vec())
            .chain(paths.iter().map(|path| [b"/", path.as_slice(), b"\0"].concat()))
            .collect::<Vec<_>>()
            .concat();
        prop_assert_eq!(listed, wanted);

        let mut cat = bench.command(&["cat", "odd:1"]);
        let output = cat.arg("--").args(paths.iter().map(|p| OsStr::from_bytes(p))).output().unwrap();
        prop_assert_eq!(output.stdout, found.values().flatten().copied().collect::<Vec<u8>>());

        let out = bench.path("out");
        prop_assert!(run(&bench, &["cp", "odd:1:/d", out.to_str().unwrap()]).status.success());
        prop_assert_eq!(&read_all(&out), &found);
        let tar = bench.path("x.tar");
        prop_assert!(run(&bench, &["export", "-o", tar.to_str().unwrap(), "odd:1"]).status.success());
        for program in ["tar", "bsdtar"] {
            let to = bench.path(program);
            fs::create_dir(&to).unwrap();
            let status = std::process::Command::new(program)
                .arg("-xf").arg(&tar).arg("-C").arg(&to).stderr(Stdio::null()).status().unwrap();
            prop_assert!(status.success(), "{}", program);
            prop_assert_eq!(&read_all(&to.join("d")), &found, "{}", program);
        }
    }
}

/// The files of a directory.
fn read_all(directory: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_vec(), fs::read(e.path()).unwrap())).collect()
}
