//! What a server may still do: nothing but serve. Tried from inside, where each thing must fail that
//! an intruder would try, after it was seen to work outside; and on servers as the program starts
//! them, where everything that a mount is for must go on working.

#![allow(clippy::unwrap_used)]

use crate::support::program;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::images::{TestImage, TestLayer, tar_of};
use crate::support::program::{Bench, is_gone, kill, wait_for};
use crate::support::require::can_mount;
use rustix::process::{Pid, Signal};
use shalefs::mount::sandbox;
use shalefs::oci::{DiffId, Digest};
use shalefs::store::{Derived, MountRecord, Store};

/// An attempt, and how it went.
type Attempts = Vec<(&'static str, Result<(), io::Error>)>;

/// Everything that an intruder may want. `above` is a directory outside the store with a file.
fn attempts(store: &Store, above: &Path, address: SocketAddr, parent: Pid) -> Attempts {
    let blobs = store.root().join("blobs/sha256");
    let store = store.root();
    let child = || -> io::Result<()> { Command::new("/bin/true").status().map(drop) };
    let unshare = || rustix::thread::UnshareFlags::NEWUTS;
    vec![
        ("read a file outside", File::open(above.join("secret")).map(drop)),
        ("read /etc/shadow", File::open("/etc/shadow").map(drop)),
        ("list a directory outside", fs::read_dir(above).map(drop)),
        ("write outside", fs::write(above.join("new"), "x")),
        ("make a blob", fs::write(blobs.join("new"), "x")),
        ("change the index", File::options().write(true).open(store.join("index.json")).map(drop)),
        ("make a record", fs::write(store.join("mounts/x.json"), "x")),
        ("make a table", fs::write(store.join("toc/x"), "x")),
        ("start a program", child()),
        ("connect", TcpStream::connect(address).map(drop)),
        ("make a pair of sockets", UnixStream::pair().map(drop)),
        ("leave a namespace", shalefs::sys::namespace::leave(unshare())),
        ("look into /proc", File::open("/proc/self/environ").map(drop)),
        ("signal its parent", rustix::process::test_kill_process(parent).map_err(Into::into)),
    ]
}

#[test]
fn in_the_sandbox_nothing_can_be_reached_but_the_store() {
    if !shalefs::sys::sandbox::missing().is_empty() {
        assert!(std::env::var_os("CI").is_none(), "CI needs a kernel with all of the sandbox");
        return;
    }
    let bench = Bench::new();
    let store = bench.store();
    fs::write(bench.path("secret"), "x").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, parent) = (listener.local_addr().unwrap(), rustix::process::getppid().unwrap());
    let is_root = rustix::process::geteuid().is_root();
    let blob = bench.store().open_image(program::IMAGE).unwrap().blobs(&store).unwrap()[0];
    // In a thread of its own: the sandbox is a thread's.
    let inside = std::thread::spawn({
        let (store, above) = (store.clone(), bench.path(""));
        move || {
            for (what, result) in attempts(&store, &above, address, parent) {
                assert!(result.is_ok() || !is_root, "{what}: before: {result:?}");
            }
            for name in ["blobs/sha256/new", "mounts/x.json", "toc/x"] {
                fs::remove_file(store.root().join(name)).unwrap();
            }
            sandbox::enter(&store, true).expect("the kernel has all of it");
            for (what, result) in attempts(&store, &above, address, parent) {
                let error = result.expect_err(what);
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{what}: {error}");
            }
            let mut bytes = Vec::new();
            store.open_blob(&blob).expect("it is allowed").read_to_end(&mut bytes).unwrap();
            assert_eq!(Digest::sha256(&bytes), *blob.digest());
            for kind in [Derived::Content, Derived::Seekable] {
                let key = *blob.digest();
                store
                    .put_derived(kind, key, &mut |draft| io::Write::write_all(draft, b"x"))
                    .unwrap();
                assert!(store.open_derived(kind, key).unwrap().is_some());
                store.remove_derived(kind, key).unwrap();
            }
            std::thread::spawn(|| ()).join().expect("threads can be started");
        }
    });
    inside.join().unwrap();
    assert!(
        TcpStream::connect("127.0.0.1:9")
            .is_err_and(|error| { error.kind() != io::ErrorKind::PermissionDenied }),
        "other threads are as they were"
    );
}

/// A field of /proc/PID/status.
fn status_of(record: &MountRecord, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", record.pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
    line.unwrap_or_default().to_owned()
}

#[track_caller]
fn assert_confined(record: &MountRecord) {
    assert_eq!(status_of(record, "NoNewPrivs"), "1");
    assert_eq!(status_of(record, "Seccomp"), "2");
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(status_of(record, set), "0000000000000000", "{set}");
    }
    // Every thread of it: they have no rights but those of the one that started them.
    for thread in fs::read_dir(format!("/proc/{}/task", record.pid)).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        assert!(status.contains("\nSeccomp:\t2\n"), "{status}");
    }
}

