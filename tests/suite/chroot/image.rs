//! Commands in images that have next to nothing: no shell, no /etc, programs that cannot run; and
//! what the image's config says of its command.

#![allow(clippy::unwrap_used)]

use crate::support::elf;
use crate::support::program;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::images::{TestImage, TestLayer, gzip};
use crate::support::program::Bench;
use crate::support::require::can_mount;
use rustix::fs::FlockOperation;
use serde_json::{Value, json};
use shalefs::oci::{DiffId, Digest};

const IMAGE: &str = "docker.io/library/bare:1";

/// A layer of programs.
fn programs(files: &[(&str, &[u8])]) -> TestLayer {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    let tar = builder.into_inner().unwrap();
    let blob = gzip(&tar);
    let digest = Digest::sha256(&blob);
    TestLayer { blob, digest, diff_id: DiffId(Digest::sha256(&tar)) }
}

fn bench(files: &[(&str, &[u8])], wishes: &Value) -> Bench {
    let bench = Bench::new();
    TestImage::with_wishes(vec![programs(files)], wishes).put(&bench.store(), Some(IMAGE));
    bench
}

fn run(bench: &Bench, arguments: &[&str]) -> (i32, String) {
    let output = bench.command(&[&["chroot"], arguments].concat()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn an_image_of_one_program_runs_it() {
    let Some(_alone) = can_mount() else { return };
    let ends = elf::exits_with(42);
    let files: [(&str, &[u8]); 2] = [("bin/ends", &ends), ("other/ends", &elf::exits_with(43))];
    let bench = bench(&files, &json!({ "Entrypoint": ["/bin/ends"], "Cmd": ["x"] }));
    assert_eq!(run(&bench, &[IMAGE]), (42, String::new()), "Entrypoint and Cmd");
    assert_eq!(run(&bench, &[IMAGE, "ends"]), (42, String::new()), "found in PATH");
    assert_eq!(run(&bench, &["--read-only", IMAGE, "/other/ends"]).0, 43);
    assert_eq!(run(&bench, &["-w", "/other", IMAGE, "./ends"]).0, 43);
    assert_eq!(run(&bench, &["-e", "PATH=/none:/other", IMAGE, "ends"]).0, 43);
    assert_eq!(run(&bench, &["-u", "7:8", IMAGE, "ends"]).0, 42, "numbers need no passwd");
}

#[test]
fn what_cannot_run_is_told_apart() {
    let Some(_alone) = can_mount() else { return };
    let foreign = elf::foreign();
    let bench = bench(
        &[
            ("bin/foreign", &foreign),
            ("bin/lost", b"#!/no/such/interpreter\n"),
            ("bin/text", b"just words\n"),
            ("etc/passwd", b"me:x:5:6::/home/me:\n"),
        ],
        &json!({ "User": "me" }),
    );
    for (program, expected, words) in [
        ("/bin/foreign", 126, "the image is for amd64"),
        ("lost", 126, "interpreter or loader"),
        ("text", 126, "must begin with #!"),
        ("/bin", 126, "permission denied"),
        ("absent", 127, "not found in the image's PATH (/usr/local/sbin:"),
        ("/bin/absent", 127, "/bin/absent: not found in the image"),
        ("", 127, "not found"),
    ] {
        let (code, said) = run(&bench, &[IMAGE, program]);
        assert_eq!(code, expected, "{program}: {said}");
        assert!(said.starts_with("shale: ") && said.contains(words), "{program}: {said}");
    }
    // The image names no command: a shell, which it does not have either.
    let (code, said) = run(&bench, &[IMAGE]);
    assert_eq!(code, 127, "{said}");
    assert!(said.contains("it may have no shell"), "{said}");
    let (code, said) = run(&bench, &["-u", "you", IMAGE, "text"]);
    assert_eq!(code, 125, "{said}");
    assert!(said.contains("/etc/passwd does not name it"), "{said}");
}

#[test]
fn a_passwd_that_is_no_file_is_not_waited_for() {
    let Some(_alone) = can_mount() else { return };
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Fifo);
    header.set_size(0);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, "etc/passwd", &[][..]).unwrap();
    let tar = builder.into_inner().unwrap();
    let pipe = TestLayer {
        blob: gzip(&tar),
        digest: Digest::sha256(&gzip(&tar)),
        diff_id: DiffId(Digest::sha256(&tar)),
    };
    let bench = Bench::new();
    let layers = vec![programs(&[("ends", &elf::exits_with(9))]), pipe];
    TestImage::with_wishes(layers, &json!({})).put(&bench.store(), Some(IMAGE));
    let mut child =
        bench.command(&["chroot", IMAGE, "/ends"]).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn an_image_in_use_is_not_removed() {
    let Some(_alone) = can_mount() else { return };
    // A loop that only a signal ends: jmp to itself.
    let mut waits = elf::exits_with(0);
    let code = waits.len() - 12;
    waits[code..code + 2].copy_from_slice(&[0xeb, 0xfe]);
    let bench = bench(&[("waits", &waits)], &json!({}));
    let mut child = bench.command(&["chroot", IMAGE, "/waits"]).spawn().unwrap();
    let id = bench.store().open_image(IMAGE).unwrap().id;
    let config = bench.path("store/blobs/sha256").join(id.hex());
    program::wait_for("the image to be held", || {
        let config = std::fs::File::open(&config).unwrap();
        rustix::fs::flock(config, FlockOperation::NonBlockingLockExclusive).is_err()
    });
    let refused = bench.shale(&["rm", "-f", IMAGE]);
    let pruned = bench.shale(&["prune", "-a", "-f"]);
    let kept = bench.shale(&["ls", "-q", "bare"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!refused.success && refused.stderr.contains("a command runs in it"), "{refused:?}");
    assert!(pruned.success && !pruned.stdout.contains("bare"), "{pruned:?}");
    assert_eq!(kept.stdout.lines().count(), 1, "{kept:?}");
    program::wait_for("the image to be free", || bench.shale(&["rm", IMAGE]).success);
}
