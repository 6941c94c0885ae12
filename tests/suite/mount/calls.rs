//! Every number of the kernel's table of system calls, made in each process of a mount, as somebody
//! would who took it over: what THREAT-MODEL.md lists is allowed, as it says, and nothing else.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use crate::support::inject::{Outcome, Stopped};
use crate::support::program::{self, Bench, is_gone, wait_for};
use crate::support::require::can_mount;
use shalefs::sys::process;

/// Numbers that are tried: all that there are, and those of the next ten years.
const NUMBERS: u64 = 600;

/// `uretprobe` and `uprobe`: the kernel writes them into programs that it looks into, never runs a filter
/// for them, and ends whoever else makes them or tells them that they are nothing to it.
const PROBES: [u64; 2] = [335, 336];

/// Where the calls of the x32 machine begin.
const X32: u64 = 0x4000_0000;

/// No address, no descriptor, no process.
const BAD: u64 = u64::MAX;
const NOWHERE: [u64; 6] = [BAD; 6];

const EPERM: i64 = -1;
const ENOSYS: i64 = -38;

/// The names of the kernel's table by their numbers.
fn table() -> BTreeMap<u64, String> {
    let header = fs::read_to_string("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
        .or_else(|_| fs::read_to_string("/usr/include/asm/unistd_64.h"))
        .expect("the C library's headers are there: something was linked");
    let names = header.lines().filter_map(|line| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        Some((number.trim().parse().ok()?, name.to_owned()))
    });
    let names: BTreeMap<u64, String> = names.collect();
    assert!(names.len() > 300, "{names:?}");
    names
}

/// What the document allows to these kinds of processes: names, and whether with any arguments.
fn listed(kinds: &[&str]) -> BTreeMap<String, bool> {
    let text = include_str!("../../../THREAT-MODEL.md");
    let (_, rest) = text.split_once("```calls\n").expect("the lists");
    let (block, _) = rest.split_once("```").unwrap();
    let (mut allowed, mut found, mut wanted) = (BTreeMap::new(), BTreeSet::new(), false);
    for line in block.lines() {
        let Some(calls) = line.strip_prefix("  ") else {
            wanted = kinds.contains(&line);
            found.insert(line);
            continue;
        };
        let conditional = calls.split_once(": ");
        let names = conditional.map_or(calls, |(name, _)| name);
        for name in names.split_whitespace().filter(|_| wanted) {
            let before = allowed.insert(name.to_owned(), conditional.is_none());
            assert_eq!(before, None, "{name} is listed twice for {kinds:?}");
        }
    }
    assert!(kinds.iter().all(|kind| found.contains(kind)), "{found:?}");
    allowed
}

