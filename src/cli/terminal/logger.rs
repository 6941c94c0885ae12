//! Log lines on standard error: `shale: LEVEL: MESSAGE`, each on one line and made harmless.
//!
//! The library logs through `log`; so does the server of a mount, whose standard error is a file
//! by then: its lines have the time, in UTC, and the file is bounded. Warnings and errors are shown unless `--log-level` says otherwise. Of other crates only
//! the one that speaks with the kernel has its say below warnings: what an HTTP client traces are
//! headers, and in headers are tokens and signed addresses.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU32, Ordering};

use log::{LevelFilter, Log, Metadata, Record};

use crate::cli::format::units::Time;
use crate::cli::terminal::escape;

/// The one logger.
static LOGGER: Logger = Logger;

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().starts_with("shale");
        let kernel = metadata.target().starts_with("fuser");
        let traced = kernel && log::max_level() == LevelFilter::Trace;
        ours || traced || metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || is_late_answer(record) {
            return;
        }
        let level = record.level().as_str().to_lowercase();
        let line = format!("shale: {level}: {}\n", escape(record.args().to_string()));
        // There is nobody to tell.
        let _ = match is_server() {
            true => write_to_log(&line),
            false => std::io::stderr().write_all(line.as_bytes()),
        };
    }

    fn flush(&self) {}
}

/// The process that began to log. What it forks are the servers of mounts, which write to a file.
static FIRST: AtomicU32 = AtomicU32::new(0);

/// The most bytes of a server's log. What led to a fault stands at its beginning.
const LOG_LIMIT: u64 = 1 << 20;

fn is_server() -> bool {
    FIRST.load(Ordering::Relaxed) != std::process::id()
}

/// Adds a line with the time to a server's log, as long as there is room in it.
fn write_to_log(line: &str) -> io::Result<()> {
    let mut log = io::stderr();
    let size = rustix::fs::fstat(&log)?.st_size;
    let room = LOG_LIMIT.saturating_sub(u64::try_from(size).unwrap_or_default());
    let line = format!("{} {line}", Time::now().rfc3339_utc());
    if room > line.len() as u64 {
        return log.write_all(line.as_bytes());
    }
    let last = b"shale: the log is full; what follows is not kept\n";
    // Once: afterwards there is no room even for this.
    if room > last.len() as u64 {
        log.write_all(last)?;
        log.write_all(&vec![b'\n'; usize::try_from(room).unwrap_or_default() - last.len()])?;
    }
    Ok(())
}

/// Whether it says that the kernel did not want an answer any more (ENOENT, linux/fs/fuse/dev.c): who
/// asked was killed, or the mount is gone. That is no fault, and happens at the end of many commands.
fn is_late_answer(record: &Record<'_>) -> bool {
    record.target().starts_with("fuser::reply")
        && log::max_level() < LevelFilter::Debug
        && record.args().to_string().ends_with("(os error 2)")
}

/// Starts logging; `-v` counts where no level is given.
pub fn start(level: Option<&str>, verbose: u8) {
    let by_count = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let level = level.and_then(|text| text.parse().ok()).unwrap_or(by_count);
    FIRST.store(std::process::id(), Ordering::Relaxed);
    // A second start in one process (tests) keeps the first logger.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_nobody_waits_for_is_no_fault() {
        let is_late = |target, text| {
            is_late_answer(&Record::builder().target(target).args(format_args!("{text}")).build())
        };
        let failed = |number| std::io::Error::from_raw_os_error(number).to_string();
        let text = |number| format!("Failed to send FUSE reply: {}", failed(number));
        assert!(is_late("fuser::reply", text(libc::ENOENT)));
        assert!(!is_late("fuser::reply", text(libc::EINVAL)));
        assert!(!is_late("shalefs::fuse", text(libc::ENOENT)));
    }
}
