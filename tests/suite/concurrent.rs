//! "Two processes may pull, mount, remove and prune at once": many do, and everything is there and
//! whole afterwards. And many read one mount, whose server stays as small as it was.

#![allow(clippy::unwrap_used)]

use crate::support::figures;
use crate::support::images;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::images::{TestImage, TestLayer, write_layout};
use crate::support::program::{Bench, IMAGE};
use crate::support::require::can_mount;
use rustix::fs::Advice;
use shalefs::pull;
use shalefs::store::MountRecord;

/// Bytes that do not compress.
fn noise(word: &str, size: usize) -> Vec<u8> {
    let mut noise = vec![0; size];
    blake3::Hasher::new().update(word.as_bytes()).finalize_xof().fill(&mut noise);
    noise
}

/// The images' tags; each has a file of that name in its top layer.
const WORDS: [&str; 4] = ["one", "two", "three", "four"];

/// Images of which each shares layers with the others, as an OCI layout.
fn layout(bench: &Bench) -> Vec<String> {
    let layer = |word: &str| TestLayer::of(&[(word, &noise(word, 400_000)[..])]);
    let shared = [layer("base"), layer("libs")];
    let image = |word: &str| TestImage::new([&shared[..], &[layer(word)]].concat(), word);
    let images = WORDS.map(image);
    let rows: Vec<_> = images.iter().zip(WORDS).collect();
    let directory = bench.path("layout");
    write_layout(&directory, &rows);
    WORDS.iter().map(|word| format!("oci:{}:{word}", directory.display())).collect()
}

/// What a loop does until the others are done.
fn until(done: &AtomicBool, mut work: impl FnMut()) {
    while !done.load(Ordering::Relaxed) {
        work();
        figures::count("concurrent processes", 1);
    }
}

/// Mounts an image, reads the file that it alone has, and unmounts it.
fn mount_and_read(bench: &Bench, image: &str, right: &(&str, Vec<u8>), place: &Path) {
    let directory = place.to_str().unwrap();
    let said = bench.shale(&["mount", image, directory]);
    if !said.success {
        // Removed between any two looks at it: the command gives up in the end, and may.
        assert!(said.stderr.contains("removed again and again"), "{}", said.stderr);
        return;
    }
    // By a process of its own: what this one has open, every process has that it starts meanwhile.
    let read = Command::new("cat").arg(place.join(right.0)).output();
    let said = bench.shale(&["umount", directory]);
    assert!(read.unwrap().stdout == right.1, "{image}");
    assert!(said.success, "{}", said.stderr);
    figures::count("concurrent processes", 2);
}

/// Removes an image, whoever uses it: refused only where it is mounted or gone.
fn remove(bench: &Bench, name: &str) {
    let said = bench.shale(&["rm", name]);
    let excuses = ["no such image", "mounted"];
    let excused = excuses.iter().any(|excuse| said.stderr.contains(excuse));
    assert!(said.success || excused, "{}", said.stderr);
}

/// THREAT-MODEL.md's four at once. How they meet differs from run to run; what must hold does not.
#[test]
fn pulls_mounts_removals_and_prunes_at_once() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let images = layout(&bench);
    for image in &images {
        assert!(bench.shale(&["pull", "-q", image]).success);
    }
    let names: Vec<_> =
        images::names(&bench.store()).into_iter().filter(|name| name != IMAGE).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pulls = images.iter().map(|image| {
            scope.spawn(|| {
                for _ in 0..6 {
                    let said = bench.shale(&["pull", "-q", image]);
                    assert!(said.success, "{}", said.stderr);
                    figures::count("concurrent processes", 1);
                }
            })
        });
        let mounts = images.iter().zip(WORDS).map(|(image, word)| {
            let place = bench.path(&format!("mnt-{word}"));
            fs::create_dir(&place).unwrap();
            let bench = &bench;
            scope.spawn(move || {
                for _ in 0..4 {
                    mount_and_read(bench, image, &(word, noise(word, 400_000)), &place);
                }
            })
        });
        let work: Vec<_> = pulls.chain(mounts).collect();
        scope.spawn(|| until(&done, || names.iter().for_each(|name| remove(&bench, name))));
        scope.spawn(|| {
            until(&done, || {
                let said = bench.shale(&["prune", "-a", "-f"]);
                assert!(said.success, "{}", said.stderr);
            });
        });
        let ended: Vec<_> = work.into_iter().map(|thread| thread.join()).collect();
        // The loops end also when something has failed.
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    for image in &images {
        assert!(bench.shale(&["pull", "-q", image]).success);
    }
    assert!(bench.records().is_empty());
    assert!(bench.shale(&["prune", "-f"]).success);
    assert_eq!(pull::verify(&bench.store(), None, true).unwrap(), []);
}