/// Text that compresses, but not to nothing.
fn text(seed: u8, size: usize) -> Vec<u8> {
    let mut noise = vec![0; size];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut noise);
    noise.iter().map(|byte| b'a' + byte % 16).collect()
}

/// One frame, so that its middle can be entered in the seekable form only.
fn zstd_layer(files: &[(&str, &[u8])]) -> TestLayer {
    let tar = tar_of(files);
    let blob = zstd::encode_all(&tar[..], 3).unwrap();
    let digest = Digest::sha256(&blob);
    TestLayer { blob, digest, diff_id: DiffId(Digest::sha256(&tar)) }
}

#[test]
fn a_server_that_root_started_is_confined_and_does_its_work() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let (large, framed) = (text(1, 3 << 20), text(2, 9 << 20));
    let layers = vec![TestLayer::of(&[("large", &large)]), zstd_layer(&[("framed", &framed)])];
    TestImage::new(layers, "work").put(&bench.store(), Some(program::IMAGE));
    let record = bench.mount();
    assert_confined(&record);
    // Made at the first mount; without it the server must make it.
    let seekable = bench.path("store/seekable/sha256");
    for form in fs::read_dir(&seekable).unwrap() {
        fs::remove_file(form.unwrap().path()).unwrap();
    }
    assert!(fs::read(bench.dir.join("framed")).unwrap() == framed);
    assert_eq!(fs::read_dir(&seekable).unwrap().count(), 1, "made again by the server");
    assert!(fs::read(bench.dir.join("large")).unwrap() == large);
    let content = bench.path("store/content/blake3");
    wait_for("the large file to be extracted", || {
        let names = fs::read_dir(&content).into_iter().flatten().flatten();
        names.filter(|name| !name.file_name().as_encoded_bytes().starts_with(b".")).count() > 0
    });
    kill(&record, Signal::TERM);
    wait_for("the server to end", || is_gone(&record));
    assert!(!bench.is_mounted() && bench.records().is_empty());
    assert_no_log(&bench);
}

fn assert_no_log(bench: &Bench) {
    for file in fs::read_dir(bench.path("store/mounts")).unwrap() {
        let path = file.unwrap().path();
        let log = fs::read_to_string(&path).unwrap();
        assert!(log.lines().all(|line| line.contains("making its seekable form")), "{log}");
    }
}

#[test]
fn a_server_in_the_foreground_is_confined_too() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let (mut child, record) = bench.start_foreground();
    // The record is there a moment before the sandbox is.
    wait_for("the sandbox", || status_of(&record, "Seccomp") == "2");
    assert_eq!(fs::read(bench.dir.join("etc/word")).unwrap(), b"sample\n");
    assert_confined(&record);
    kill(&record, Signal::TERM);
    assert!(child.wait().unwrap().success());
    assert!(!bench.is_mounted());
}

#[test]
fn info_says_what_there_is_and_the_option_insists_on_all_of_it() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let said = bench.shale(&["info", "--format", "{{.Sandbox}}"]);
    assert!(said.stdout.starts_with("no_new_privs, no capabilities"), "{}", said.stdout);
    let missing = shalefs::sys::sandbox::missing();
    assert_eq!(said.stdout.contains("missing"), !missing.is_empty(), "{}", said.stdout);
    let said = bench.try_mount(&["--require-sandbox"]);
    assert_eq!(said.success, missing.is_empty(), "{}", said.stderr);
    for part in missing {
        assert!(said.stderr.contains(&part.to_string()), "{}", said.stderr);
    }
}

#[test]
fn the_processes_of_a_mount_end_together() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    let keeper = fs::read_to_string(format!("/proc/{0}/task/{0}/children", record.pid)).unwrap();
    let keeper = keeper.trim().parse::<u32>().expect("one child");
    let lives = || shalefs::sys::process::start_time(keeper).is_some();
    assert!(lives());
    let open = fs::read_dir(format!("/proc/{keeper}/fd")).unwrap();
    let open: Vec<_> = open.map(|fd| fs::read_link(fd.unwrap().path()).unwrap()).collect();
    assert_eq!(open.len(), 5, "two pipes and the standard three: {open:?}");
    assert!(open.iter().all(|path| path != Path::new("/dev/fuse")), "{open:?}");
    kill(&record, Signal::KILL);
    wait_for("the keeper to end", || !lives());
    std::thread::sleep(Duration::from_millis(20));
    assert!(bench.is_mounted(), "a dead mount stays to be seen");
}

#[test]
fn a_store_below_a_directory_that_root_may_only_pass_by_force_works() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let top = bench.path("");
    std::os::unix::fs::chown(&top, Some(65534), Some(65534)).unwrap();
    fs::set_permissions(&top, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let record = bench.mount();
    assert_eq!(fs::read(bench.dir.join("etc/word")).unwrap(), b"sample\n");
    assert_eq!(status_of(&record, "CapEff"), "0000000000000004", "CAP_DAC_READ_SEARCH alone");
    assert_eq!(status_of(&record, "Seccomp"), "2");
    let said = bench.umount();
    assert!(said.success, "{}", said.stderr);
    assert!(is_gone(&record));
}
