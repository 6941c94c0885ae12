//! How many bytes of decoded spans are worth keeping.
//!
//! One reader that goes through an image needs little: the next read is in the span that was
//! decoded last, or in the one after. Many readers in different places need a span each, or each
//! throws out what the others are about to want. So the limit is small while that is enough, and
//! grows when spans are decoded that left the cache a moment ago, as long as that happens to a
//! quarter of them; it shrinks again when it does not. (To grow also before a span is thrown out
//! that was read ahead and not yet wanted was tried: the server had 33 MiB after one reader, not 22.)
//!
//! Measured on `node` (1.0 GB in 42,600 files): one reader decodes 1.06 GB with 12 MiB, 1.08 GB with 6
//! and 1.09 GB with 4; eight readers 1.23 GB with 12 MiB, 3.2 GB with 6, and 1.3 GB with this limit.
//! With 4 MiB going through three layers by turns decodes up to a fifth twice, with 6 nothing.

use std::collections::VecDeque;

/// What is enough for a reader that goes through an image in the order of its names.
const CALM: usize = 6 << 20;

/// By how much the limit changes.
const STEP: usize = 1 << 20;

/// Spans that left the cache a moment ago: as many as would fit a cache of 24 MiB.
const REMEMBERED: usize = 48;

/// What a span that is decoded again weighs against one that is not: a quarter keeps the balance.
const AGAIN: i32 = 3;

/// Weight at which the limit grows.
const GROW: i32 = 12;

/// Weight, on the other side, at which it shrinks.
const SHRINK: i32 = -64;

/// A limit that follows what is asked for.
#[derive(Debug)]
pub(super) struct Budget<K> {
    limit: usize,
    least: usize,
    most: usize,
    weight: i32,
    gone: VecDeque<K>,
}

impl<K: PartialEq> Budget<K> {
    /// Never more than `most` bytes, few while they are enough.
    pub(super) fn new(most: usize) -> Self {
        let least = most.min(CALM);
        Self { limit: least, least, ..Self::fixed(most) }
    }

    /// Always so many bytes, for who reads for a moment only and has no time to find out.
    pub(super) fn fixed(bytes: usize) -> Self {
        Self { limit: bytes, least: bytes, most: bytes, weight: 0, gone: VecDeque::new() }
    }

    /// Bytes that may be kept now.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// A span was decoded.
    pub(super) fn decoded(&mut self, key: &K) {
        let before = self.gone.len();
        self.gone.retain(|gone| gone != key);
        self.weight += if self.gone.len() < before { AGAIN } else { -1 };
        if self.weight >= GROW {
            self.limit = self.limit.saturating_add(STEP).min(self.most);
            self.weight = 0;
        } else if self.weight <= SHRINK {
            self.limit = self.limit.saturating_sub(STEP).max(self.least);
            self.weight = 0;
        }
    }

    /// A span left the cache.
    pub(super) fn gone(&mut self, key: K) {
        if self.gone.len() == REMEMBERED {
            self.gone.pop_front();
        }
        self.gone.push_back(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes spans in turn as `order` says, each of half a MiB, in a cache that drops the oldest.
    fn run(budget: &mut Budget<u32>, order: impl Iterator<Item = u32>) -> u32 {
        let mut cache = VecDeque::new();
        let mut decoded = 0;
        for wanted in order {
            if cache.contains(&wanted) {
                continue;
            }
            decoded += 1;
            budget.decoded(&wanted);
            cache.push_back(wanted);
            while cache.len() * (512 << 10) > budget.limit() {
                budget.gone(cache.pop_front().expect("it is not empty"));
            }
        }
        decoded
    }

    #[test]
    fn a_walk_in_order_stays_small() {
        let mut budget = Budget::new(16 << 20);
        assert_eq!(run(&mut budget, 0..1000), 1000);
        assert_eq!(budget.limit(), CALM);
    }

    #[test]
    fn readers_in_turn_get_what_they_need_and_give_it_back() {
        let mut budget = Budget::new(16 << 20);
        // Twenty readers, each of which comes back to its span ten times.
        let turns = (0..100)
            .flat_map(|span| (0..10).flat_map(move |_| (0..20).map(move |r| r * 1000 + span)));
        let decoded = run(&mut budget, turns);
        assert!(budget.limit() >= 10 << 20, "{}", budget.limit());
        assert!(decoded < 2500, "{decoded} instead of 2000");
        run(&mut budget, 100_000..101_000);
        assert_eq!(budget.limit(), CALM);
    }

    #[test]
    fn it_never_grows_beyond_its_bound() {
        for most in [0, 1 << 20, 9 << 20] {
            let mut budget = Budget::new(most);
            run(&mut budget, (0..100).flat_map(|_| 0..40));
            assert!(budget.limit() <= most);
        }
    }
}