#[test]
fn eight_pulls_of_overlapping_images_beside_a_loop_of_prunes() {
    let bench = Bench::new();
    let images = layout(&bench);
    for _ in 0..4 {
        let pulls: Vec<_> = images
            .iter()
            .chain(&images)
            .map(|image| {
                let mut command = bench.command(&["pull", "-q", image]);
                command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        figures::count("concurrent processes", pulls.len());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let said = bench.shale(&["prune", "-f"]);
                    assert!(said.success, "{}", said.stderr);
                    figures::count("concurrent processes", 1);
                }
            });
            let outputs: Vec<_> =
                pulls.into_iter().map(|pull| pull.wait_with_output().unwrap()).collect();
            done.store(true, Ordering::Relaxed);
            for output in outputs {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
        });
        let store = bench.store();
        assert_eq!(pull::verify(&store, None, true).unwrap(), []);
        let names: Vec<_> =
            images::names(&store).into_iter().filter(|name| name != IMAGE).collect();
        assert_eq!(names.len(), images.len());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // The next round has something to fetch again.
        let said = bench.shale(&[&["rm"], &names[..]].concat());
        assert!(said.success, "{}", said.stderr);
    }
}

/// What a server has, that must not grow.
#[derive(Debug, Clone, Copy)]
struct Measure {
    descriptors: usize,
    /// Memory of its own: mapped files come and go as the kernel likes.
    own_kib: usize,
}

fn measure(pid: u32) -> Measure {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    Measure {
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        own_kib: own.trim().trim_end_matches(" kB").trim().parse().unwrap(),
    }
}

/// What is used for a moment comes and goes; what leaks is there in every later measure. So the
/// least of these, some rounds on, stands beside the most of the early ones.
#[track_caller]
fn assert_flat(early: &[Measure], late: &[Measure]) {
    let most = |of: fn(&Measure) -> usize| early.iter().map(of).max().unwrap();
    let least = |of: fn(&Measure) -> usize| late.iter().map(of).min().unwrap();
    assert!(least(|m| m.descriptors) <= most(|m| m.descriptors), "{early:?} {late:?}");
    assert!(least(|m| m.own_kib) <= most(|m| m.own_kib) + (2 << 10), "{early:?} {late:?}");
}

/// Reads every file whole, and has the kernel forget it, so that the next round asks the server.
fn read_all(bench: &Bench, files: &[(String, Vec<u8>)]) {
    for (name, right) in files {
        let file = File::open(bench.dir.join(name)).unwrap();
        let mut bytes = vec![0; right.len()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes == *right, "{name}");
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    }
}

#[test]
fn a_server_that_eight_threads_read_from_stays_as_small_as_it_was() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let files: Vec<_> = (0..40_usize)
        .map(|number| (format!("f{number}"), noise(&number.to_string(), 900_000 - number)))
        .collect();
    let layers = files.chunks(10).map(|files| {
        let files: Vec<_> = files.iter().map(|(n, bytes)| (n.as_str(), &bytes[..])).collect();
        TestLayer::of(&files)
    });
    TestImage::new(layers.collect(), "large").put(&bench.store(), Some(IMAGE));
    let record: MountRecord = bench.mount();
    let round = || {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| read_all(&bench, &files));
            }
        });
    };
    let rounds = |count| -> Vec<Measure> {
        let measured = |_| {
            round();
            measure(record.pid)
        };
        (0..count).map(measured).collect()
    };
    let early = rounds(4);
    // In which a leak grows: one of 400 KiB a round is noticed.
    rounds(4);
    assert_flat(&early, &rounds(3));
    let said = bench.umount();
    assert!(said.success, "{}", said.stderr);
}

#[test]
fn planted_leaks_are_noticed() {
    figures::count("planted faults", 2);
    let now = || [measure(std::process::id())];
    let before = now();
    let open: Vec<_> = (0..10).map(|_| File::open("/dev/null").unwrap()).collect();
    let more = now();
    assert!(std::panic::catch_unwind(|| assert_flat(&before, &more)).is_err());
    drop(open);
    let before = now();
    let held = noise("held", 20 << 20);
    let more = now();
    assert!(std::panic::catch_unwind(|| assert_flat(&before, &more)).is_err());
    assert_eq!(held.len(), 20 << 20);
}
