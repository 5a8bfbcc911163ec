//! Until when the live runs that go on may be silent.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

/// When each live run was heard of last, by a clock that never goes back. In memory only: a restart grants every live
/// run a whole lease.
pub(crate) struct Leases {
    lease_ms: u64,
    seen: HashMap<Uuid, u64>,
    /// The same, by time.
    in_order: BTreeSet<(u64, Uuid)>,
}

impl Leases {
    /// None yet.
    pub(crate) fn new(lease_ms: u64) -> Self {
        Self { lease_ms, seen: HashMap::new(), in_order: BTreeSet::new() }
    }

    /// Begins the run's lease, or begins it anew.
    pub(crate) fn grant(&mut self, run_id: Uuid, now_ms: u64) {
        self.end(run_id);
        self.seen.insert(run_id, now_ms);
        self.in_order.insert((now_ms, run_id));
    }

    /// Begins the run's lease anew, if it has one.
    pub(crate) fn renew(&mut self, run_id: Uuid, now_ms: u64) {
        if self.seen.contains_key(&run_id) {
            self.grant(run_id, now_ms);
        }
    }

    /// The run does not go on.
    pub(crate) fn end(&mut self, run_id: Uuid) {
        if let Some(seen) = self.seen.remove(&run_id) {
            self.in_order.remove(&(seen, run_id));
        }
    }

    /// Up to `most` runs whose lease has ended, the longest silent first.
    pub(crate) fn expired(&self, now_ms: u64, most: usize) -> Vec<Uuid> {
        let silent = |seen: u64| now_ms.saturating_sub(seen) >= self.lease_ms;
        self.in_order.iter().take_while(|(seen, _)| silent(*seen)).take(most).map(|(_, run_id)| *run_id).collect()
    }

    /// Whether the run's lease has ended.
    pub(crate) fn is_expired(&self, run_id: Uuid, now_ms: u64) -> bool {
        self.seen.get(&run_id).is_some_and(|seen| now_ms.saturating_sub(*seen) >= self.lease_ms)
    }

    /// How many live runs go on.
    pub(crate) fn len(&self) -> u64 {
        self.seen.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_when_nothing_was_heard_for_its_time() {
        let mut leases = Leases::new(100);
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        leases.grant(a, 0);
        leases.grant(b, 10);
        leases.grant(c, 20);
        assert!(leases.expired(99, 9).is_empty() && !leases.is_expired(a, 99));
        assert_eq!(leases.expired(115, 9), [a, b]);
        assert_eq!(leases.expired(115, 1), [a]);
        leases.renew(a, 50);
        assert_eq!(leases.expired(149, 9), [b, c]);
        assert!(leases.is_expired(b, 110) && !leases.is_expired(a, 149) && leases.is_expired(a, 150));
        leases.end(b);
        leases.renew(b, 60);
        assert!(!leases.is_expired(b, 1000), "a run that is over has no lease to renew");
        assert_eq!((leases.expired(1000, 9), leases.len()), (vec![c, a], 2));
    }
}
