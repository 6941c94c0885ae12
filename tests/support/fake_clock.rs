//! Time that passes only when somebody sleeps or says so.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use shalefs::source::Clock;

/// A clock for tests; starts at one million seconds after the epoch.
#[derive(Debug, Default)]
pub struct FakeClock {
    now: Mutex<Duration>,
    slept: Mutex<Vec<Duration>>,
}

impl FakeClock {
    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        *self.now.lock().expect("no test panics here") += time;
    }

    /// Every sleep so far.
    pub fn slept(&self) -> Vec<Duration> {
        self.slept.lock().expect("no test panics here").clone()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        *self.now.lock().expect("no test panics here")
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + self.now()
    }

    fn sleep(&self, time: Duration) {
        self.slept.lock().expect("no test panics here").push(time);
        self.advance(time);
    }
}
