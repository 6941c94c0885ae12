//! A hash index over things that live in somebody else's array.
//!
//! Holds positions only (8 bytes a slot), so a million names cost about 12 MiB and no allocation each.
//! Nothing is ever taken out: a name that is removed from the tree keeps its place, because it may
//! come back, and an index without removal needs no tombstones. The hash is keyed at random a
//! process (the caller's), so no image can be made of names that collide; the order of slots shows
//! nowhere.

/// Open addressing with linear probing, at most three quarters full.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    used: usize,
}

/// `position` is 1 more than the position meant; 0 is an empty slot.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u32,
    position: u32,
}

impl Slots {
    /// The position under `hash` for which `is` holds.
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = fold(hash);
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot.position == 0 {
                return None;
            }
            if slot.hash == hash && is(slot.position - 1) {
                return Some(slot.position - 1);
            }
            at = self.after(at);
        }
    }

    /// Adds a position, below `u32::MAX`, that is not there yet.
    pub fn insert(&mut self, hash: u64, position: u32) {
        if self.used * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        self.put(Slot { hash: fold(hash), position: position + 1 });
        self.used += 1;
    }

    fn put(&mut self, slot: Slot) {
        let mut at = self.home(slot.hash);
        while self.slots[at].position != 0 {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    /// By half: twice as large would be half empty more often, at the moment of the most memory.
    fn grow(&mut self) {
        let larger = vec![Slot::default(); (self.slots.len() / 2 * 3).max(64)];
        for slot in std::mem::replace(&mut self.slots, larger) {
            if slot.position != 0 {
                self.put(slot);
            }
        }
    }

    /// Any length will do: the hash is a fraction of it.
    fn home(&self, hash: u32) -> usize {
        let home = (u64::from(hash) * self.slots.len() as u64) >> 32;
        usize::try_from(home).unwrap_or(0)
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }
}

/// The low half: SipHash is good in every bit.
fn fold(hash: u64) -> u32 {
    let [a, b, c, d, ..] = hash.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_in_though_hashes_collide() {
        let mut slots = Slots::default();
        for position in 0..1000 {
            assert_eq!(slots.find(u64::from(position % 7), |at| at == position), None);
            slots.insert(u64::from(position % 7), position);
        }
        for position in 0..1000 {
            let found = slots.find(u64::from(position % 7), |at| at == position);
            assert_eq!(found, Some(position));
        }
        assert_eq!(slots.find(7, |_| true), None);
    }
}
