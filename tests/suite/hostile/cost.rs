//! What a piece of work costs: time by the clock, memory as the kernel counts it.
//!
//! The kernel keeps the peak of a process's resident memory and sets it back when asked (5 to
//! clear_refs), so the measure counts all threads and every library, allocator or none, and cannot
//! be cheated by what was freed again. Tests that measure run one at a time.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_secs(1);
/// The whole process, test harness included.
const MEMORY_KIB: u64 = 256 << 10;

static ALONE: Mutex<()> = Mutex::new(());

/// Leave to measure, to be held for the whole test.
pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Time taken, and the peak of memory in KiB.
pub fn of(work: impl FnOnce()) -> (Duration, u64) {
    fs::write("/proc/self/clear_refs", "5").expect("a kernel with clear_refs");
    let start = Instant::now();
    work();
    let took = start.elapsed();
    let status = fs::read_to_string("/proc/self/status").expect("a /proc");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    (took, peak.trim().trim_end_matches(" kB").parse().expect("a number"))
}

/// Whether the work kept within its second and 256 MiB; on a busy machine the best of three counts
/// for time. Memory may never be more.
pub fn bounded(work: impl Fn()) -> Result<(), String> {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let (took, peak) = of(&work);
        if peak > MEMORY_KIB {
            return Err(format!("{peak} KiB"));
        }
        best = best.min(took);
        if best <= TIME {
            return Ok(());
        }
    }
    Err(format!("{best:?}"))
}
