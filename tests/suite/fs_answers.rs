//! The file system without a kernel: what it answers to each question, and with which errno.

#![allow(clippy::unwrap_used)]

use crate::support::sample;
use std::ops::ControlFlow;

use crate::support::sample::Sample;
use rustix::io::Errno;
use shalefs::fs::{Attr, BLOCK_SIZE, Error, Fit, ImageFs, Ino, Request, Seek, View};
use shalefs::layer::{Kind, Time};

/// Follows `path` from the root.
fn walk<C: shalefs::fs::FileBytes>(fs: &ImageFs<C>, path: &str) -> Attr {
    path.split('/').fold(fs.getattr(Ino::ROOT).unwrap(), |directory, name| {
        fs.lookup(directory.ino, name.as_bytes()).unwrap().expect("the name is there")
    })
}

fn names(fs: &ImageFs<sample::Memory>, ino: Ino, from: u64) -> Vec<(String, Kind, u64)> {
    let mut names = Vec::new();
    fs.readdir(ino, from, |entry| {
        let name = String::from_utf8_lossy(entry.name).into_owned();
        names.push((name, entry.kind, entry.next));
        ControlFlow::Continue(())
    })
    .unwrap();
    names
}

#[test]
fn lookup_tells_absent_from_not_a_directory() {
    let mut sample = Sample::new();
    sample.file("f", b"x");
    let fs = sample.fs();
    let f = walk(&fs, "f");
    assert_eq!(f.kind, Kind::File);
    assert!(fs.lookup(Ino::ROOT, b"g").unwrap().is_none());
    assert!(fs.lookup(Ino::ROOT, b"").unwrap().is_none());
    assert_eq!(fs.lookup(f.ino, b"x").unwrap_err().errno(), Errno::NOTDIR);
    let long = [b'a'; 256];
    assert_eq!(fs.lookup(Ino::ROOT, &long).unwrap_err().errno(), Errno::NAMETOOLONG);
    assert!(fs.lookup(Ino::ROOT, &long[..255]).unwrap().is_none());
}

#[test]
fn dot_and_dot_dot_are_answered_for_file_handles() {
    let mut sample = Sample::new();
    sample.dir("a");
    sample.dir("a/b");
    let fs = sample.fs();
    let (a, b) = (walk(&fs, "a"), walk(&fs, "a/b"));
    assert_eq!(fs.lookup(b.ino, b".").unwrap().unwrap(), b);
    assert_eq!(fs.lookup(b.ino, b"..").unwrap().unwrap(), a);
    assert_eq!(fs.lookup(Ino::ROOT, b"..").unwrap().unwrap().ino, Ino::ROOT);
}

#[test]
fn an_inode_that_never_was_is_stale_and_not_absent() {
    let fs = Sample::new().fs();
    for ino in [Ino(0), Ino(2), Ino(u64::from(u32::MAX) + 1), Ino(u64::MAX)] {
        let errors = [
            fs.getattr(ino).unwrap_err(),
            fs.lookup(ino, b"x").unwrap_err(),
            fs.readlink(ino).unwrap_err(),
            fs.read(ino, 0, 1, &mut Vec::new()).unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.errno() == Errno::STALE), "{errors:?}");
    }
}

#[test]
fn attributes_are_the_images() {
    let mut sample = Sample::new();
    let entry = sample.file("f", &[7; 5000]);
    (entry.mode, entry.uid, entry.gid) = (0o6751, 1000, 70_000);
    entry.mtime = Time { seconds: -2, nanos: 500_000_000 };
    sample.sparse("holes", 1 << 30, &[(4096, b"data")]);
    sample.symlink("l", b"to/nowhere");
    sample.hard_link("g", "f");
    let fs = sample.fs();
    let f = walk(&fs, "f");
    assert_eq!((f.mode, f.uid, f.gid, f.size, f.links), (0o6751, 1000, 70_000, 5000, 2));
    assert_eq!(f.mtime, Time { seconds: -2, nanos: 500_000_000 });
    assert_eq!(f.blocks, 10, "5,000 bytes in units of 512");
    assert_eq!(walk(&fs, "g"), f, "one inode, two names");
    let holes = walk(&fs, "holes");
    assert_eq!((holes.size, holes.blocks), (1 << 30, 1));
    let link = walk(&fs, "l");
    assert_eq!((link.kind, link.mode, link.size), (Kind::Symlink, 0o777, 10));
    assert_eq!(fs.readlink(link.ino).unwrap(), b"to/nowhere");
    assert_eq!(fs.readlink(f.ino).unwrap_err().errno(), Errno::INVAL);
}

