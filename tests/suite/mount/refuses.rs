//! Nothing can be changed through a mount, whether the kernel refuses or, on a mount that root
//! made writable, the server does.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use crate::support::require::can_mount;
use crate::support::sample::{Mounted, Sample};
use rustix::fs::{FallocateFlags, Mode, RenameFlags, XattrFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use shalefs::fs::Request;
use shalefs::layer::Kind;

fn sample() -> Sample {
    let mut sample = Sample::new();
    sample.dir("d");
    sample.dir("empty");
    sample.file("f", b"bytes");
    sample.special("pipe", Kind::Fifo, (0, 0));
    // With an extended attribute, so that those are asked for at all.
    sample.last().xattrs = vec![(b"user.x".to_vec(), b"y".to_vec())];
    sample
}

/// Every way to change something by a path, with what came of it.
fn changes(root: &Path) -> Vec<(&'static str, io::Result<()>)> {
    let at = |name: &str| root.join(name);
    let errno = |result: Result<(), Errno>| result.map_err(io::Error::from);
    let cwd = rustix::fs::CWD;
    vec![
        ("create", File::create_new(at("new")).map(drop)),
        ("mkdir", fs::create_dir(at("new"))),
        ("unlink", fs::remove_file(at("f"))),
        ("rmdir", fs::remove_dir(at("empty"))),
        ("rename", fs::rename(at("f"), at("g"))),
        (
            "exchange",
            errno(rustix::fs::renameat_with(cwd, at("f"), cwd, at("d"), RenameFlags::EXCHANGE)),
        ),
        ("link", fs::hard_link(at("f"), at("g"))),
        ("symlink", std::os::unix::fs::symlink("f", at("g"))),
        (
            "mknod",
            errno(rustix::fs::mknodat(cwd, at("new"), rustix::fs::FileType::Fifo, Mode::RUSR, 0)),
        ),
        ("chmod", fs::set_permissions(at("f"), fs::Permissions::from_mode(0o600))),
        ("chown", std::os::unix::fs::chown(at("f"), Some(1), Some(1))),
        ("truncate", OpenOptions::new().write(true).open(at("f")).and_then(|f| f.set_len(1))),
        ("utimes", File::open(at("f")).and_then(|f| f.set_modified(std::time::UNIX_EPOCH))),
        ("setxattr", errno(rustix::fs::setxattr(at("f"), "user.x", b"z", XattrFlags::empty()))),
        ("removexattr", errno(rustix::fs::removexattr(at("f"), "user.x"))),
        (
            "open to append",
            OpenOptions::new().append(true).open(at("f")).and_then(|mut f| {
                f.write_all(b"more")?;
                f.sync_all()
            }),
        ),
    ]
}

fn assert_unchanged(root: &Path) {
    assert_eq!(fs::read(root.join("f")).unwrap(), b"bytes");
    assert_eq!(fs::read_dir(root).unwrap().count(), 4);
}

#[test]
fn every_change_is_refused_as_read_only() {
    let Some(_alone) = can_mount() else { return };
    let mounted = Mounted::new(&sample());
    for (what, result) in changes(mounted.path()) {
        let error = result.expect_err(what);
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem, "{what}: {error}");
    }
    assert_eq!(mounted.fs.counters().of(Request::Write), 0, "the kernel itself refuses");
    assert_unchanged(mounted.path());
}

#[test]
fn the_server_refuses_too_when_root_remounts_it_writable() {
    let Some(_alone) = can_mount() else { return };
    let mounted = Mounted::new(&sample());
    rustix::mount::mount_remount(mounted.path(), MountFlags::empty(), "").unwrap();
    for (what, result) in changes(mounted.path()) {
        let error = result.expect_err(what);
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem, "{what}: {error}");
    }
    let file = OpenOptions::new().read(true).write(true).open(mounted.join("f")).unwrap();
    let errors = [
        ("write", file.write_at(b"x", 0).map(drop).unwrap_err()),
        (
            "fallocate",
            rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 9).unwrap_err().into(),
        ),
    ];
    for (what, error) in errors {
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem, "{what}: {error}");
    }
    drop(file);
    assert!(mounted.fs.counters().of(Request::Write) >= 16);
    assert_unchanged(mounted.path());
}
