//! A command's surroundings are its own: devices, hosts, network; volumes are the host's as far as
//! they were given; signals go in and statuses come out.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};

use crate::support::real_parts::{Corpus, TestDir, mount, shale};
use rustix::process::{Pid, Signal, kill_process};

/// A store, and the image `debian` under that name.
struct Bench {
    store: TestDir,
    image: String,
}

impl Bench {
    fn new(corpus: &Corpus) -> Self {
        Self { store: TestDir::new("store"), image: corpus.oci("debian") }
    }

    /// `shale chroot OPTIONS IMAGE -- sh -c SCRIPT`
    fn command(&self, options: &[&str], script: &str) -> Command {
        let mut command = shale(&self.store);
        command.arg("chroot").args(options).arg(&self.image).args(["--", "sh", "-c", script]);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, options: &[&str], script: &str) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(options, script).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (status.code().unwrap_or(-1), text(&stdout), text(&stderr))
    }
}

#[test]
fn devices_and_hosts_are_the_commands_own() {
    let Some(corpus) = Corpus::find() else { return };
    let bench = Bench::new(&corpus);
    let host = || (fs::read("/etc/hosts").ok(), fs::metadata("/dev/null").unwrap().permissions());
    let before = host();
    let script = "echo 10.0.0.1 other >>/etc/hosts && chmod 600 /dev/null && stat -c %a /dev/null
        grep -c $(hostname) /etc/hosts; test $(cat /etc/hostname) = $HOSTNAME && echo named
        head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; head -c 3 /dev/random | wc -c
        echo x 2>/dev/null >/dev/full || echo full; echo in | cat /dev/stdin; ls /dev/fd/0
        touch /dev/shm/x && ls /dev/shm; stat -c %a /dev/shm /tmp / /etc; umask";
    let mut command = bench.command(&[], script);
    // The caller's habits are not the command's.
    let inner = command.get_args().map(ToOwned::to_owned).collect::<Vec<_>>();
    command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_shale")]).args(inner);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let wanted = "600\n1\nnamed\n3\n3\n3\nfull\nin\n/dev/fd/0\nx\n1777\n1777\n755\n755\n0022\n";
    assert_eq!(out, wanted, "{output:?}");
    assert!(before == host(), "the host's files were changed");
}

#[test]
fn volumes_show_what_they_are_told_and_no_more() {
    let Some(corpus) = Corpus::find() else { return };
    let bench = Bench::new(&corpus);
    let outside = TestDir::new("outside");
    fs::write(outside.path.join("f"), "file\n").unwrap();
    // A mount below the volume is read-only with it.
    let _below = mount(&["-t", "tmpfs", "none"], &outside.path.join("below"));
    let top = outside.path.display();
    let (whole, file) = (format!("{top}:/v:ro"), format!("{top}/f:/etc/new/f"));
    let script = "cat /v/f; for d in /v /v/below; do touch $d/x 2>/dev/null || echo refused; done
        echo more >>/etc/new/f";
    let (code, out, error) = bench.run(&["-v", &whole, "-v", &file], script);
    assert_eq!((code, &*out), (0, "file\nrefused\nrefused\n"), "{error}");
    assert_eq!(fs::read_to_string(outside.path.join("f")).unwrap(), "file\nmore\n");
    // A link of the image leads nowhere but into the image.
    let keep = outside.path.join("keep");
    let keep = keep.to_str().unwrap();
    let link = format!("ln -s {top} /out; mkdir -p {top}/deep");
    assert_eq!(bench.run(&["--keep", keep], &link).0, 0);
    let through = format!("{top}/f:/out/inside/f");
    let (code, out, error) = bench.run(&["--keep", keep, "-v", &through], "cat /out/inside/f");
    assert_eq!((code, &*out), (0, "file\nmore\n"), "{error}");
    assert!(!outside.path.join("inside").exists(), "a volume's place was made on the host");
    let (code, _, error) = bench.run(&["-v", "/no/such:/v"], "true");
    assert_eq!(code, 125);
    assert!(error.contains("/no/such"), "{error}");
}

#[test]
fn without_a_network_there_is_still_loopback() {
    let Some(corpus) = Corpus::find() else { return };
    let bench = Bench::new(&corpus);
    let (code, out, error) =
        bench.run(&["--net", "none"], "grep -c : /proc/net/dev; cat /sys/class/net/lo/flags");
    // IFF_UP and IFF_LOOPBACK.
    assert_eq!((code, &*out), (0, "1\n0x9\n"), "{error}");
}

#[test]
fn changes_belong_to_one_run_at_a_time_and_one_image() {
    let Some(corpus) = Corpus::find() else { return };
    let bench = Bench::new(&corpus);
    let outside = TestDir::new("outside");
    let keep = outside.path.join("keep");
    let keep = ["--keep", keep.to_str().unwrap()];
    let mut first = start(&mut bench.command(&keep, "echo on; exec sleep 1000"));
    let (code, _, error) = bench.run(&keep, "true");
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(code, 125, "{error}");
    assert!(error.contains("another chroot keeps its changes there"), "{error}");
    let foreign = outside.path.join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(foreign.join("f"), "").unwrap();
    let (code, _, error) = bench.run(&["--keep", foreign.to_str().unwrap()], "true");
    assert_eq!(code, 125, "{error}");
    assert!(error.contains("neither empty nor a directory of changes"), "{error}");
    // Nothing is held any more when the command has returned.
    for _ in 0..3 {
        let (code, _, error) = bench.run(&keep, "true");
        assert_eq!(code, 0, "{error}");
    }
}

/// Starts it and waits for its first line.
fn start(command: &mut Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "on\n");
    child
}

#[test]
fn signals_go_in_and_statuses_come_out() {
    let Some(corpus) = Corpus::find() else { return };
    let bench = Bench::new(&corpus);
    for (signal, script, expected) in [
        (Signal::TERM, "trap 'exit 3' TERM; echo on; while :; do sleep 0.05; done", 3),
        (Signal::INT, "trap 'exit 4' INT; echo on; while :; do sleep 0.05; done", 4),
        (Signal::HUP, "trap 'exit 5' HUP; echo on; while :; do sleep 0.05; done", 5),
        (Signal::USR1, "trap 'exit 6' USR1; echo on; while :; do sleep 0.05; done", 6),
        (Signal::WINCH, "trap 'exit 7' WINCH; echo on; while :; do sleep 0.05; done", 7),
        (Signal::TERM, "echo on; exec sleep 1000", 143),
        (Signal::QUIT, "echo on; exec sleep 1000", 131),
    ] {
        let mut child = start(&mut bench.command(&[], script));
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(expected), None), "{signal:?}");
    }
}

#[test]
fn many_run_at_once() {
    let Some(corpus) = Corpus::find() else { return };
    let bench = Bench::new(&corpus);
    assert_eq!(bench.run(&[], "true").0, 0);
    let script = "rm -r /usr/share/doc; echo $N >/etc/n; sleep 0.2; cat /etc/n";
    let children: Vec<_> = (0..8)
        .map(|number| {
            let set = format!("N={number}");
            bench.command(&["-e", &set], script).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for (number, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{number}\n"), "{output:?}");
    }
    let leases = fs::read_dir(bench.store.path.join("ingest")).unwrap().count();
    assert_eq!(leases, 0, "something is still held");
    // The store is as clean as before.
    let verified = shale(&bench.store).arg("verify").output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}
