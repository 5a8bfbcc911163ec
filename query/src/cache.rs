use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use agenttracer_model::Position;
use bytes::Bytes;
use uuid::Uuid;

/// Names one state of a run: the run and the last batch it was folded from. A run that changes gets another key, so
/// what is cached is never stale.
pub(crate) type RunKey = (Uuid, Position);

/// Serialised runs, bounded by their bytes. What was not asked for since the hand passed goes first (the clock
/// algorithm: one bit for each entry instead of a list to be relinked by each read).
pub(crate) struct RunCache {
    clock: Mutex<Clock<RunKey>>,
    max_bytes: usize,
}

struct Clock<K> {
    slots: Vec<Option<Slot<K>>>,
    free: Vec<usize>,
    by_key: HashMap<K, usize>,
    hand: usize,
    held_bytes: usize,
}

struct Slot<K> {
    key: K,
    json: Bytes,
    asked: bool,
}

/// What an entry costs beside its bytes: the slot, the map's entry, the allocation's head.
const OVERHEAD_BYTES: usize = 160;

impl RunCache {
    /// A cache of at most `max_bytes`; 0 keeps nothing.
    pub(crate) fn new(max_bytes: usize) -> Self {
        let clock = Clock { slots: Vec::new(), free: Vec::new(), by_key: HashMap::new(), hand: 0, held_bytes: 0 };
        Self { clock: Mutex::new(clock), max_bytes }
    }

    /// The JSON of a run in this state.
    pub(crate) fn get(&self, key: &RunKey) -> Option<Bytes> {
        let mut clock = self.lock();
        let slot = *clock.by_key.get(key)?;
        let slot = clock.slots[slot].as_mut()?;
        slot.asked = true;
        Some(slot.json.clone())
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut clock = self.lock();
        *clock = Clock { slots: Vec::new(), free: Vec::new(), by_key: HashMap::new(), hand: 0, held_bytes: 0 };
    }

    /// Keeps `json`. A run larger than an eighth of the cache is not worth the others it would push out.
    pub(crate) fn put(&self, key: RunKey, json: Bytes) {
        let cost = json.len() + OVERHEAD_BYTES;
        if cost > self.max_bytes / 8 {
            return;
        }
        let mut clock = self.lock();
        if clock.by_key.contains_key(&key) {
            return;
        }
        while clock.held_bytes + cost > self.max_bytes {
            clock.evict();
        }
        clock.insert(key, json, cost);
    }

    fn lock(&self) -> MutexGuard<'_, Clock<RunKey>> {
        // Nothing in here panics half way, and a cache may lose entries anyway.
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> Clock<K> {
    /// Drops the first entry the hand finds that was not asked for since it last passed. There is one.
    fn evict(&mut self) {
        loop {
            self.hand = (self.hand + 1) % self.slots.len();
            match &mut self.slots[self.hand] {
                None => {}
                Some(slot) if slot.asked => slot.asked = false,
                taken => {
                    if let Some(slot) = taken.take() {
                        self.by_key.remove(&slot.key);
                        self.held_bytes -= slot.json.len() + OVERHEAD_BYTES;
                        self.free.push(self.hand);
                    }
                    return;
                }
            }
        }
    }

    fn insert(&mut self, key: K, json: Bytes, cost: usize) {
        let slot = Some(Slot { key, json, asked: false });
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.by_key.insert(key, at);
        self.held_bytes += cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> RunKey {
        (Uuid::from_u128(number), Position::new(1))
    }

    #[test]
    fn gives_back_what_was_put_under_the_same_state_only() {
        let cache = RunCache::new(100_000);
        cache.put(key(1), Bytes::from_static(b"one"));
        assert_eq!(cache.get(&key(1)), Some(Bytes::from_static(b"one")));
        assert_eq!(cache.get(&(Uuid::from_u128(1), Position::new(2))), None);
        assert_eq!(cache.get(&key(2)), None);
    }

    #[test]
    fn stays_within_its_bytes_and_keeps_what_is_asked_for() {
        let cache = RunCache::new(20_000);
        cache.put(key(0), Bytes::from(vec![0; 1000]));
        for number in 1..200 {
            assert!(cache.get(&key(0)).is_some(), "asked for each time, pushed out before {number}");
            cache.put(key(number), Bytes::from(vec![0; 1000]));
            let clock = cache.lock();
            assert!(clock.held_bytes <= 20_000);
            let held: usize = clock.slots.iter().flatten().map(|slot| slot.json.len() + OVERHEAD_BYTES).sum();
            assert_eq!(held, clock.held_bytes);
            assert_eq!(clock.by_key.len(), clock.slots.iter().flatten().count());
        }
        assert_eq!(cache.get(&key(1)), None);
        assert!(cache.get(&key(199)).is_some());
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let cache = RunCache::new(8_000);
        cache.put(key(1), Bytes::from(vec![0; 1000]));
        assert_eq!(cache.get(&key(1)), None);
        let none = RunCache::new(0);
        none.put(key(1), Bytes::new());
        assert_eq!(none.get(&key(1)), None);
    }
}
