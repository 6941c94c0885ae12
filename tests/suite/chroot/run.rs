//! Commands inside a real image: what they see, what stays of them, and how they end.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::real_parts::{Corpus, TestDir, shale};

/// `shale chroot ARGUMENTS`, the image's place taken by `IMAGE`.
fn command(store: &TestDir, corpus: &Corpus, arguments: &[&str]) -> Command {
    let image = corpus.oci("debian");
    let mut command = shale(store);
    command.arg("chroot");
    command.args(arguments.iter().map(|word| if *word == "IMAGE" { &image } else { *word }));
    command.stdin(Stdio::null());
    command
}

fn run(store: &TestDir, corpus: &Corpus, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(store, corpus, arguments).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (status.code().unwrap_or(-1), text(&stdout), text(&stderr))
}

#[test]
fn chroot_shows_the_image_and_forgets_changes() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    let script = "id -u; cat /etc/debian_version; echo new >/etc/new; cat /etc/new; \
                  rm -r /usr/share; ls /dev/null /dev/pts/ptmx /proc/self/stat /sys/kernel >/dev/null";
    let (code, out, error) = run(&store, &corpus, &["IMAGE", "--", "sh", "-ec", script]);
    assert_eq!(code, 0, "{error}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines[0], lines[2]), ("0", "new"), "{out}");
    // Of the suite that the corpus was made from.
    let read = shale(&store).args(["cat", &corpus.oci("debian"), "/etc/debian_version"]).output();
    assert_eq!(format!("{}\n", lines[1]).as_bytes(), read.unwrap().stdout, "{out}");
    let (code, ..) = run(&store, &corpus, &["IMAGE", "test", "-e", "/etc/new"]);
    assert_eq!(code, 1, "the change of the first run is still there");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&format!("{}/chroot", store.path.display())), "{mounts}");
}

#[test]
fn what_a_command_read_is_extracted_for_its_next_run() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    for _ in 0..2 {
        let (code, out, error) = run(&store, &corpus, &["IMAGE", "cat", "/etc/debian_version"]);
        assert_eq!(code, 0, "{error}");
        let objects = store.path.join("content/blake3");
        let object = fs::read(objects.join(blake3::hash(out.as_bytes()).to_hex().as_str()));
        assert!(object.unwrap().starts_with(out.as_bytes()));
        let left = fs::read_dir(&objects).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.filter(|name| name.as_encoded_bytes().starts_with(b".")).count(), 0);
    }
    assert_eq!(shale(&store).arg("verify").output().unwrap().status.code(), Some(0));
    // What cannot be made again is said once, however often it is read.
    let script = "for n in 1 2 3; do dd if=/bin/bash bs=4096 status=none | sha256sum; done";
    let (_, good, _) = run(&store, &corpus, &["IMAGE", "--", "sh", "-c", script]);
    for entry in fs::read_dir(store.path.join("content/blake3")).unwrap() {
        let path = entry.unwrap().path();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
    }
    let (code, out, error) = run(&store, &corpus, &["IMAGE", "--", "sh", "-c", script]);
    assert_eq!((code, &out), (0, &good), "{error}");
    let mut lines: Vec<_> = error.lines().collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert!(all > 0 && lines.len() == all, "{error}");
}

#[test]
fn chroot_passes_statuses_on_and_says_what_is_missing() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    for (script, expected) in [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
        let (code, _, error) = run(&store, &corpus, &["IMAGE", "--", "sh", "-c", script]);
        assert_eq!(code, expected, "{script}: {error}");
    }
    for (arguments, expected, words) in [
        (&["IMAGE", "/no/such"][..], 127, "not found in the image"),
        (&["IMAGE", "/etc/passwd"][..], 126, "permission denied"),
        (&["-u", "nosuch", "IMAGE", "true"][..], 125, "/etc/passwd does not name it"),
    ] {
        let (code, _, error) = run(&store, &corpus, arguments);
        assert_eq!(code, expected, "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}

#[test]
fn chroot_keeps_shows_and_refuses_as_it_is_told() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    let outside = TestDir::new("outside");
    let keep = outside.path.join("keep");
    let keep = keep.to_str().unwrap();
    fs::write(outside.path.join("f"), "from outside\n").unwrap();
    let volume = format!("{}:/mnt/v:ro", outside.path.display());
    let kept = ["--keep", keep, "IMAGE", "--", "sh", "-c", "echo kept >/srv/k; rm /etc/passwd"];
    assert_eq!(run(&store, &corpus, &kept).0, 0);
    let again = ["--keep", keep, "IMAGE", "--", "sh", "-c", "cat /srv/k; test ! -e /etc/passwd"];
    let (code, out, error) = run(&store, &corpus, &again);
    assert_eq!((code, out.as_str()), (0, "kept\n"), "{error}");
    let script = "cat /mnt/v/f; touch /mnt/v/x";
    let (code, out, error) =
        run(&store, &corpus, &["--volume", &volume, "IMAGE", "--", "sh", "-c", script]);
    assert_eq!((code, out.as_str()), (1, "from outside\n"), "{error}");
    let (code, ..) = run(&store, &corpus, &["--read-only", "IMAGE", "touch", "/x"]);
    assert_eq!(code, 1, "a read-only root was written to");
    let script = "echo $A; pwd; id -un; grep -c : /proc/net/dev";
    let (code, out, error) = run(
        &store,
        &corpus,
        &[
            "-e", "A=1", "-w", "/n/d", "-u", "daemon", "--net", "none", "IMAGE", "--", "sh", "-c",
            script,
        ],
    );
    assert_eq!((code, out.as_str()), (0, "1\n/n/d\ndaemon\n1\n"), "{error}");
}

#[test]
fn nothing_is_left_of_a_chroot_that_is_killed() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    let mark = format!("97{:05}", std::process::id());
    let mut child = command(&store, &corpus, &["IMAGE", "sleep", &mark]).spawn().unwrap();
    let sleeps = || {
        fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line == format!("sleep\0{mark}\0").as_bytes()
        })
    };
    let until = |wanted: bool| {
        let start = Instant::now();
        while sleeps() != wanted {
            assert!(start.elapsed() < Duration::from_secs(20), "the command: {wanted}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    until(true);
    child.kill().unwrap();
    child.wait().unwrap();
    until(false);
}
