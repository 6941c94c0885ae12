//! Mounts of a normal user: through fusermount3, or directly in a user namespace; and what a
//! normal user is refused.
//!
//! Each test has a mount namespace of its own with its own /dev/fuse, so that nothing on the
//! machine is changed; the program runs there as `nobody`.

#![allow(clippy::unwrap_used)]

use crate::support::images;
use std::process::{Command, Output};

use crate::support::images::{TestImage, TestLayer};
use crate::support::program::{Bench, IMAGE, Said, is_gone, kill, wait_for};
use crate::support::require::can_mount;
use rustix::process::Signal;
use shalefs::oci::{DiffId, Digest};
use shalefs::store::MountRecord;

/// The user and group `nobody`.
const NOBODY: &str = "65534";

const AS_NOBODY: &str =
    "exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \"$@\"";

/// A bench of nobody's, whose commands run after `setup` in a new mount namespace where the mode
/// of /dev/fuse is `mode`.
fn bench(mode: &str, setup: &str) -> Bench {
    let mut bench = Bench::new();
    let top = bench.path("");
    let chown = Command::new("chown").args(["-R", NOBODY]).arg(&top).status();
    assert!(chown.unwrap().success());
    let script = format!(
        "set -e; mkdir -p {dev}; mount -t tmpfs -o mode=755 none {dev}
         mknod -m {mode} {dev}/fuse c 10 229; mount --bind {dev}/fuse /dev/fuse
         {setup}
         {AS_NOBODY}",
        dev = top.join("dev").display(),
    );
    bench.prefix = ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    bench
}

/// The words that run a command as `user` where the mount's server is.
fn enter(record: &MountRecord, user: &str) -> Vec<String> {
    let namespace = format!("--mount=/proc/{}/ns/mnt", record.pid);
    let user = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()];
    let words = ["nsenter".to_owned(), namespace, "setpriv".to_owned()];
    words.into_iter().chain(user).collect()
}

fn run_as(record: &MountRecord, user: &str, command: &[&str]) -> Output {
    let words = enter(record, user);
    Command::new(&words[0]).args(&words[1..]).args(command).output().unwrap()
}

/// Mounts, and makes the bench's further commands run in the same namespace as nobody.
fn mount(bench: &mut Bench, options: &[&str]) -> MountRecord {
    let said = bench.try_mount(options);
    assert!(said.success, "{}", said.stderr);
    let record = bench.record();
    bench.prefix = enter(&record, NOBODY);
    record
}

fn table_row(record: &MountRecord) -> String {
    let output = run_as(record, NOBODY, &["cat", "/proc/self/mountinfo"]);
    let table = String::from_utf8(output.stdout).unwrap();
    let place = format!(" {} ", record.mountpoint.display());
    table.lines().find(|line| line.contains(&place)).expect("it is mounted").to_owned()
}

fn error_of(said: &Said) -> (&str, &str) {
    assert!(!said.success, "it was mounted");
    let (message, rest) = said.stderr.split_once('\n').unwrap();
    (message, rest.trim())
}

#[test]
fn through_fusermount3() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = bench("0666", "");
    let record = mount(&mut bench, &[]);
    let directory = bench.dir.to_str().unwrap();
    let listed = run_as(&record, NOBODY, &["ls", directory]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "etc\nother\n");
    let row = table_row(&record);
    let wanted = format!("- fuse.shale {IMAGE} ro,user_id=65534,group_id=65534");
    assert!(row.contains(&wanted), "{row}");
    assert!(row.contains("nosuid,nodev") && row.contains("default_permissions"), "{row}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", record.pid)).unwrap();
    let confined = status.contains("\nNoNewPrivs:\t1\n") && status.contains("\nSeccomp:\t2\n");
    assert!(confined, "{status}");
    let other = run_as(&record, "1234", &["ls", directory]);
    assert!(!other.status.success(), "the mount is its user's own");
    let said = bench.umount();
    assert!(said.success, "{}", said.stderr);
    assert!(is_gone(&record));
    assert!(bench.records().is_empty());
}

