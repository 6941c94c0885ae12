//! `stats`: the figures of a live mount in every form, and its errors.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read as _;

use crate::support::images::{TestImage, TestLayer};
use crate::support::program::{Bench, IMAGE, Said, kill, wait_for};
use crate::support::require::can_mount;
use rustix::fs::Advice;
use rustix::process::Signal;
use shalefs::mount::{self, State};

fn stats(bench: &Bench, arguments: &[&str]) -> Said {
    bench.shale(&[&["stats"], arguments].concat())
}

fn json(bench: &Bench) -> serde_json::Value {
    serde_json::from_str(&stats(bench, &["--format", "json"]).stdout).unwrap()
}

#[test]
fn what_was_asked_and_served_is_counted_and_looking_on_is_not() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    assert_eq!(fs::read(bench.dir.join("etc/word")).unwrap(), b"sample\n");
    let first = json(&bench);
    assert_eq!(first["Dir"], bench.dir.to_str().unwrap());
    assert_eq!((&first["PID"], &first["Image"]), (&record.pid.into(), &"sample:1".into()));
    assert_eq!(first["Requests"]["read"], 1);
    assert_eq!(first["Content"]["bytes_served"], 7);
    assert!(first["Content"]["bytes_decoded"].as_u64().unwrap() >= 7);
    assert!(first["Memory"].as_u64().unwrap() > 100_000);
    // Read again, from the kernel's memory; and look on again.
    assert_eq!(fs::read(bench.dir.join("etc/word")).unwrap(), b"sample\n");
    let second = json(&bench);
    assert_eq!(second["Requests"], first["Requests"], "no message the second time");
    assert_eq!(second["Content"], first["Content"]);
}

#[test]
fn every_form_and_the_mounts_that_are_meant() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    bench.mount();
    let dir = bench.dir.to_str().unwrap();
    let people = stats(&bench, &[dir]);
    assert!(people.success && people.stdout.starts_with(dir), "{people:?}");
    for title in ["image", "requests", "served", "decoded", "span cache", "memory"] {
        assert!(people.stdout.contains(&format!("\n  {title:<12}")), "{}", people.stdout);
    }
    let template = stats(&bench, &["--format", "{{.Dir}} {{.Requests.write}}", dir]);
    assert_eq!(template.stdout, format!("{dir} 0\n"));
    let metrics = stats(&bench, &["--format", "prometheus"]).stdout;
    let line =
        "shale_requests_total{mount=\"DIR\",image=\"docker.io/library/sample:1\",kind=\"write\"} 0";
    assert!(metrics.lines().any(|found| found == line.replace("DIR", dir)), "{metrics}");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<u64>().is_ok(), "{line}");
        let metric = name.split('{').next().unwrap();
        assert!(metrics.contains(&format!("# TYPE {metric} ")), "{line}");
    }
}

#[test]
fn files_in_an_order_of_their_own_are_kept_on_disk_and_not_decoded_again_and_again() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    // More than the cache of spans takes.
    let files: Vec<_> = (0..2500_u32)
        .map(|number| {
            // Spread over the layer, as seen from the order of the names.
            let name = format!("f{:04}", number * 703 % 2500);
            let mut bytes = vec![0; 12_000];
            blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut bytes);
            (name, bytes)
        })
        .collect();
    let layer: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    TestImage::new(vec![TestLayer::of(&layer)], "spread").put(&bench.store(), Some(IMAGE));
    // What a server may not make any more is made before.
    let _ = fs::remove_dir_all(bench.store().root().join("content"));
    bench.mount();
    let mut files: Vec<_> = files.iter().collect();
    files.sort();
    for _ in 0..4 {
        for (name, right) in &files {
            let file = fs::File::open(bench.dir.join(name)).unwrap();
            let mut bytes = Vec::new();
            (&file).read_to_end(&mut bytes).unwrap();
            assert!(bytes == *right, "{name}");
            rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        }
        let content = json(&bench)["Content"].clone();
        let of = |name: &str| content[name].as_u64().unwrap();
        if of("bytes_swapped") > 0 && of("swap_reads") > 100 {
            return;
        }
    }
    panic!("{}", json(&bench));
}

#[test]
fn what_is_not_a_live_mount_is_said_and_the_others_are_shown() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    assert!(stats(&bench, &[]).success, "nothing is mounted, so there is nothing to show");
    let record = bench.mount();
    let both = stats(&bench, &["/", bench.dir.to_str().unwrap()]);
    assert!(!both.success && both.stderr.contains("/: not a live mount"), "{both:?}");
    assert!(both.stdout.contains("requests"), "{both:?}");
    kill(&record, Signal::KILL);
    // Its lock goes with the last of its threads.
    let state = || mount::list(&bench.store()).unwrap()[0].state;
    wait_for("the server to die", || state() == State::Dead);
    let dead = stats(&bench, &[bench.dir.to_str().unwrap()]);
    assert!(!dead.success && dead.stderr.contains("not a live mount"), "{dead:?}");
    assert!(dead.stdout.is_empty());
}
