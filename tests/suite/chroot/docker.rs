//! Docker's options of a command in an image, and its rules for entrypoints.

#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::json;

use crate::support::images::TestImage;
use crate::support::program::{Bench, Said};
use crate::support::require::{can_mount, has};
use crate::support::shells::busybox;

const IMAGE: &str = "docker.io/library/docker:1";

/// A store with an image that says all it can of its command.
fn bench() -> Option<Bench> {
    if !has("busybox") {
        return None;
    }
    let bench = Bench::new();
    let wishes = json!({
        "Entrypoint": ["/bin/busybox", "echo", "entry"], "Cmd": ["cmd"],
        "Env": ["A=image", "B=image"], "User": "app",
    });
    TestImage::with_wishes(vec![busybox()], &wishes).put(&bench.store(), Some(IMAGE));
    Some(bench)
}

fn run(bench: &Bench, options: &[&str], command: &[&str]) -> Said {
    bench.shale(&[&["chroot"], options, &[IMAGE], command].concat())
}

#[track_caller]
fn says(bench: &Bench, options: &[&str], command: &[&str], wanted: &str) {
    let said = run(bench, options, command);
    assert_eq!((said.success, said.stdout.as_str()), (true, wanted), "{}", said.stderr);
}

#[test]
fn entrypoints_are_dockers() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    says(&bench, &[], &[], "entry cmd\n");
    says(&bench, &["--entrypoint", "/bin/busybox"], &["echo", "x"], "x\n");
    says(&bench, &["--entrypoint", ""], &["pwd"], "/\n");
    let cleared = json!({ "Entrypoint": [""], "Cmd": ["pwd"] });
    TestImage::with_wishes(vec![busybox()], &cleared).put(&bench.store(), Some(IMAGE));
    says(&bench, &[], &[], "/\n");
}

#[test]
fn options_that_fingers_give_are_taken() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    says(&bench, &["--rm", "-it"], &["pwd"], "/\n");
    says(&bench, &["--interactive", "--tty"], &["pwd"], "/\n");
    says(&bench, &["-w", "/new/deep"], &["pwd"], "/new/deep\n");
    let script = ["sh", "-c", "hostname; echo $HOSTNAME; grep -c named.box /etc/hosts"];
    says(&bench, &["--hostname", "named.box"], &script, "named.box\nnamed.box\n1\n");
    let refused = run(&bench, &["--hostname", "a/b"], &["true"]);
    assert!(!refused.success && refused.stderr.contains("letters, digits"), "{refused:?}");
}

#[test]
fn variables_come_from_files_and_options_win() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let file = bench.path("env");
    fs::write(&file, "# of a test\nA=file one\nB=file\nHOME\nNOT_SET_ANYWHERE\n").unwrap();
    let file = file.to_str().unwrap();
    let script = ["sh", "-c", "echo $A,$B,$HOME,${NOT_SET_ANYWHERE-none}"];
    let home = bench.path("");
    let wanted = format!("file one,option,{},none\n", home.display());
    says(&bench, &["--env-file", file, "-e", "B=option"], &script, &wanted);
    fs::write(file, "A=1\nnot a name=2\n").unwrap();
    let said = run(&bench, &["--env-file", file], &["true"]);
    assert!(!said.success && said.stderr.contains("line 2"), "{said:?}");
    let said = run(&bench, &["--env-file", "/no/such"], &["true"]);
    assert!(!said.success && said.stderr.contains("/no/such"), "{said:?}");
}

#[test]
fn groups_are_added() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    says(&bench, &["--group-add", "extra", "--group-add", "77"], &["id", "-G"], "1001 44 55 77\n");
    let said = run(&bench, &["--group-add", "nosuch"], &["true"]);
    assert!(!said.success && said.stderr.contains("nosuch"), "{said:?}");
}

#[test]
fn tmpfs_is_mounted_as_it_is_asked_for() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let script = "stat -c '%a %u' /new/cache /srv; mount | grep -c '/srv type tmpfs.*size=1024k'
        touch /new/cache/x && echo written; (cp /bin/busybox /new/cache/sh && /new/cache/sh true) \
        2>/dev/null || echo no program; cp /bin/busybox /srv/sh 2>/dev/null || echo full";
    let options = ["--tmpfs", "/new/cache", "--tmpfs", "/srv:size=1m,mode=755,exec,uid=1000"];
    let wanted = "1777 0\n755 1000\n1\nwritten\nno program\nfull\n";
    says(&bench, &options, &["sh", "-c", script], wanted);
    for (option, words) in [
        ("relative", "absolute"),
        ("/", "the image itself"),
        ("/x:lowerdir=/", "lowerdir"),
        ("/x:size=1m\n", "size"),
    ] {
        let said = run(&bench, &["--tmpfs", option], &["true"]);
        assert!(!said.success && said.stderr.contains(words), "{option}: {said:?}");
    }
}

/// What of a tree goes by the number of the device: of its root, a directory, and files old and new.
const COUNTS: &str = "cd $root/; test $(du -xs bin | cut -f 1) -gt 500 && echo counted
    df bin/busybox | tail -n 1 | grep -q \" $root/*$\" && echo found
    touch tmp/x; stat -c %d . bin/busybox tmp tmp/x | sort -u | wc -l";

#[test]
fn every_file_counts_for_the_root() {
    let Some(_alone) = can_mount() else { return };
    let Some(mut bench) = bench() else { return };
    let script = COUNTS;
    says(&bench, &["-u", "root"], &["sh", "-c", script], "counted\nfound\n1\n");
    bench.prefix = ["unshare", "-Ur"].map(str::to_owned).to_vec();
    says(&bench, &["-u", "root"], &["sh", "-c", script], "counted\nfound\n1\n");
}

#[test]
fn every_file_counts_in_the_overlay_that_the_readme_shows() {
    let Some(_alone) = can_mount() else { return };
    let Some(bench) = bench() else { return };
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let lines = readme.lines().filter_map(|line| line.strip_prefix("sudo mount -t "));
    let mounts: Vec<_> =
        lines.map(|line| format!("mount -t {}", line.replace("sudo ", ""))).collect();
    assert_eq!(mounts.len(), 2, "README shows a tmpfs and an overlay: {mounts:?}");
    let (dir, place) = (bench.dir.display(), bench.path("").display().to_string());
    let shale = bench.command(&["mount", IMAGE]);
    let words: Vec<_> = shale.get_args().map(|word| word.to_str().unwrap()).collect();
    // In a namespace of its own, with which the mounts go but for the image's, which is unmounted.
    let script = format!(
        "cd {place}; mkdir t merged; ln -s {dir} d; {shale} {words} {dir}; {mounts}
        root={place}merged; {COUNTS}; cd /; umount {place}merged {place}t {dir}",
        shale = bench.path("shale").display(),
        words = words.join(" "),
        mounts = mounts.join("; "),
    );
    let output = std::process::Command::new("unshare").args(["-m", "sh", "-ec", &script]).output();
    let output = output.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "counted\nfound\n1\n", "{output:?}");
}
