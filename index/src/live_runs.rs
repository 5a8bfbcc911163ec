//! The live runs at hand: those that were heard of last, in bounded memory, and the leases of all.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::leases::Leases;
use crate::live::LiveRun;

/// Live runs in memory. One that is not here is read from the log when its next event comes.
pub(crate) struct LiveRuns {
    pub(crate) leases: Leases,
    runs: HashMap<Uuid, Entry>,
    /// By when they were used last.
    used: BTreeMap<u64, Uuid>,
    uses: u64,
    bytes: u64,
    max_bytes: u64,
}

struct Entry {
    run: LiveRun,
    used: u64,
    bytes: u64,
}

impl LiveRuns {
    /// None yet; they will keep about `max_bytes`.
    pub(crate) fn new(lease_ms: u64, max_bytes: u64) -> Self {
        Self {
            leases: Leases::new(lease_ms),
            runs: HashMap::new(),
            used: BTreeMap::new(),
            uses: 0,
            bytes: 0,
            max_bytes,
        }
    }

    /// The run, if it is at hand.
    pub(crate) fn get(&self, run_id: Uuid) -> Option<&LiveRun> {
        self.runs.get(&run_id).map(|entry| &entry.run)
    }

    /// Puts a run, or takes it to change it: what [`take`](Self::take) gave must be put back.
    pub(crate) fn put(&mut self, run_id: Uuid, run: LiveRun) {
        self.uses += 1;
        let (used, bytes) = (self.uses, run.memory_bytes());
        self.used.insert(used, run_id);
        self.bytes += bytes;
        if let Some(before) = self.runs.insert(run_id, Entry { run, used, bytes }) {
            self.used.remove(&before.used);
            self.bytes -= before.bytes;
        }
    }

    /// Takes the run out, if it is at hand.
    pub(crate) fn take(&mut self, run_id: Uuid) -> Option<LiveRun> {
        let entry = self.runs.remove(&run_id)?;
        self.used.remove(&entry.used);
        self.bytes -= entry.bytes;
        Some(entry.run)
    }

    /// Lets go what was not used for longest, until the bound is kept.
    pub(crate) fn shrink(&mut self) {
        while self.bytes > self.max_bytes
            && let Some((_, run_id)) = self.used.pop_first()
        {
            if let Some(entry) = self.runs.remove(&run_id) {
                self.bytes -= entry.bytes;
            }
        }
    }

    /// About how much memory they take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let ids = [1, 2, 3].map(Uuid::from_u128);
        let one = LiveRun::new(ids[0]).memory_bytes();
        let mut live = LiveRuns::new(1, 2 * one);
        for id in ids {
            live.put(id, LiveRun::new(id));
        }
        let first = live.take(ids[0]).unwrap();
        live.put(ids[0], first);
        assert_eq!(live.bytes(), 3 * one);
        live.shrink();
        assert!(live.get(ids[0]).is_some() && live.get(ids[1]).is_none() && live.get(ids[2]).is_some());
        assert_eq!((live.bytes(), live.used.len()), (2 * one, 2));
        live.put(ids[2], LiveRun::new(ids[2]));
        assert_eq!((live.bytes(), live.used.len()), (2 * one, 2));
    }
}
