//! What the kernel shows of a mounted image: attributes, names, links, bytes, holes, extended
//! attributes; and that it refuses every change.
//!
//! The mounts are served by threads of the test itself, so that its request counters can be read.

#![allow(clippy::cast_possible_truncation, reason = "numbers of tests are small")]
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use crate::support::require::can_mount;
use crate::support::sample::{Mounted, Sample};
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use shalefs::fs::{ImageFs, View};
use shalefs::fuse::MountOptions;
use shalefs::layer::{Kind, Time};
use shalefs::sys::mountinfo;

/// An image with one of everything.
fn everything() -> Sample {
    let mut sample = Sample::new();
    sample.dir("etc").mode = 0o750;
    let file = sample.file("etc/passwd", b"root:x:0:0\n");
    (file.mode, file.uid, file.gid) = (0o4751, 1000, 70_000);
    file.mtime = Time { seconds: -2, nanos: 500_000_000 };
    sample.hard_link("etc/shadow", "etc/passwd");
    sample.symlink("link", "etc/passwd");
    sample.symlink("dangling", b"\xff\xfe/nowhere");
    sample.special("null", Kind::CharDevice, (1, 3));
    sample.special("disk", Kind::BlockDevice, (259, 70_000));
    sample.special("pipe", Kind::Fifo, (0, 0));
    sample.file(b"caf\xe9 \n", b"not UTF-8");
    sample.sparse("holes", 10 << 20, &[(1 << 20, &[7; 8192]), (9 << 20, b"end")]);
    sample.dir("deep");
    sample.dir("deep/er");
    sample.file("deep/er/file", b"down here");
    sample
}

#[test]
fn stat_shows_what_the_image_says() {
    let Some(_alone) = can_mount() else { return };
    let mounted = Mounted::new(&everything());
    let stat = |name: &str| fs::symlink_metadata(mounted.join(name)).unwrap();
    let passwd = stat("etc/passwd");
    assert_eq!(passwd.mode(), 0o10_4751);
    assert_eq!((passwd.uid(), passwd.gid(), passwd.nlink()), (1000, 70_000, 2));
    assert_eq!((passwd.size(), passwd.blocks(), passwd.blksize()), (11, 1, 4096));
    assert_eq!((passwd.mtime(), passwd.mtime_nsec()), (-2, 500_000_000));
    assert_eq!((passwd.ctime(), passwd.atime()), (-2, -2));
    assert_eq!(stat("etc/shadow").ino(), passwd.ino());
    assert_eq!(stat("etc").mode(), 0o4_0750);
    assert_eq!(stat("").nlink(), 4, "two subdirectories");
    assert_eq!(stat("deep").nlink(), 3);
    assert_eq!((stat("link").mode(), stat("link").size()), (0o12_0777, 10));
    assert!(stat("null").file_type().is_char_device());
    assert_eq!(rustix::fs::major(stat("null").rdev()), 1);
    assert_eq!(rustix::fs::minor(stat("null").rdev()), 3);
    assert!(stat("disk").file_type().is_block_device());
    assert_eq!(rustix::fs::major(stat("disk").rdev()), 259);
    assert_eq!(rustix::fs::minor(stat("disk").rdev()), 70_000);
    assert!(stat("pipe").file_type().is_fifo());
    assert_eq!((stat("holes").size(), stat("holes").blocks()), (10 << 20, 17));
    mounted.unmount().unwrap();
}

#[test]
fn names_and_links_are_bytes() {
    let Some(_alone) = can_mount() else { return };
    let mounted = Mounted::new(&everything());
    let mut names: Vec<_> = fs::read_dir(mounted.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().as_bytes().to_vec())
        .collect();
    names.sort();
    let expected: [&[u8]; 9] =
        [b"caf\xe9 \n", b"dangling", b"deep", b"disk", b"etc", b"holes", b"link", b"null", b"pipe"];
    assert_eq!(names, expected);
    assert_eq!(fs::read(mounted.join(OsStr::from_bytes(b"caf\xe9 \n"))).unwrap(), b"not UTF-8");
    assert_eq!(fs::read_link(mounted.join("link")).unwrap(), Path::new("etc/passwd"));
    let dangling = fs::read_link(mounted.join("dangling")).unwrap();
    assert_eq!(dangling.as_os_str().as_bytes(), b"\xff\xfe/nowhere");
    assert_eq!(fs::read(mounted.join("link")).unwrap(), b"root:x:0:0\n");
}