/// Puts an image with a set-user-ID program in the place of the bench's own.
fn put_suid_image(bench: &Bench) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o6755);
    header.set_size(0);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, "su", &b""[..]).unwrap();
    let tar = builder.into_inner().unwrap();
    let blob = images::gzip(&tar);
    let diff_id = DiffId(Digest::sha256(&tar));
    let layer = TestLayer { digest: Digest::sha256(&blob), blob, diff_id };
    let chown = |owner: &str| {
        let status = Command::new("chown").args(["-R", owner]).arg(bench.path("")).status();
        assert!(status.unwrap().success());
    };
    chown("0");
    TestImage::new(vec![layer], "suid").put(&bench.store(), Some(IMAGE));
    chown(NOBODY);
}

#[test]
fn cve_2023_0386_suid_bits_are_masked_unless_asked_for() {
    let Some(_alone) = can_mount() else { return };
    for (options, mode) in [(&[][..], "755\n"), (&["-o", "suid"], "6755\n")] {
        let mut bench = bench("0666", "");
        put_suid_image(&bench);
        let record = mount(&mut bench, options);
        let file = bench.dir.join("su");
        let shown = run_as(&record, NOBODY, &["stat", "-c%a", file.to_str().unwrap()]);
        assert_eq!(String::from_utf8_lossy(&shown.stdout), mode, "{options:?}");
        assert!(bench.umount().success);
    }
}

#[test]
fn a_signal_unmounts_through_fusermount3_too() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = bench("0666", "");
    let record = mount(&mut bench, &[]);
    kill(&record, Signal::TERM);
    wait_for("the server to end", || is_gone(&record));
    assert!(bench.records().is_empty());
}

#[test]
fn a_dead_mount_is_cleaned_by_its_user() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = bench("0666", "");
    let record = mount(&mut bench, &[]);
    // Somebody must stay in the namespace, or it goes with all its mounts.
    let words = enter(&record, NOBODY);
    let mut stays =
        Command::new(&words[0]).args(&words[1..]).args(["sleep", "60"]).spawn().unwrap();
    let program = format!("/proc/{}/comm", stays.id());
    wait_for("sleep", || std::fs::read_to_string(&program).is_ok_and(|name| name == "sleep\n"));
    kill(&record, Signal::KILL);
    wait_for("the server to die", || is_gone(&record));
    bench.prefix = enter(&MountRecord { pid: stays.id(), ..record }, NOBODY);
    let said = bench.umount();
    stays.kill().unwrap();
    stays.wait().unwrap();
    assert!(said.success, "{}", said.stderr);
    assert!(bench.records().is_empty());
}

#[test]
fn allow_other_needs_leave() {
    let Some(_alone) = can_mount() else { return };
    let refused = bench("0666", "").try_mount(&["-o", "allow_other"]);
    let (message, hint) = error_of(&refused);
    assert_eq!(message, "shale: allow_other is not allowed to normal users here");
    assert!(hint.starts_with("hint: ") && hint.contains("user_allow_other"), "{hint}");
    let setup = "mount --bind /dev/null /etc/fuse.conf";
    let setup = setup.replace("/dev/null", "$conf");
    let setup = format!("conf=$(mktemp); echo user_allow_other >$conf; chmod 644 $conf; {setup}");
    let mut allowed = bench("0666", &setup);
    let record = mount(&mut allowed, &["-o", "allow_other"]);
    let other = run_as(&record, "1234", &["ls", allowed.dir.to_str().unwrap()]);
    assert!(other.status.success(), "{other:?}");
}

#[test]
fn without_leave_to_open_the_device() {
    let Some(_alone) = can_mount() else { return };
    let said = bench("0600", "").try_mount(&[]);
    let (message, hint) = error_of(&said);
    assert_eq!(message, "shale: /dev/fuse may not be opened: permission denied");
    assert!(hint.starts_with("hint: ") && hint.contains("chmod 0666 /dev/fuse"), "{hint}");
}

