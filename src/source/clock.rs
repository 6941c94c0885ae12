//! The seam for time: everything that waits or ages asks a [`Clock`], so that tests of an hour of
//! retries take a millisecond. Socket time-outs are not behind it; they are options.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

/// Time as the sources see it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Time since some fixed moment; never goes back.
    fn now(&self) -> Duration;
    /// The time of day, against which `Retry-After` dates are read.
    fn wall(&self) -> SystemTime;
    /// Waits.
    fn sleep(&self, time: Duration);
}

/// The system's clock.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}