#[test]
fn a_large_directory_lists_every_name_once() {
    let Some(_alone) = can_mount() else { return };
    let mut sample = Sample::new();
    sample.dir("d");
    let mut expected: Vec<String> = (0..5000).map(|n| format!("{n:0>120}")).collect();
    for name in &expected {
        sample.file(format!("d/{name}"), b"");
    }
    let mounted = Mounted::new(&sample);
    let list = || {
        let entries = fs::read_dir(mounted.join("d")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    expected.sort();
    assert!(list() == expected, "cold");
    assert!(list() == expected, "cached");
}

#[test]
fn reads_at_any_offset_and_through_a_mapping_give_the_bytes() {
    let Some(_alone) = can_mount() else { return };
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let mut sample = Sample::new();
    sample.file("f", &bytes);
    let mounted = Mounted::new(&sample);
    let file = File::open(mounted.join("f")).unwrap();
    for (offset, length) in [(2_999_990, 100), (1_234_567, 4096), (0, 1), (131_071, 2), (1, 99_999)]
    {
        let mut piece = vec![0; length];
        let count = file.read_at(&mut piece, offset as u64).unwrap();
        let end = (offset + length).min(bytes.len());
        assert!(piece[..count] == bytes[offset..end], "{length} bytes at {offset}");
    }
    assert_eq!(file.read_at(&mut [0], 3_000_001).unwrap(), 0);
    assert!(fs::read(mounted.join("f")).unwrap() == bytes);
    let compared = Command::new("cmp").arg(mounted.join("f")).arg("-").stdin(file).status();
    assert!(compared.unwrap().success());
}

#[test]
fn holes_read_as_zeros_and_can_be_found() {
    let Some(_alone) = can_mount() else { return };
    let mounted = Mounted::new(&everything());
    let file = File::open(mounted.join("holes")).unwrap();
    let seek = |from| rustix::fs::seek(&file, from);
    assert_eq!(seek(SeekFrom::Data(0)), Ok(1 << 20));
    assert_eq!(seek(SeekFrom::Hole(1 << 20)), Ok((1 << 20) + 8192));
    assert_eq!(seek(SeekFrom::Data(2 << 20)), Ok(9 << 20));
    assert_eq!(seek(SeekFrom::Data((9 << 20) + 3)), Err(Errno::NXIO));
    assert_eq!(seek(SeekFrom::Hole(10 << 20)), Err(Errno::NXIO));
    assert_eq!(seek(SeekFrom::End(-4)), Ok((10 << 20) - 4));
    let whole = fs::read(mounted.join("holes")).unwrap();
    let stored = whole.iter().filter(|byte| **byte != 0).count();
    assert_eq!((whole.len(), stored), (10 << 20, 8195));
    assert_eq!(whole[1 << 20..][..8192], [7; 8192]);
}

#[test]
fn extended_attributes_of_every_kind() {
    let Some(_alone) = can_mount() else { return };
    let mut sample = Sample::new();
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // user::rw-, user:1234:r--, group::---, mask::r--, other::---
    let acl: Vec<u8> = [2_u32.to_le_bytes()]
        .concat()
        .into_iter()
        .chain(
            [(1_u16, 6_u16, u32::MAX), (2, 4, 1234), (4, 0, u32::MAX), (16, 4, u32::MAX)]
                .into_iter()
                .chain([(32, 0, u32::MAX)])
                .flat_map(|(tag, perm, id)| {
                    [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat()
                }),
        )
        .collect();
    let file = sample.file("f", b"for 1234");
    file.mode = 0o640;
    file.xattrs = vec![
        (b"security.capability".to_vec(), capability.to_vec()),
        (b"system.posix_acl_access".to_vec(), acl.clone()),
        (b"user.binary".to_vec(), b"a\0b\nc".to_vec()),
    ];
    sample.file("plain", b"");
    let mounted = Mounted::new(&sample);
    let get = |name: &str, attribute: &str| {
        let mut value = vec![0; 4096];
        let length = rustix::fs::getxattr(mounted.join(name), attribute, &mut value)?;
        value.truncate(length);
        Ok::<_, Errno>(value)
    };
    assert_eq!(get("f", "security.capability").unwrap(), capability);
    assert_eq!(get("f", "system.posix_acl_access").unwrap(), acl);
    assert_eq!(get("f", "user.binary").unwrap(), b"a\0b\nc");
    assert_eq!(get("f", "user.none"), Err(Errno::NODATA));
    assert_eq!(get("plain", "security.capability"), Err(Errno::NODATA));
    assert_eq!(get("plain", "system.posix_acl_access"), Err(Errno::NODATA));
    let small = rustix::fs::getxattr(mounted.join("f"), "user.binary", &mut [0; 2]);
    assert_eq!(small, Err(Errno::RANGE));
    let mut names = [0; 256];
    let length = rustix::fs::listxattr(mounted.join("f"), &mut names).unwrap();
    assert_eq!(&names[..length], b"security.capability\0system.posix_acl_access\0user.binary\0");
    assert_eq!(rustix::fs::listxattr(mounted.join("plain"), &mut names), Ok(0));
    // The kernel enforces the ACL: its user may read, another may not.
    assert!(cat_as(1234, &mounted.join("f")), "named in the ACL");
    assert!(!cat_as(1235, &mounted.join("f")), "not named");
}

fn cat_as(uid: u32, path: &Path) -> bool {
    // A directory of tempfile's is its owner's alone; the mount below is reached from inside.
    Command::new("setpriv")
        .args([
            &format!("--reuid={uid}"),
            &format!("--regid={uid}"),
            "--clear-groups",
            "--inh-caps=-all",
        ])
        .args(["cat", path.file_name().unwrap().to_str().unwrap()])
        .current_dir(path.parent().unwrap())
        .output()
        .unwrap()
        .status
        .success()
}

#[test]
fn statfs_shows_totals_and_nothing_free() {
    let Some(_alone) = can_mount() else { return };
    let mounted = Mounted::new(&everything());
    let total = rustix::fs::statvfs(mounted.path()).unwrap();
    assert_eq!((total.f_bsize, total.f_frsize, total.f_namemax), (4096, 4096, 255));
    assert_eq!((total.f_bfree, total.f_bavail, total.f_ffree), (0, 0, 0));
    assert_eq!(total.f_files, 13, "the root and one inode a name, two names being one");
    assert_eq!(total.f_blocks, (11_u64 + 9 + 8195 + 9).div_ceil(4096));
}

#[test]
fn the_mount_table_says_what_is_mounted() {
    let Some(_alone) = can_mount() else { return };
    let source = "oci:/a,suid\\b c:x";
    let options = MountOptions { source: source.into(), ..MountOptions::default() };
    let mounted = Mounted::of(everything().fs(), &options);
    let row = mountinfo::at(&mounted.path().canonicalize().unwrap()).unwrap().unwrap();
    assert_eq!((row.fstype.as_str(), row.source.as_str()), ("fuse.shale", source));
    let flags: Vec<_> = row.options.split(',').collect();
    assert!(["ro", "nosuid", "nodev"].iter().all(|flag| flags.contains(flag)), "{flags:?}");
    let options: Vec<_> = row.super_options.split(',').collect();
    let wanted = ["ro", "user_id=0", "default_permissions", "allow_other"];
    assert!(wanted.iter().all(|option| options.contains(option)), "{options:?}");
}

#[test]
fn owners_can_be_overridden() {
    let Some(_alone) = can_mount() else { return };
    let sample = everything();
    let view = View { mask_suid: true, uid: Some(12), gid: Some(34) };
    let fs = ImageFs::new(sample.tree(), sample.bytes(), view);
    let mounted = Mounted::of(fs, &MountOptions { source: "x".into(), ..Default::default() });
    let passwd = fs::metadata(mounted.join("etc/passwd")).unwrap();
    assert_eq!((passwd.uid(), passwd.gid(), passwd.mode()), (12, 34, 0o10_0751));
}
