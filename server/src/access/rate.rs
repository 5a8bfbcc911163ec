use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How many requests each key has left: a bucket that fills at the key's rate and holds two seconds of it.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<String, Bucket>>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In billionths of a request, so that nothing is rounded.
    left: u128,
    at: Instant,
}

const REQUEST: u128 = 1_000_000_000;

impl Rates {
    /// Whether the key may make one more request now.
    pub(crate) fn take(&self, key_id: &str, per_second: u32, now: Instant) -> bool {
        let rate = u128::from(per_second.max(1));
        let most = 2 * rate * REQUEST;
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Only keys that were valid come here, so there are at most as many as there are keys.
        let bucket = match buckets.get_mut(key_id) {
            Some(bucket) => bucket,
            None => buckets.entry(key_id.to_owned()).or_insert(Bucket { left: most, at: now }),
        };
        let passed = now.saturating_duration_since(bucket.at);
        bucket.left = (bucket.left + passed.as_nanos() * rate).min(most);
        bucket.at = now;
        let may = bucket.left >= REQUEST;
        if may {
            bucket.left -= REQUEST;
        }
        may
    }

    /// Forgets the keys of which `valid` says that they have ended.
    pub(crate) fn keep(&self, valid: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| valid(id));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let (rates, start) = (Rates::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let burst = (0..50).filter(|_| rates.take("a", 10, at(0))).count();
        assert_eq!(burst, 20);
        assert!(!rates.take("a", 10, at(90)) && rates.take("a", 10, at(100)) && !rates.take("a", 10, at(100)));
        assert!(rates.take("b", 10, at(100)), "each key has its own");
        let after_a_pause = (0..50).filter(|_| rates.take("a", 10, at(60_000))).count();
        assert_eq!(after_a_pause, 20);
        rates.keep(|id| id == "b");
        assert!(rates.take("a", 10, at(60_000)));
    }
}
