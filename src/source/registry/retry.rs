//! When to try again, and how long to wait first.
//!
//! Five tries, and the count starts again only after progress: a mebibyte more than when it last
//! started, in however many tries, or a minute of steady data. So a registry that fails for ever is
//! asked a bounded number of times, and a long download over a bad line still comes through.
//! `Retry-After` rules the wait, up to a minute.

use std::time::{Duration, SystemTime};

use log::Level;

use super::RegistryError;
use crate::source::Clock;

/// Tries in a row without progress.
pub const TRIES: u32 = 5;
/// What counts as progress.
pub const PROGRESS_BYTES: u64 = 1024 * 1024;
/// What counts as progress too, when it brought [`STEADY_BYTES`].
pub const PROGRESS_TIME: Duration = Duration::from_secs(60);
/// Fewer bytes in [`PROGRESS_TIME`] are no progress, or a byte a minute would go on for ever.
pub const STEADY_BYTES: u64 = 16 * 1024;
/// The longest that a registry can make us wait before one try.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Whoever has waited for this long, or is about to, is told why.
const NOTABLE: Duration = Duration::from_secs(1);

/// The waits before the second and later tries: the first break is often a connection that idled
/// too long, the later ones are not.
const WAITS: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(10),
];

/// Counts tries.
#[derive(Debug)]
pub(super) struct Retry {
    tries: u32,
    /// Bytes and time when the count last started.
    bytes: u64,
    since: Duration,
    /// When this try began.
    began: Duration,
}

impl Retry {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self { tries: 1, bytes: 0, since: clock.now(), began: clock.now() }
    }

    /// After a failure that may pass, with `bytes` had in all: waits for the next try, or gives up
    /// with `error`.
    pub(super) fn wait(
        &mut self,
        clock: &dyn Clock,
        bytes: u64,
        error: RegistryError,
    ) -> Result<(), RegistryError> {
        let more = bytes.saturating_sub(self.bytes);
        let steady =
            more >= STEADY_BYTES && clock.now().saturating_sub(self.since) >= PROGRESS_TIME;
        if more >= PROGRESS_BYTES || steady {
            self.tries = 1;
            self.bytes = bytes;
            self.since = clock.now();
        }
        if self.tries >= TRIES {
            return Err(RegistryError::GaveUp { tries: self.tries, last: Box::new(error) });
        }
        let usual = WAITS.get(self.tries as usize - 1).copied().unwrap_or(LONGEST_WAIT);
        let wait = error.retry_after().unwrap_or(usual).min(LONGEST_WAIT);
        let waited = clock.now().saturating_sub(self.began);
        let level = if wait.max(waited) < NOTABLE { Level::Info } else { Level::Warn };
        log::log!(level, "{error}; next try in {:.2} s", wait.as_secs_f32());
        clock.sleep(wait);
        self.began = clock.now();
        self.tries += 1;
        Ok(())
    }
}

/// Does something until it works, fails for good, or has failed too often.
pub(super) fn insist<T>(
    clock: &dyn Clock,
    once: impl Fn() -> Result<T, RegistryError>,
) -> Result<T, RegistryError> {
    let mut retry = Retry::new(clock);
    loop {
        match once() {
            Err(error) if error.is_passing() => retry.wait(clock, 0, error)?,
            result => return result,
        }
    }
}

/// Reads a `Retry-After`: seconds, or a date. Nonsense counts as none, the past as zero.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default().min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_retry_after() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let seconds = |count| Some(Duration::from_secs(count));
        for (value, wait) in [
            ("0", seconds(0)),
            (" 7 ", seconds(7)),
            ("60", seconds(60)),
            ("61", seconds(60)),
            ("99999999999999999999999", seconds(60)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", seconds(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", seconds(10)),
            ("Sun Nov  6 08:49:47 1994", seconds(10)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", seconds(0)),
            ("Tue, 31 Dec 2999 23:59:59 GMT", seconds(60)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), wait, "{value:?}");
        }
    }
}
