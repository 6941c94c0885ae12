//! How long one may wait on connections, whoever does the waiting.
//!
//! The HTTP client reads frames, headers and trailers in loops of its own and returns only with a
//! byte of the body; what sends it a byte of framing now and then could hold it for ever. So the
//! moment at which waiting ends is handed past it: set for a piece of work by whoever starts it, seen
//! by the connection ([`super::connection`]), which is used by the same thread.

use std::cell::Cell;
use std::time::Duration;

use crate::source::Clock;

thread_local! {
    /// By the clock; set only while [`until`] runs.
    static END: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Puts the end back that was there before.
struct Restore(Option<Duration>);

impl Drop for Restore {
    fn drop(&mut self) {
        END.set(self.0);
    }
}

/// Does `work`; waiting on a connection in it ends at `end` by the clock, or earlier when that was
/// said before.
pub(super) fn until<T>(end: Duration, work: impl FnOnce() -> T) -> T {
    let before = END.get();
    let _restore = Restore(before);
    END.set(Some(before.map_or(end, |before| before.min(end))));
    work()
}

/// How long one may still wait; `None` without an end.
pub(super) fn left(clock: &dyn Clock) -> Option<Duration> {
    END.get().map(|end| end.saturating_sub(clock.now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SystemClock;

    #[test]
    fn the_earlier_end_counts_and_ends_with_its_work() {
        let clock = SystemClock::default();
        let seconds = Duration::from_secs;
        assert_eq!(left(&clock), None);
        until(seconds(1000), || {
            until(seconds(2000), || assert!(left(&clock) <= Some(seconds(1000))));
            until(seconds(0), || assert_eq!(left(&clock), Some(seconds(0))));
            assert!(left(&clock) > Some(seconds(900)));
        });
        assert_eq!(left(&clock), None);
    }
}
