//! Run ids in flight: of all requests with one id only one stores, the others wait for it.
//!
//! A [`Reservation`] is owned by the log's ticket, so that it lives until the outcome is known, whatever becomes of the
//! request. Nothing waits while it holds a reservation that no ticket owns, so no two can wait for each other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use agenttracer_storage::AppendError;
use tokio::sync::oneshot;
use uuid::Uuid;

/// A power of two.
const SHARDS: usize = 64;

/// How the request that held the reservation ended. A sender that is dropped means: nothing was stored, try yourself.
pub(crate) type Outcome = Result<(), AppendError>;

/// Those who wait for one run id.
type Waiters = Vec<oneshot::Sender<Outcome>>;

/// The run ids that are being stored now.
pub(crate) struct InFlight {
    shards: [Mutex<HashMap<Uuid, Waiters>>; SHARDS],
    /// Keyed, so that no client can aim its ids at one shard.
    hasher: RandomState,
}

/// What became of an attempt to reserve.
pub(crate) enum Reserved {
    /// The id is ours until the reservation ends.
    Ours(Reservation),
    /// Somebody else stores it now; this tells how it ended.
    Theirs(oneshot::Receiver<Outcome>),
}

/// An id that is ours. Dropped without an outcome, those who wait try themselves.
pub(crate) struct Reservation {
    in_flight: Arc<InFlight>,
    run_id: Uuid,
    /// Once released, the id may be somebody else's.
    released: bool,
}

impl InFlight {
    /// None yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() })
    }

    /// Reserves the id, or joins those who wait for it.
    pub(crate) fn reserve(self: &Arc<Self>, run_id: Uuid) -> Reserved {
        match self.shard(run_id).lock().unwrap_or_else(PoisonError::into_inner).entry(run_id) {
            Entry::Vacant(entry) => {
                entry.insert(Vec::new());
                Reserved::Ours(Reservation { in_flight: self.clone(), run_id, released: false })
            }
            Entry::Occupied(mut entry) => {
                let (sender, receiver) = oneshot::channel();
                // Those whose client went away meanwhile would otherwise pile up.
                entry.get_mut().retain(|waiter| !waiter.is_closed());
                entry.get_mut().push(sender);
                Reserved::Theirs(receiver)
            }
        }
    }

    fn release(&self, run_id: Uuid) -> Waiters {
        self.shard(run_id).lock().unwrap_or_else(PoisonError::into_inner).remove(&run_id).unwrap_or_default()
    }

    fn shard(&self, run_id: Uuid) -> &Mutex<HashMap<Uuid, Waiters>> {
        &self.shards[self.hasher.hash_one(run_id) as usize % SHARDS]
    }
}

impl Reservation {
    /// Frees the id and tells those who wait.
    pub(crate) fn end(mut self, outcome: &Outcome) {
        self.released = true;
        for waiter in self.in_flight.release(self.run_id) {
            // It may have gone away.
            let _ = waiter.send(outcome.clone());
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.released {
            self.in_flight.release(self.run_id);
        }
    }
}
