//! SIGKILL in the middle of `pull`, `mount`, `rm`, `tag`, `prune`, `save` and `load`, as the program
//! runs them: then `verify` finds no damage, the place of the mount is clean or can be cleaned, an
//! archive is whole or not there, and the pull works.
//!
//! A moment is a number of system calls on names and descriptors, at which strace(1) has the kernel
//! kill the process. So the moments spread over each command however fast the machine is, and none
//! needs a clock. Only what was killed counts: a process whose status says signal 9.

#![allow(clippy::unwrap_used)]

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::support::figures;
use crate::support::images::{self, TestImage, TestLayer, write_layout};
use crate::support::require::{can_mount, has};
use shalefs::pull;
use shalefs::store::Store;
use shalefs::store::verify::Severity;

/// How many of each command are killed: at least 200 together.
const KILLS: u32 = 29;

/// Images that share layers, large enough that a pull takes some calls.
fn layout(directory: &Path) -> String {
    let layer = |word: &str| {
        let mut noise = vec![0; 600_000];
        blake3::Hasher::new().update(word.as_bytes()).finalize_xof().fill(&mut noise);
        TestLayer::of(&[(word, noise.as_slice()), ("etc/small", word.as_bytes())])
    };
    let base = layer("base");
    let one = TestImage::new(vec![base.clone(), layer("one")], "one");
    let two = TestImage::new(vec![base, layer("two")], "two");
    write_layout(directory, &[(&one, "one"), (&two, "two")]);
    format!("oci:{}", directory.display())
}

/// A store, and a place where `mount` mounts. Its server lives on when only the command was killed.
struct Stage {
    root: PathBuf,
    place: PathBuf,
}

impl Stage {
    fn command(&self, before: &[&str], words: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_shale");
        let all = [before, &[program, "--root", self.root.to_str().unwrap()], words].concat();
        let mut command = Command::new(all[0]);
        command.args(&all[1..]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn shale(&self, words: &[&str]) -> ExitStatus {
        self.command(&[], words).status().unwrap()
    }

    /// Runs a command that is killed at its call number `moment`, if it comes so far.
    fn killed(&self, words: &[&str], moment: u32) -> bool {
        const CALLS: &str = "%file,%desc";
        let (trace, kill) =
            (format!("trace={CALLS}"), format!("inject={CALLS}:signal=KILL:when={moment}"));
        // What `mount` leaves running is none of strace's business.
        let follow: &[&str] = if words[0] == "mount" { &[] } else { &["-f"] };
        let strace = ["strace", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &kill];
        let status = self.command(&[&strace, follow].concat(), words).status().unwrap();
        assert!(status.signal().is_none_or(|signal| signal == 9), "{words:?}: {status}");
        status.signal() == Some(9)
    }

    /// No damage, whatever else is left over.
    fn check(&self, deep: bool, what: &str) {
        let store = Store::open(&self.root).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = pull::verify(&store, None, deep).expect("verify");
        let damage = found.iter().filter(|finding| finding.severity != Severity::Leftover);
        assert_eq!(damage.count(), 0, "{what}: {found:#?}");
    }

    /// Nothing is mounted there, or it can be unmounted.
    fn clean_place(&self, what: &str) {
        // A server that was just started may mount no more, but take its time to notice.
        while self.shale(&["umount", self.place.to_str().unwrap()]).success() {}
        let mounted = shalefs::sys::mountinfo::at(&self.place).unwrap();
        assert_eq!(mounted, None, "{what}");
        assert_eq!(std::fs::read_dir(&self.place).unwrap().count(), 0, "{what}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = shalefs::fuse::detach(&self.place, true);
    }
}

/// Numbers that look random, the same in each run.
struct Random(u32);

impl Random {
    fn up_to(&mut self, most: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (self.0 >> 8) % most
    }
}

/// Kills a command [`KILLS`] times, each time `prepared` anew, and looks at what is left with `check`.
fn kill_often(stage: &Stage, prepare: &[&[&str]], words: &[&str], check: &dyn Fn(&str)) {
    // How many calls the command may make; known better after each run.
    let (mut reach, mut hits, mut random) = (300, 0, Random(0x9e37_79b9));
    while hits < KILLS {
        for command in prepare {
            // What is gone already need not go.
            stage.shale(command);
        }
        let moment = random.up_to(reach);
        let what = format!("{words:?}, killed at call {moment}");
        if stage.killed(words, moment) {
            hits += 1;
            reach += reach / 8;
            figures::count("processes killed", 1);
        } else {
            reach = moment.max(2);
        }
        check(&what);
        stage.check(hits % 10 == 0, &what);
    }
}

#[test]
fn killed_at_any_moment() {
    let Some(_alone) = can_mount() else { return };
    if !has("strace") {
        return;
    }
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let layout = layout(&directory.path().join("layout"));
    let (one, two) = (format!("{layout}:one"), format!("{layout}:two"));
    let stage = Stage { root: directory.path().join("s"), place: directory.path().join("mnt") };
    std::fs::create_dir(&stage.place).unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (saved, archive) = (path("saved.tar"), path("archive.tar"));
    assert!(stage.shale(&["pull", "-q", &one]).success());
    let name = images::names(&Store::open(&stage.root).unwrap())[0].clone();
    assert!(stage.shale(&["save", "-o", &archive, &name]).success());
    let right = std::fs::read(&archive).unwrap();
    let place = stage.place.to_str().unwrap();
    let pull: &[&str] = &["pull", "-q", &one];
    let rm: &[&str] = &["rm", "-f", &name];
    let (prune, nothing) = (&["prune", "-a", "-f"][..], |_: &str| {});
    kill_often(&stage, &[rm, prune], pull, &nothing);
    kill_often(&stage, &[], &["mount", &one, place], &|what| stage.clean_place(what));
    kill_often(&stage, &[pull], &["tag", &name, "other:1"], &nothing);
    kill_often(&stage, &[pull, &["pull", "-q", &two]], prune, &nothing);
    kill_often(&stage, &[pull], rm, &nothing);
    kill_often(&stage, &[pull], &["save", "-o", &saved, &name], &|what| {
        let file = std::fs::read(&saved);
        assert!(file.is_err() || file.is_ok_and(|bytes| bytes == right), "{what}");
        let _ = std::fs::remove_file(&saved);
    });
    kill_often(&stage, &[rm], &["load", "-i", &archive], &nothing);
    for image in [&one, &two] {
        assert!(stage.shale(&["pull", "-q", image]).success());
    }
    stage.check(true, "at the end");
    assert!(stage.shale(&["prune", "-f"]).success());
    let store = Store::open(&stage.root).unwrap();
    assert_eq!(pull::verify(&store, None, true).unwrap(), [], "prune takes what is left over");
}
