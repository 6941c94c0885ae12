//! How few messages the kernel sends: everything is asked once in the life of a mount.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::require::can_mount;
use crate::support::sample::{Mounted, Sample};
use shalefs::fs::{Counters, Request};

/// 30 directories of 20 files and a symlink each.
fn many() -> Sample {
    let mut sample = Sample::new();
    for directory in 0..30 {
        sample.dir(format!("d{directory}"));
        for file in 0..20 {
            sample.file(format!("d{directory}/f{file}"), format!("{directory} {file}").as_bytes());
        }
        sample.symlink(&format!("d{directory}/link"), "f0");
    }
    sample
}

fn run(program: &str, arguments: &[&str], directory: &Path) {
    let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What `work` costs in messages of each kind. `statfs` is left out: find asks it once a run, and
/// the kernel keeps that answer of no file system.
fn cost(counters: &Counters, work: impl FnOnce()) -> Vec<(Request, u64)> {
    let before = Request::ALL.map(|kind| counters.of(kind));
    work();
    let after = Request::ALL.into_iter().zip(before).map(|(kind, n)| (kind, counters.of(kind) - n));
    after.filter(|(kind, count)| *count > 0 && *kind != Request::Statfs).collect()
}

#[test]
fn a_find_with_stat_asks_for_listings_only_and_a_second_one_for_nothing() {
    let Some(_alone) = can_mount() else { return };
    let mounted = Mounted::new(&many());
    let find = || run("find", &[".", "-printf", "%p %s %l\n"], mounted.path());
    let first = cost(mounted.fs.counters(), find);
    let of = |kind| first.iter().find(|(k, _)| *k == kind).map_or(0, |(_, count)| *count);
    assert_eq!(of(Request::Lookup), 0, "attributes come with the listing: {first:?}");
    assert_eq!(of(Request::Opendir), 1, "answered for ever: {first:?}");
    assert!(of(Request::Getattr) <= 1, "the root: {first:?}");
    assert_eq!(of(Request::Readlink), 30);
    assert_eq!(cost(mounted.fs.counters(), find), [], "the second find");
    let ls = || run("ls", &["-lR"], mounted.path());
    // It asks for labels and ACLs until it is told that they are not supported.
    let few = cost(mounted.fs.counters(), ls);
    let asked = |(kind, count): &(Request, u64)| *kind == Request::Getxattr && *count <= 2;
    assert!(few.iter().all(asked), "{few:?}");
    let value = rustix::fs::getxattr(mounted.join("d1/f1"), "user.x", &mut [0_u8; 9]);
    assert_eq!(value, Err(rustix::io::Errno::NODATA), "as on other file systems");
}

#[test]
fn other_users_walk_without_a_question_for_acls() {
    let Some(_alone) = can_mount() else { return };
    let mut sample = many();
    sample.file("noted", b"x").xattrs = vec![(b"user.note".to_vec(), b"1".to_vec())];
    let mounted = Mounted::new(&sample);
    let walk = |script: &str| {
        let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script];
        run("setpriv", &user, mounted.path());
    };
    let walk = || walk("find . -type f -exec cat {} + >/dev/null; find . -printf '%l%s\n'");
    let asked = cost(mounted.fs.counters(), walk);
    assert!(asked.iter().all(|(kind, _)| *kind != Request::Getxattr), "{asked:?}");
}

#[test]
fn a_file_read_again_costs_nothing_not_even_an_open() {
    let Some(_alone) = can_mount() else { return };
    let mounted = Mounted::new(&many());
    let read = || {
        for directory in 0..30 {
            let text = fs::read_to_string(mounted.join(format!("d{directory}/f7"))).unwrap();
            assert_eq!(text, format!("{directory} 7"));
        }
    };
    let first = cost(mounted.fs.counters(), read);
    let of = |kind| first.iter().find(|(k, _)| *k == kind).map_or(0, |(_, count)| *count);
    assert_eq!((of(Request::Open), of(Request::Read)), (1, 30), "{first:?}");
    assert!(of(Request::Other) <= 1, "flush is asked once: {first:?}");
    assert_eq!(cost(mounted.fs.counters(), read), [], "the second time");
}