/// Arguments of a call that is allowed with some only, and whether these are among them. Those that
/// are lead to nothing: an address or descriptor that is none.
fn samples(name: &str, own: u64, kinds: &[&str]) -> Vec<([u64; 6], bool)> {
    let at = |index: usize, value: u64| {
        let mut arguments = NOWHERE;
        arguments[index] = value;
        arguments
    };
    let each = |index: usize, good: &[u64], bad: &[u64]| {
        let good = good.iter().map(|value| (at(index, *value), true));
        good.chain(bad.iter().map(|value| (at(index, *value), false))).collect::<Vec<_>>()
    };
    let supervisor = kinds.contains(&"supervisor");
    match name {
        // To requeue, to lock with inheritance, to wait for several.
        "futex" => each(1, &[129, 1, 138], &[3, 4, 5, 6, 7, 8, 11, 12, 13, 134]),
        "mmap" => vec![
            ([0, 0, 3, 0x22, BAD, 0], true),
            ([0, 4096, 4, 0x22, BAD, 0], false),
            ([0, 4096, 7, 0x22, BAD, 0], false),
        ],
        "mprotect" => each(2, &[0, 1, 3], &[4, 5, 7]),
        "madvise" => each(2, &[0, 3, 4], &[9, 12, 15, 100, 101, 21]),
        "fcntl" => each(1, &[1, 3, 1030], &[0, 2, 4, 6, 8, 10, 15, 1024, 1026, 1031, 1033]),
        "tgkill" => vec![
            ([own, 0x7fff_ffff, 0, 0, 0, 0], true),
            ([1, 1, 0, 0, 0, 0], false),
            ([0, 1, 0, 0, 0, 0], false),
            ([BAD, own, 0, 0, 0, 0], false),
        ],
        // That threads and, in the supervisor, processes are started is seen elsewhere.
        "clone" => {
            let bad = [0x11, 0x4111, 0x1000_0011, 0x2000_0011, 0x103d_0f00, 0x003d_0f11, 0];
            let fork = (!supervisor).then_some(0x0120_0011);
            each(0, &[], &[&bad[..], fork.as_slice()].concat())
        }
        "prctl" => {
            let bad = [1, 4, 8, 28, 35, 36, 53, 59, 0x5961_6d61];
            let more = if supervisor { &[][..] } else { &[21, 22, 23, 24, 38, 47] };
            each(0, &[15], &[&bad[..], more].concat())
        }
        "open" | "openat" => open_samples(usize::from(name == "openat"), kinds.contains(&"server")),
        // To type into a terminal, to set a file's flags, to pass a file through.
        "ioctl" => {
            each(1, &[0x8004_e500], &[0x5412, 0x541c, 0x541b, 0x5421, 0x4008_6602, 0x4010_e501])
        }
        "mkdir" => each(1, &[0o700], &[0o777, 0o4700, 0o755]),
        "mkdirat" => each(2, &[0o700], &[0o777, 0o4700, 0o755]),
        "umount2" => each(1, &[2, 8, 10], &[0, 1, 3, 4, 9, 12]),
        "setns" => each(1, &[0x2_0000], &[0, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x1002_0000]),
        // The supervisor really gets a namespace of its own by the right one: seen elsewhere.
        "unshare" => each(0, &[], &[0, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x2002_0000]),
        "prlimit64" => vec![
            ([0, 99, 0, 0, 0, 0], true),
            ([1, 7, 0, BAD, 0, 0], false),
            ([own + 1, 7, BAD, 0, 0, 0], false),
        ],
        _ => panic!("{name}: the document says when, and the test does not know what"),
    }
}

/// Of `open`, and with `first` = 1 of `openat`: flags and mode, as the kernel has them.
fn open_samples(first: usize, server: bool) -> Vec<([u64; 6], bool)> {
    const CLOEXEC: u64 = 0o2_000_000;
    const NEW: u64 = 2 | 0o100 | 0o200 | CLOEXEC;
    let of = |flags: u64, mode: u64, good: bool| {
        let mut arguments = NOWHERE;
        (arguments[first + 1], arguments[first + 2]) = (flags, mode);
        (arguments, good)
    };
    vec![
        of(0, 0, true),
        of(CLOEXEC | 0o200_000 | 0o400_000, 0, true),
        of(CLOEXEC | 0o10_000_000, 0, true),
        of(NEW, 0o600, server),
        of(2 | CLOEXEC, 0, server),
        of(NEW, 0o4755, false),
        of(NEW, 0o666, false),
        of(NEW & !0o200, 0o600, false),
        of(1, 0, false),
        of(2, 0, false),
        of(1 | CLOEXEC, 0, false),
        of(CLOEXEC | 0o1000, 0, false),
        of(CLOEXEC | 0o100, 0o600, false),
        of(1 | 0o2000 | CLOEXEC, 0, false),
        of(2 | 0o20_200_000, 0o600, false),
    ]
}

/// Arguments with which a call that is allowed anyhow does nothing.
fn harmless(name: &str) -> [u64; 6] {
    match name {
        "kill" | "tgkill" => [0x7fff_ffff, 0, 0, 0, 0, 0],
        "poll" => [BAD, 1, 0, 0, 0, 0],
        _ => NOWHERE,
    }
}

