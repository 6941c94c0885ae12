//! SIGKILL at random moments of `pull`, `mount`, `tag`, `rm` and `prune`, as the program runs them:
//! then `verify` finds no damage, the place of the mount is clean or can be cleaned, and the pull
//! works.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use crate::support::figures;
use crate::support::images;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::images::{TestImage, TestLayer, write_layout};
use crate::support::require::can_mount;
use shalefs::pull;
use shalefs::store::Store;
use shalefs::store::verify::Severity;

/// How many processes are killed.
const KILLS: u32 = 200;

fn shale(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shale"));
    command.arg("--root").arg(root).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Images that share layers, large enough that a pull takes some time.
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

/// Where `mount` mounts. Its server lives on when only the command was killed.
struct Place {
    root: PathBuf,
    path: PathBuf,
}

impl Place {
    fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Nothing is mounted there, or it can be unmounted.
    fn clean(&self, what: &str) {
        // A server that was just started may mount no more, but take its time to notice.
        while shale(&self.root, &["umount", self.text()]).status().unwrap().success() {}
        let mounted = shalefs::sys::mountinfo::at(&self.path).unwrap();
        assert_eq!(mounted, None, "{what}");
        assert_eq!(std::fs::read_dir(&self.path).unwrap().count(), 0, "{what}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = shalefs::fuse::detach(&self.path, true);
    }
}

#[test]
fn killed_at_any_moment() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = directory.path().join("s");
    let layout = layout(&directory.path().join("layout"));
    let (one, two) = (format!("{layout}:one"), format!("{layout}:two"));
    let begun = Instant::now();
    assert!(shale(&root, &["pull", "-q", &one]).status().unwrap().success());
    let whole = begun.elapsed().max(Duration::from_millis(5));
    let name = images::names(&Store::open(&root).unwrap())[0].clone();
    let place = directory.path().join("mnt");
    std::fs::create_dir(&place).unwrap();
    let place = Place { root: root.clone(), path: place };
    let alone = can_mount();
    let mount: &[&str] = match alone {
        Some(_) => &["mount", &one, place.text()],
        None => &["pull", "-q", &one],
    };
    let commands: [&[&str]; 7] = [
        mount,
        &["pull", "-q", &two],
        &["tag", &name, "other:1"],
        &["rm", &name],
        &["prune", "-a", "-f"],
        &["pull", "-q", &one],
        &["rm", "-f", "other:1"],
    ];
    let mut random = 0x9e37_79b9_u32;
    for number in 0..KILLS {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = whole.mul_f64(f64::from(random >> 8) / f64::from(1 << 24));
        let command = commands[number as usize % commands.len()];
        let mut child = shale(&root, command).spawn().unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        figures::count("processes killed", 1);
        child.wait().unwrap();
        let what = format!("kill {number}, {command:?} after {moment:?}");
        place.clean(&what);
        let store = Store::open(&root).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = pull::verify(&store, None, number % 10 == 0).expect("verify");
        let damage = found.iter().filter(|finding| finding.severity != Severity::Leftover);
        assert_eq!(damage.count(), 0, "{what}: {found:#?}");
    }
    for image in [&one, &two] {
        assert!(shale(&root, &["pull", "-q", image]).status().unwrap().success());
    }
    let store = Store::open(&root).unwrap();
    assert_eq!(store.images().unwrap().whole.len(), 2);
    let found = pull::verify(&store, None, true).unwrap();
    assert!(found.iter().all(|finding| finding.severity == Severity::Leftover), "{found:#?}");
    assert!(shale(&root, &["prune", "-f"]).status().unwrap().success());
    assert_eq!(pull::verify(&store, None, true).unwrap(), [], "prune takes what is left over");
    eprintln!("{KILLS} processes killed");
}
