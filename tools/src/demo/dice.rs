//! Numbers that look random and are the same for the same seed.

use fastrand::Rng;
use uuid::Uuid;

/// Two streams: one of what happens, and one of ids. What happens depends on the seed alone; ids also on when the day
/// ends, so that another day can be sent to the same server.
pub(super) struct Dice {
    story: Rng,
    ids: Rng,
}

/// Spreads seeds that are close to each other far apart (the finaliser of SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

impl Dice {
    /// Those of the run with this number, in the day of `seed` that ends at `until`.
    pub(super) fn of(seed: u64, until_micros: i64, number: u64) -> Self {
        let story = mixed(mixed(seed) ^ number);
        let ids = mixed(story ^ mixed(until_micros.cast_unsigned()));
        Self { story: Rng::with_seed(story), ids: Rng::with_seed(ids) }
    }

    /// The same story once more, with other ids.
    pub(super) fn twin(seed: u64, until_micros: i64, number: u64, twin: u64) -> Self {
        let ids = Self::of(seed, until_micros, number ^ mixed(twin)).ids;
        Self { ids, ..Self::of(seed, until_micros, number) }
    }

    pub(super) fn id(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.ids.u128(..).to_be_bytes()).into_uuid()
    }

    /// 32 hexadecimal digits.
    pub(super) fn trace_id(&mut self) -> String {
        format!("{:032x}", self.ids.u128(1..))
    }

    /// From 0 up to 1.
    pub(super) fn share(&mut self) -> f64 {
        self.story.f64()
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    /// From `low` to `high`, both included.
    pub(super) fn int(&mut self, low: u64, high: u64) -> u64 {
        self.story.u64(low..=high)
    }

    pub(super) fn of_list<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.story.usize(..list.len())]
    }

    /// One of a list whose parts have weights.
    pub(super) fn weighted<T: Copy>(&mut self, list: &[(T, f64)]) -> T {
        let all: f64 = list.iter().map(|(_, weight)| weight).sum();
        let mut at = self.share() * all;
        for (value, weight) in list {
            at -= weight;
            if at < 0.0 {
                return *value;
            }
        }
        list[list.len() - 1].0
    }

    /// A time with a long tail, in milliseconds: log-normal, `median` in the middle.
    pub(super) fn latency(&mut self, median: f64) -> u64 {
        // Box and Muller.
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.share()).cos();
        (median * (0.55 * normal).exp()).round().max(1.0) as u64
    }
}