/// Tries all of it in one thread and says how many calls were refused with a signal.
#[track_caller]
fn try_all(process: u32, thread: u32, kinds: &[&str]) -> u64 {
    let (table, allowed) = (table(), listed(kinds));
    let mut stopped = Stopped::new(process, thread);
    let stack = stopped.address();
    let (mut count, mut wrong) = (0, Vec::new());
    let mut expect = |name: &str, number: u64, arguments: [u64; 6], allowed: bool| {
        let outcome = stopped.call(number, arguments);
        count += u64::from(matches!(outcome, Outcome::Refused(_)));
        let right = match (name, allowed) {
            (_, true) => matches!(outcome, Outcome::Made(_)),
            ("clone3", false) => outcome == Outcome::Made(ENOSYS),
            ("clone" | "fork" | "vfork", false) => outcome == Outcome::Made(EPERM),
            (_, false) => outcome == Outcome::Refused(EPERM),
        };
        if !right {
            wrong.push(format!("{name} ({number}) {arguments:x?}: {outcome:?}"));
            // What is made must not be made again with other arguments.
            assert!(wrong.len() < 20, "{kinds:?}: {wrong:#?}");
        }
    };
    let plausible = [[0; 6], NOWHERE, [3, stack, 8, stack, 0, 0]];
    for number in (0..NUMBERS).filter(|number| !PROBES.contains(number)) {
        let name = table.get(&number).map_or("", String::as_str);
        match allowed.get(name) {
            // They end the thread: later.
            Some(_) if name == "exit" || name == "exit_group" => {}
            Some(true) => expect(name, number, harmless(name), true),
            Some(false) => {
                for (arguments, good) in samples(name, process.into(), kinds) {
                    expect(name, number, arguments, good);
                }
            }
            None => plausible.iter().for_each(|set| expect(name, number, *set, false)),
        }
        expect("", X32 + number, [0; 6], false);
    }
    for number in [1000, 0x7fff_ffff, 0xffff_fffe] {
        expect("", number, NOWHERE, false);
    }
    assert!(wrong.is_empty(), "{kinds:?}: {wrong:#?}");
    count
}

/// The threads of a process whose name begins so.
fn threads(process: u32, name: &str) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of = |path: std::path::PathBuf| {
        let own = fs::read_to_string(path.join("comm")).ok()?;
        let number = path.file_name()?.to_str()?.parse().ok()?;
        own.starts_with(name).then_some(number)
    };
    tasks.filter_map(|task| of(task.unwrap().path())).collect()
}

/// The child of a server.
fn keeper(server: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
    children.trim().parse().expect("one child")
}

const SERVER: [&str; 3] = ["every process", "every process but the supervisor", "server"];
const KEEPER: [&str; 3] =
    ["every process", "every process but the supervisor", "keeper and watcher"];
const WATCHER: [&str; 4] =
    ["every process", "every process but the supervisor", "keeper and watcher", "watcher"];
const SUPERVISOR: [&str; 2] = ["every process", "supervisor"];

#[test]
fn a_server_of_root_makes_the_calls_that_are_listed_and_no_other() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    let serving = threads(record.pid, "fuser-");
    assert!(serving.len() >= 2, "{serving:?}");
    let refused = try_all(record.pid, serving[0], &SERVER);
    assert!(refused > 2000, "{refused}");
    // Counted, and told; and it goes on serving.
    let figures = shalefs::mount::figures(&bench.dir).unwrap();
    assert_eq!(figures.get("calls_refused"), refused);
    let said = bench.shale(&["stats", "--format", "json"]);
    assert!(said.stdout.contains(&format!("\"calls_refused\":{refused}")), "{}", said.stdout);
    assert_eq!(fs::read(bench.dir.join("etc/word")).unwrap(), b"sample\n");
    // A thread may end, and the process.
    let signals = threads(record.pid, "signals")[0];
    assert_eq!(Stopped::new(record.pid, signals).call(60, [0; 6]), Outcome::Ended);
    assert_eq!(Stopped::new(record.pid, serving[1]).call(231, [0; 6]), Outcome::Ended);
    wait_for("the server to end", || is_gone(&record));
}

#[test]
fn what_was_refused_is_in_the_log_at_the_end() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    let thread = threads(record.pid, "fuser-")[0];
    let refused = Stopped::new(record.pid, thread).call(90, [BAD, 0o4755, 0, 0, 0, 0]);
    assert_eq!(refused, Outcome::Refused(EPERM), "chmod");
    let log = fs::File::open(bench.path(&format!("store/mounts/{}.log", record.id))).unwrap();
    assert!(bench.umount().success);
    wait_for("the server to end", || is_gone(&record));
    let text = std::io::read_to_string(log).unwrap();
    assert!(text.contains("1 system calls were refused, the first of them number 90"), "{text}");
}