#[test]
fn who_reads_file_after_file_gets_most_of_them_unasked() {
    let Some(_alone) = can_mount() else { return };
    let mut names: Vec<_> = (0..30).map(|number| format!("d{number}")).collect();
    names.sort();
    let mut files: Vec<_> = (0..20).map(|number| format!("f{number}")).collect();
    files.sort();
    let read = |mounted: &Mounted| {
        for (directory, file) in names.iter().flat_map(|name| files.iter().map(move |f| (name, f)))
        {
            let text = fs::read_to_string(mounted.join(format!("{directory}/{file}"))).unwrap();
            assert_eq!(text, format!("{} {}", &directory[1..], &file[1..]));
            // A reader that does something with it, on a machine that does something else.
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let mut tries = Vec::new();
    for _ in 0..4 {
        let mounted = Mounted::new(&many());
        run("find", &["."], mounted.path());
        let messages = cost(mounted.fs.counters(), || read(&mounted));
        let reads = messages.iter().find(|(kind, _)| *kind == Request::Read).unwrap().1;
        let sent = mounted.fs.counters().files_sent();
        tries.push((reads, sent));
        if reads < 300 && reads + sent >= 600 {
            return;
        }
        // A kernel that is short of memory forgets files, and what it forgot is not sent to it. Then
        // it looks names up again, which it need not otherwise.
        let forgot = messages.iter().any(|(kind, _)| *kind == Request::Lookup);
        assert!(forgot, "(read, sent): {tries:?}, and nothing was forgotten: {messages:?}");
    }
    panic!("(read, sent): {tries:?}");
}

#[test]
fn an_absent_name_is_asked_for_once() {
    let Some(_alone) = can_mount() else { return };
    let mounted = Mounted::new(&many());
    let look = || assert!(!mounted.join("d1/absent").exists());
    assert!(cost(mounted.fs.counters(), look).contains(&(Request::Lookup, 2)));
    assert_eq!(cost(mounted.fs.counters(), look), []);
}

#[test]
fn eight_threads_read_what_is_there() {
    let Some(_alone) = can_mount() else { return };
    let bytes: Vec<u8> =
        (0..2_000_003_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut sample = Sample::new();
    for file in 0..8 {
        sample.file(format!("f{file}"), &bytes[file..]);
    }
    let mounted = Mounted::new(&sample);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (mounted, bytes) = (&mounted, &bytes);
            scope.spawn(move || {
                for round in 0..4 {
                    let file = (thread + round) % 8;
                    let mut read = Vec::new();
                    let mut open = File::open(mounted.join(format!("f{file}"))).unwrap();
                    open.read_to_end(&mut read).unwrap();
                    assert!(read == bytes[file..], "file {file} in thread {thread}");
                }
            });
        }
    });
    let opens = mounted.fs.counters().of(Request::Open);
    assert!(opens <= 8, "{opens}: each thread may ask before the first answer is known");
}

#[test]
fn the_server_ends_when_somebody_else_unmounts() {
    let Some(_alone) = can_mount() else { return };
    let mut mounted = Mounted::new(&many());
    assert_eq!(fs::read_dir(mounted.path()).unwrap().count(), 30);
    run("umount", &[mounted.path().to_str().unwrap()], Path::new("/"));
    assert!(mounted.ends_within(Duration::from_secs(5)), "the server still runs");
    // What lay below is there, and nobody unmounted a second time.
    assert_eq!(fs::read_dir(mounted.path()).unwrap().count(), 0);
}

#[test]
fn a_second_unmount_never_takes_what_lay_below() {
    let Some(_alone) = can_mount() else { return };
    let below = Mounted::new(&many());
    let mut sample = Sample::new();
    sample.file("upper", b"");
    // On top of the first, as root may force it.
    let upper = Mounted::over(&below, &sample);
    assert!(below.join("upper").exists());
    upper.unmount().unwrap();
    assert!(below.join("d1/f1").exists(), "the lower mount went away with the upper one");
}
