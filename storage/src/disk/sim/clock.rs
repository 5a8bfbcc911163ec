use std::sync::{Arc, Mutex, PoisonError};

use agenttracer_model::Timestamp;

use crate::disk::Clock;

/// A clock that stands still until it is moved. Clones are the same clock.
#[derive(Clone)]
pub struct SimClock(Arc<Mutex<(Timestamp, u64)>>);

impl SimClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new((now, 0))))
    }

    /// Time goes by, on both sides of the clock.
    pub fn advance(&self, ms: u64) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.0 = Timestamp::from_micros(times.0.as_micros() + i64::try_from(ms * 1000).unwrap_or(i64::MAX));
        times.1 += ms;
    }

    /// Somebody sets the wall clock, forwards or back.
    pub fn set(&self, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = now;
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}