#[test]
fn a_server_of_a_user_makes_the_calls_that_are_listed_and_no_other() {
    let Some(_alone) = can_mount() else { return };
    let mut bench = Bench::new();
    let top = bench.path("");
    assert!(Command::new("chown").args(["-R", "65534"]).arg(&top).status().unwrap().success());
    let script = format!(
        "set -e; mkdir -p {dev}; mount -t tmpfs -o mode=755 none {dev}
         mknod -m 666 {dev}/fuse c 10 229; mount --bind {dev}/fuse /dev/fuse
         exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \"$@\"",
        dev = top.join("dev").display(),
    );
    bench.prefix = ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    let record = bench.mount();
    let refused = try_all(record.pid, threads(record.pid, "fuser-")[0], &SERVER);
    assert!(refused > 2000, "{refused}");
    // Its keeper is the one that starts fusermount3.
    let status = fs::read_to_string(format!("/proc/{}/status", keeper(record.pid))).unwrap();
    assert!(status.contains("\nSeccomp:\t0\n"), "THREAT-MODEL.md says so: {status}");
    program::kill(&record, rustix::process::Signal::TERM);
    wait_for("the server to end", || is_gone(&record));
}

#[test]
fn a_keeper_makes_the_calls_that_are_listed_and_no_other() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    let keeper = keeper(record.pid);
    assert!(try_all(keeper, keeper, &KEEPER) > 2000);
    // It can still do what it is for.
    program::kill(&record, rustix::process::Signal::TERM);
    wait_for("the mount to end", || is_gone(&record) && !bench.is_mounted());
}

#[test]
fn a_watcher_makes_the_calls_that_are_listed_and_no_other() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let said = bench.try_mount(&["-o", "auto_unmount"]);
    assert!(said.success, "{}", said.stderr);
    let record = bench.record();
    let program = bench.path("shale");
    let others = [record.pid, keeper(record.pid)];
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let number = path.file_name()?.to_str()?.parse::<u32>().ok()?;
        (fs::read_link(path.join("exe")).ok()? == program).then_some(number)
    });
    let watchers: Vec<u32> = all.filter(|number| !others.contains(number)).collect();
    let [watcher] = watchers[..] else { panic!("{watchers:?}") };
    assert!(try_all(watcher, watcher, &WATCHER) > 2000);
    program::kill(&record, rustix::process::Signal::KILL);
    wait_for("the watcher to unmount", || !bench.is_mounted() && bench.records().is_empty());
    wait_for("the watcher to end", || process::start_time(watcher).is_none());
}

#[test]
fn a_supervisor_makes_the_calls_that_are_listed_and_no_other() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let said = bench.try_mount(&["--supervise"]);
    assert!(said.success, "{}", said.stderr);
    let record = bench.record();
    let supervisor = record.supervisor.unwrap().pid;
    assert!(try_all(supervisor, supervisor, &SUPERVISOR) > 1500);
    // It can still do what it is for, and so can the server that it starts.
    program::kill(&record, rustix::process::Signal::KILL);
    wait_for("another server", || bench.records().first().is_some_and(|r| r.pid != record.pid));
    let next = bench.record();
    wait_for("it to answer", || fs::read(bench.dir.join("etc/word")).is_ok());
    assert!(try_all(next.pid, threads(next.pid, "fuser-")[0], &SERVER) > 2000);
    assert!(bench.umount().success);
    wait_for("the supervisor to end", || process::start_time(supervisor).is_none());
}

#[test]
fn a_server_has_nothing_open_to_write_to_but_its_device_and_its_log() {
    let Some(_alone) = can_mount() else { return };
    let bench = Bench::new();
    let record = bench.mount();
    let mut names = Vec::new();
    for entry in fs::read_dir(format!("/proc/{}/fd", record.pid)).unwrap() {
        let path = entry.unwrap().path();
        let name = fs::read_link(&path).unwrap().display().to_string();
        let number = path.file_name().unwrap().to_str().unwrap();
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{number}", record.pid)).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:\t")).unwrap();
        let flags = u32::from_str_radix(flags, 8).unwrap();
        names.push(name.clone());
        if flags & 3 == 0 || name.starts_with("pipe:") {
            continue;
        }
        let log = format!("/{}.log", record.id);
        let fine = name == "/dev/fuse" || name == "/dev/null" || name.ends_with(&log);
        assert!(fine, "{name} with flags {flags:o}");
        assert!(!name.ends_with(&log) || flags & 0o2000 != 0, "the log only to append");
    }
    let own = format!("/{}.json", record.id);
    assert!(names.iter().any(|name| name.ends_with(&own)), "its lock: {names:?}");
}
