//! When to try again, and how long to wait first.
//!
//! Five tries, of which at most three may end because nothing came, and three minutes in which
//! nothing comes. The count starts again only after progress: a mebibyte more than when it last
//! started, in however many tries, or a minute of steady data. So a registry that fails for ever is
//! asked a bounded number of times, and a long download over a bad line still comes through.
//! `Retry-After` rules the wait, up to a minute.

use std::time::{Duration, SystemTime};

use log::Level;

use super::{RegistryError, patience};
use crate::source::Clock;

/// Tries in a row without progress.
pub const TRIES: u32 = 5;
/// Tries in a row without progress that end because nothing came.
pub const STALLS: u32 = 3;
/// How long such tries may take together.
pub const STALL_TIME: Duration = Duration::from_secs(180);
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
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    tries: u32,
    /// Those that ended because nothing came, and how long they took, the waits between them too.
    stalls: u32,
    stalled: Duration,
    /// How long this try has waited.
    waited: Duration,
    /// Bytes and time when the count last started.
    bytes: u64,
    since: Duration,
}

impl Retry {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        let (stalled, waited) = (Duration::ZERO, Duration::ZERO);
        Self { tries: 1, stalls: 0, stalled, waited, bytes: 0, since: clock.now() }
    }

    /// Does a part of this try that may wait for the registry. What the caller does in between
    /// costs nothing of the time that the registry has.
    pub(super) fn within<T>(&mut self, clock: &dyn Clock, work: impl FnOnce() -> T) -> T {
        let began = clock.now();
        let result = patience::until(self.end(began), work);
        self.waited += clock.now().saturating_sub(began);
        result
    }

    /// When waiting that begins at `now` must end.
    fn end(&self, now: Duration) -> Duration {
        now + STALL_TIME.saturating_sub(self.stalled + self.waited)
    }

    /// With `bytes` had in all: starts the count again when that is progress.
    pub(super) fn progress(&mut self, clock: &dyn Clock, bytes: u64) {
        let more = bytes.saturating_sub(self.bytes);
        let steady =
            more >= STEADY_BYTES && clock.now().saturating_sub(self.since) >= PROGRESS_TIME;
        if more >= PROGRESS_BYTES || steady {
            *self = Self { bytes, ..Self::new(clock) };
        }
    }

    /// After a failure that may pass, with `bytes` had in all: waits for the next try, or gives up
    /// with `error`.
    pub(super) fn wait(
        &mut self,
        clock: &dyn Clock,
        bytes: u64,
        error: RegistryError,
    ) -> Result<(), RegistryError> {
        let waited = std::mem::take(&mut self.waited);
        self.progress(clock, bytes);
        if error.is_stall() {
            self.stalls += 1;
            self.stalled += waited;
        }
        if self.tries >= TRIES || self.stalls >= STALLS || self.stalled >= STALL_TIME {
            return Err(RegistryError::GaveUp { tries: self.tries, last: Box::new(error) });
        }
        let usual = WAITS.get(self.tries as usize - 1).copied().unwrap_or(LONGEST_WAIT);
        let wait = error.retry_after().unwrap_or(usual).min(LONGEST_WAIT);
        let level = if wait.max(waited) < NOTABLE { Level::Info } else { Level::Warn };
        log::log!(level, "{error}; next try in {:.2} s", wait.as_secs_f32());
        if error.is_stall() {
            self.stalled += wait;
        }
        clock.sleep(wait);
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
        match retry.within(clock, &once) {
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

    /// Time that passes when somebody sleeps or says so.
    #[derive(Debug, Default)]
    struct Hand(std::sync::Mutex<Duration>);

    impl Hand {
        fn pass(&self, time: Duration) {
            *self.0.lock().expect("no test panics here") += time;
        }
    }

    impl Clock for Hand {
        fn now(&self) -> Duration {
            *self.0.lock().expect("no test panics here")
        }

        fn wall(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }

        fn sleep(&self, time: Duration) {
            *self.0.lock().expect("no test panics here") += time;
        }
    }

    fn silence() -> RegistryError {
        let fault = super::super::Fault::TimedOut("waiting for data".to_owned());
        RegistryError::Transport { url: "https://r.example/".to_owned(), proxy: None, fault }
    }

    /// How many tries, and seconds, there are when each waits as long as it may, at most so long.
    fn tries(most: u64, bytes: impl Fn(u32) -> u64) -> (u32, u64) {
        let clock = Hand::default();
        let mut retry = Retry::new(&clock);
        for number in 1.. {
            retry.within(&clock, || {
                let left = patience::left(&clock).expect("there is an end");
                clock.pass(left.min(Duration::from_secs(most)));
            });
            // What the caller does in between is not the registry's time.
            clock.pass(Duration::from_secs(1000));
            if let Err(error) = retry.wait(&clock, bytes(number), silence()) {
                assert!(error.to_string().starts_with("gave up after"), "{error}");
                return (number, clock.now().as_secs() - 1000 * u64::from(number));
            }
        }
        unreachable!("numbers end")
    }

    #[test]
    fn three_tries_or_three_minutes_without_anything() {
        assert_eq!(tries(1, |_| 0).0, STALLS);
        assert_eq!(tries(60, |_| 0), (STALLS, 180));
        assert_eq!(tries(100, |_| 0), (2, 180));
        assert_eq!(tries(1000, |_| 0), (1, 180), "one try alone does not take longer either");
        // A mebibyte starts the count again, less does not.
        assert_eq!(tries(60, |number| u64::from(number.min(5)) * PROGRESS_BYTES).0, 5 + STALLS - 1);
        assert_eq!(tries(1, u64::from).0, STALLS);
    }

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