#[test]
fn an_unprivileged_view_hides_suid_bits_of_files_only() {
    let mut sample = Sample::new();
    sample.file("su", b"").mode = 0o6755;
    sample.dir("shared").mode = 0o3775;
    let view = View { mask_suid: true, uid: Some(5), gid: None };
    let fs = ImageFs::new(sample.tree(), sample.bytes(), view);
    let su = walk(&fs, "su");
    assert_eq!((su.mode, su.uid, su.gid), (0o755, 5, 0));
    assert_eq!(walk(&fs, "shared").mode, 0o3775);
}

#[test]
fn a_listing_can_go_on_from_every_position() {
    let mut sample = Sample::new();
    sample.dir("d");
    sample.symlink("d/b", "x");
    sample.file("d/a", b"");
    sample.special("d/c", Kind::Fifo, (0, 0));
    let fs = sample.fs();
    let d = walk(&fs, "d").ino;
    let whole = names(&fs, d, 0);
    let shown: Vec<_> = whole.iter().map(|(name, kind, _)| (name.as_str(), *kind)).collect();
    let expected = [
        (".", Kind::Directory),
        ("..", Kind::Directory),
        ("a", Kind::File),
        ("b", Kind::Symlink),
        ("c", Kind::Fifo),
    ];
    assert_eq!(shown, expected);
    for (at, (_, _, next)) in whole.iter().enumerate() {
        assert_eq!(names(&fs, d, *next), whole[at + 1..], "after entry {at}");
    }
    assert!(names(&fs, d, u64::MAX).is_empty());
    assert!(names(&fs, d, 1 << 40).is_empty());
}