#[test]
fn without_the_helper() {
    let Some(_alone) = can_mount() else { return };
    // All that is left in /usr/bin is what the test itself needs.
    let setup = "t=$(mktemp -d); chmod 755 $t; cp /usr/bin/setpriv $t; mount --bind $t /usr/bin";
    let said = bench("0666", setup).try_mount(&[]);
    let (message, hint) = error_of(&said);
    assert_eq!(message, "shale: fusermount3 is not installed");
    assert!(hint.starts_with("hint: ") && hint.contains("fuse3"), "{hint}");
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let Some(_alone) = can_mount() else { return };
    let bench = bench("0666", "");
    let chown = Command::new("chown").arg("0:0").arg(&bench.dir).status();
    assert!(chown.unwrap().success());
    let said = bench.try_mount(&[]);
    let (message, hint) = error_of(&said);
    assert!(message.contains("no write access to mountpoint"), "{message}");
    assert!(hint.starts_with("hint: "), "{hint}");
}

#[test]
fn directly_in_a_user_namespace() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = bench("0666", "");
    let last = bench.prefix.len() - 2;
    // The mount ends with its namespace, so what is looked at is looked at in there.
    let script = bench.path("inside");
    let looks = "\"$@\" && grep fuse.shale /proc/self/mountinfo && ls";
    let text = format!(
        "exec unshare --user --map-root-user --mount sh -c '{looks} {}' sh \"$@\"\n",
        bench.dir.display()
    );
    std::fs::write(&script, text).unwrap();
    bench.prefix[last] = bench.prefix[last].replace(
        AS_NOBODY,
        &format!("{} sh {} \"$@\"", AS_NOBODY.trim_end_matches(" \"$@\""), script.display()),
    );
    let said = bench.try_mount(&[]);
    assert!(said.success, "{}", said.stderr);
    assert!(said.stdout.contains("user_id=0,group_id=0"), "{said:?}");
    assert!(said.stdout.ends_with("\netc\nother\n"), "{said:?}");
    wait_for("the server to end", || bench.records().is_empty());
}

#[test]
fn what_a_user_lacks_is_named() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = bench("0666", "");
    let words = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all";
    let script = bench.prefix.iter_mut().find(|word| word.contains(words)).unwrap();
    let plain = script.clone();
    *script = plain.replace(words, &format!("{words} --no-new-privs"));
    let said = bench.try_mount(&[]);
    let (message, hint) = error_of(&said);
    assert!(message.contains("no_new_privs"), "{message}");
    assert!(hint.contains("NoNewPrivileges="), "{hint}");
    // Without an entry in /etc/passwd.
    let script = bench.prefix.iter_mut().find(|word| word.contains(words)).unwrap();
    *script = plain.replace("65534", "54321");
    // Not the program, which is a link to the one that was built.
    let own = ["store", "mnt"].map(|name| bench.path(name));
    assert!(Command::new("chown").args(["-R", "54321"]).args(own).status().unwrap().success());
    let said = bench.try_mount(&[]);
    let (message, hint) = error_of(&said);
    assert!(message.contains("/etc/passwd") && message.contains("54321"), "{message}");
    assert!(hint.contains("add the user"), "{hint}");
}

#[test]
fn what_root_lacks_is_named() {
    let Some(_alone) = can_mount() else { return };
    let without = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];
    let no_proc = "umount -l /proc; exec \"$@\"";
    for (prefix, what, remedy) in [
        (&without[..], "CAP_SYS_ADMIN", "--cap-add SYS_ADMIN"),
        (&["unshare", "--user", "--map-root-user"], "mount namespace", "--mount"),
        (
            &["unshare", "--mount", "sh", "-c", no_proc, "sh"],
            "/proc is not mounted",
            "mount -t proc",
        ),
    ] {
        let mut bench = Bench::new();
        bench.prefix = prefix.iter().map(|word| (*word).to_owned()).collect();
        let said = bench.try_mount(&[]);
        let (message, hint) = error_of(&said);
        assert!(message.contains(what), "{message}");
        assert!(hint.starts_with("hint: ") && hint.contains(remedy), "{hint}");
        assert!(!bench.is_mounted());
    }
}
