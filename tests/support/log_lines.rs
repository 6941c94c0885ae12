//! What is logged in this process, for tests of what somebody is told.

use std::sync::{Arc, Mutex, OnceLock};

/// The lines from now on: warnings and errors.
pub fn record() -> Arc<Mutex<Vec<String>>> {
    let lines = LINES.get_or_init(Arc::default);
    // Another test may have set it.
    if log::set_logger(&Recorder).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
    Arc::clone(lines)
}

static LINES: OnceLock<Arc<Mutex<Vec<String>>>> = OnceLock::new();

struct Recorder;

impl log::Log for Recorder {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if let (true, Some(lines)) = (self.enabled(record.metadata()), LINES.get()) {
            lines.lock().expect("no test panics here").push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}