#[test]
fn a_listing_stops_when_told() {
    let mut sample = Sample::new();
    sample.file("a", b"");
    sample.file("b", b"");
    let fs = sample.fs();
    let mut seen = 0;
    fs.readdirplus(Ino::ROOT, 0, |entry, attr| {
        assert_eq!(entry.ino, attr.ino);
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(seen, 3);
    let a = walk(&fs, "a").ino;
    let error = fs.readdir(a, 0, |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.errno(), Errno::NOTDIR);
}

#[test]
fn reads_are_cut_at_the_end_of_the_file() {
    let mut sample = Sample::new();
    sample.file("f", b"0123456789");
    sample.dir("d");
    sample.special("p", Kind::Fifo, (0, 0));
    let fs = sample.fs();
    let f = walk(&fs, "f").ino;
    let read = |offset, length| {
        let mut out = Vec::new();
        fs.read(f, offset, length, &mut out).map(|()| out)
    };
    assert_eq!(read(0, 100).unwrap(), b"0123456789");
    assert_eq!(read(8, 100).unwrap(), b"89");
    assert_eq!(read(3, 2).unwrap(), b"34");
    assert!(read(10, 1).unwrap().is_empty());
    assert_eq!(fs.counters().bytes_read(), 14);
    let error = |name| fs.read(walk(&fs, name).ino, 0, 1, &mut Vec::new()).unwrap_err().errno();
    assert_eq!(error("d"), Errno::ISDIR);
    assert_eq!(error("p"), Errno::INVAL);
}

#[test]
fn damage_is_an_io_error_that_names_the_digest() {
    let mut sample = Sample::new();
    sample.file("good", b"good");
    let bad = sample.file("bad", b"bad").data_offset;
    let mut bytes = sample.bytes();
    bytes.damaged = Some(bad);
    let fs = ImageFs::new(sample.tree(), bytes, View::default());
    let error = fs.read(walk(&fs, "bad").ino, 0, 3, &mut Vec::new()).unwrap_err();
    assert_eq!(error.errno(), Errno::IO);
    assert!(error.to_string().contains("sha256:"), "{error}");
    fs.read(walk(&fs, "good").ino, 0, 4, &mut Vec::new()).unwrap();
}

#[test]
fn seeks_find_data_and_holes() {
    let mut sample = Sample::new();
    sample.sparse("s", 100, &[(10, b"abc"), (50, b"defg")]);
    sample.file("f", b"0123");
    sample.dir("d");
    let fs = sample.fs();
    let (s, f) = (walk(&fs, "s").ino, walk(&fs, "f").ino);
    assert_eq!(fs.lseek(s, 0, Some(Seek::Data)).unwrap(), 10);
    assert_eq!(fs.lseek(s, 10, Some(Seek::Hole)).unwrap(), 13);
    assert_eq!(fs.lseek(s, 13, Some(Seek::Data)).unwrap(), 50);
    assert_eq!(fs.lseek(s, 54, Some(Seek::Hole)).unwrap(), 54);
    assert_eq!(fs.lseek(s, 54, Some(Seek::Data)).unwrap_err().errno(), Errno::NXIO);
    assert_eq!(fs.lseek(s, 100, Some(Seek::Hole)).unwrap_err().errno(), Errno::NXIO);
    assert_eq!(fs.lseek(f, 1, Some(Seek::Hole)).unwrap(), 4);
    assert_eq!(fs.lseek(f, -1, Some(Seek::Data)).unwrap_err().errno(), Errno::INVAL);
    assert_eq!(fs.lseek(f, 0, None).unwrap_err().errno(), Errno::INVAL);
}

#[test]
fn extended_attributes_by_size_value_and_list() {
    let mut sample = Sample::new();
    let value = b"a\0b\n".to_vec();
    sample.file("f", b"").xattrs =
        vec![(b"security.capability".to_vec(), vec![1; 20]), (b"user.x".to_vec(), value.clone())];
    sample.file("g", b"");
    let fs = sample.fs();
    let (f, g) = (walk(&fs, "f").ino, walk(&fs, "g").ino);
    assert_eq!(fs.getxattr(f, b"user.x", 0).unwrap(), Fit::Length(4));
    assert_eq!(fs.getxattr(f, b"user.x", 4).unwrap(), Fit::Bytes(value));
    assert_eq!(fs.getxattr(f, b"user.x", 3).unwrap_err().errno(), Errno::RANGE);
    assert_eq!(fs.getxattr(f, b"user.y", 9).unwrap_err().errno(), Errno::NODATA);
    assert_eq!(fs.getxattr(g, b"user.x", 9).unwrap_err().errno(), Errno::NODATA);
    assert_eq!(fs.listxattr(f, 0).unwrap(), Fit::Length(27));
    let names = b"security.capability\0user.x\0".to_vec();
    assert_eq!(fs.listxattr(f, 64).unwrap(), Fit::Bytes(names));
    assert_eq!(fs.listxattr(f, 26).unwrap_err().errno(), Errno::RANGE);
    assert_eq!(fs.listxattr(g, 64).unwrap(), Fit::Bytes(Vec::new()));
    assert_eq!(fs.listxattr(g, 0).unwrap(), Fit::Length(0));
}

#[test]
fn statfs_counts_inodes_and_stored_bytes_once() {
    let mut sample = Sample::new();
    sample.file("f", &[1; 10_000]);
    sample.hard_link("g", "f");
    sample.sparse("s", 1 << 40, &[(0, b"x")]);
    let total = sample.fs().statfs();
    assert_eq!(total.files, 3, "the root and two files");
    assert_eq!(total.blocks, 10_001_u64.div_ceil(u64::from(BLOCK_SIZE)));
}

#[test]
fn what_needs_no_state_and_what_is_refused() {
    let fs = Sample::new().fs();
    assert_eq!(fs.open().errno(), Errno::NOSYS);
    assert_eq!(fs.opendir().errno(), Errno::NOSYS);
    assert_eq!(fs.stateless().errno(), Errno::NOSYS);
    assert_eq!(fs.write().errno(), Errno::ROFS);
    assert_eq!(fs.ioctl(0).unwrap_err().errno(), Errno::NOTTY);
}

#[test]
fn every_request_is_counted_by_its_kind() {
    let fs = Sample::new().fs();
    let _ = fs.lookup(Ino::ROOT, b"x");
    let _ = fs.getattr(Ino::ROOT);
    let _ = fs.readlink(Ino::ROOT);
    let _ = fs.readdir(Ino::ROOT, 0, |_| ControlFlow::Break(()));
    let _ = fs.readdirplus(Ino::ROOT, 0, |_, _| ControlFlow::Break(()));
    let _ = fs.read(Ino::ROOT, 0, 1, &mut Vec::new());
    let _ = fs.lseek(Ino::ROOT, 0, None);
    let _ = fs.getxattr(Ino::ROOT, b"x", 0);
    let _ = fs.listxattr(Ino::ROOT, 0);
    fs.statfs();
    let _: [Error; 5] =
        [fs.open(), fs.opendir(), fs.write(), fs.stateless(), fs.ioctl(1).unwrap_err()];
    for kind in Request::ALL {
        let expected = if kind == Request::Other { 2 } else { 1 };
        assert_eq!(fs.counters().of(kind), expected, "{}", kind.name());
    }
    assert_eq!(fs.counters().total(), 15);
}

/// Reads these files one after the other; the batches that this gives rise to.
fn batches(fs: &ImageFs<sample::Memory>, paths: &[String]) -> Vec<Vec<Ino>> {
    let mut batches = Vec::new();
    for path in paths {
        let ino = walk(fs, path).ino;
        match fs.come_to(ino) {
            Some(batch) => batches.push(batch),
            None => fs.left(ino),
        }
    }
    batches
}

#[test]
fn who_walks_gets_the_next_files_in_growing_batches() {
    let mut sample = Sample::new();
    sample.file("a", b"x");
    sample.dir("d");
    let paths: Vec<_> = (100..400).map(|number| format!("d/{number}")).collect();
    for (number, path) in paths.iter().enumerate() {
        sample.file(path, &vec![b'x'; number]);
        sample.symlink(&format!("{path}-link"), "x");
    }
    sample.file("d/zz", &[b'x'; 300 << 10]);
    sample.dir("e");
    sample.file("e/f", b"last");
    let fs = sample.fs();
    let ino = |path: &str| walk(&fs, path).ino;
    // What the kernel was sent is read without a message.
    let (mut sent, mut messages) = (Vec::new(), 0);
    for path in ["a"].into_iter().chain(paths.iter().map(String::as_str)).chain(["d/zz", "e/f"]) {
        if sent.contains(&ino(path)) || path == "d/100" {
            continue;
        }
        messages += 1;
        match fs.come_to(ino(path)) {
            Some(batch) => sent.extend(batch),
            None => fs.left(ino(path)),
        }
    }
    assert!((10..30).contains(&messages), "{messages}");
    assert!(!sent.contains(&ino("d/100")), "an empty file");
    assert!(!sent.contains(&ino("d/zz")), "a large one");
    let mut once = sent.clone();
    once.dedup();
    assert_eq!(once, sent, "nothing twice");
    assert_eq!(sent.len() + messages, 302, "all but the empty one are read");
}

#[test]
fn who_does_not_walk_gets_nothing() {
    let mut sample = Sample::new();
    let paths: Vec<_> = (0..50).map(|number| format!("f{number:02}")).collect();
    for path in &paths {
        sample.file(path, b"x");
    }
    let backwards: Vec<_> = paths.iter().rev().cloned().collect();
    assert_eq!(batches(&sample.fs(), &backwards), Vec::<Vec<Ino>>::new());
    let fs = sample.fs();
    let others: Vec<_> = paths.iter().step_by(2).cloned().collect();
    assert_eq!(batches(&fs, &others), Vec::<Vec<Ino>>::new());
    // The kernel does not know a file of the batch: the walk goes on where it comes to it.
    let fs = sample.fs();
    assert_eq!(batches(&fs, &paths[10..12])[0].len(), 3);
    let unknown = walk(&fs, &paths[13]).ino;
    fs.too_early(unknown);
    assert_eq!(batches(&fs, &paths[12..14]).len(), 1);
    for ino in [Ino(0), Ino(u64::MAX), Ino::ROOT] {
        fs.left(ino);
        fs.too_early(ino);
        assert_eq!(fs.come_to(ino), None);
    }
}

#[test]
fn a_walk_that_comes_to_a_new_directory_gets_its_files_when_it_lists_it() {
    let mut sample = Sample::new();
    let names =
        |directory: &str| -> Vec<_> { (1..=6).map(|n| format!("{directory}{n}")).collect() };
    for directory in ["b", "b/x"] {
        sample.dir(directory);
    }
    for path in [names("a"), names("b/m"), names("b/x/")].concat() {
        sample.file(&path, b"x");
    }
    let fs = sample.fs();
    let ino = |path: &str| walk(&fs, path).ino;
    // `a5` is the marker, and not sent; behind `a6` the walk comes to `b`.
    let first = batches(&fs, &names("a")[..2]);
    assert_eq!(first, [["a3", "a4", "a6"].map(ino).to_vec()]);
    let second = batches(&fs, &["a5".to_owned()]);
    assert_eq!(second[0][..2], ["b/m1", "b/m2"].map(ino));
    assert_eq!(fs.listed(ino("b")), None, "it was not too early");
    fs.too_early(ino("b/m1"));
    assert_eq!(fs.listed(Ino::ROOT), None);
    assert_eq!(fs.listed(ino("b/x")), None);
    assert_eq!(fs.listed(ino("a1")), None);
    let batch = fs.listed(ino("b")).unwrap();
    assert_eq!(batch[..2], ["b/m1", "b/m2"].map(ino));
    assert_eq!(fs.listed(ino("b")), None, "once");
}
