//! Log lines on standard error: `shale: LEVEL: MESSAGE`, each on one line and made harmless.
//!
//! The library logs through `log`; so does the server of a mount, whose standard error is a file
//! by then. Warnings and errors are shown unless `--log-level` says otherwise. Of other crates only
//! the one that speaks with the kernel has its say below warnings: what an HTTP client traces are
//! headers, and in headers are tokens and signed addresses.

use std::io::Write as _;

use log::{LevelFilter, Log, Metadata, Record};

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
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
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
