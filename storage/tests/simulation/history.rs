//! What was asked of the log, what it answered, and what must therefore be in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use agenttracer_model::{Position, Timestamp};
use agenttracer_storage::{AppendError, Batch, BatchKind, Committed, Follower, StoredBatch, Ticket};

/// Names a batch: the first four bytes of its payload.
pub(crate) type Id = usize;

type Outcome = Result<Position, AppendError>;

/// Everything that was ever submitted, and what must be there.
#[derive(Default)]
pub(crate) struct History {
    sent: Vec<Batch>,
    /// The log said for certain that this batch is not stored.
    absent: Vec<bool>,
    /// Must be found at this position for ever.
    pub(crate) settled: BTreeMap<Position, Id>,
}

impl History {
    /// A new batch, unlike any other.
    pub(crate) fn batch(&mut self, len: usize, records: u32, time: Timestamp) -> (Id, Batch) {
        let id = self.sent.len();
        let mut payload = (id as u32).to_le_bytes().to_vec();
        let mut noise = (id as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        while payload.len() < len.max(4) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            payload.push((noise >> 32) as u8);
        }
        let batch = Batch { kind: BatchKind::Run, payload, records, time };
        self.sent.push(batch.clone());
        self.absent.push(false);
        (id, batch)
    }

    pub(crate) fn is_absent(&mut self, id: Id) {
        self.absent[id] = true;
    }

    /// Checks that `batch` is one that was sent, whole, and may be there; tells which.
    pub(crate) fn recognise(&self, batch: &StoredBatch) -> Id {
        let id = batch.payload.first_chunk().map_or(usize::MAX, |id| u32::from_le_bytes(*id) as usize);
        let sent = self.sent.get(id).unwrap_or_else(|| panic!("what stands at {} was never sent", batch.position));
        assert!(batch.payload[..] == sent.payload[..], "batch {id} at {} was changed", batch.position);
        assert_eq!((batch.records, batch.time), (sent.records, sent.time), "of batch {id} at {}", batch.position);
        assert!(!self.absent[id], "batch {id} was refused, and yet it stands at {}", batch.position);
        if let Some(settled) = self.settled.get(&batch.position) {
            assert_eq!(*settled, id, "another batch stands at {}", batch.position);
        }
        id
    }

    pub(crate) fn payload(&self, id: Id) -> &[u8] {
        &self.sent[id].payload
    }

    /// `id` must be at `position` from now on.
    pub(crate) fn settle(&mut self, position: Position, id: Id) {
        let before = self.settled.insert(position, id);
        assert!(before.is_none_or(|before| before == id), "two batches were promised position {position}");
    }

    /// Everything below this is settled.
    pub(crate) fn settled_end(&self) -> Position {
        let last = self.settled.last_key_value();
        last.map_or(Position::ZERO, |(at, id)| at.advance(u64::from(self.sent[*id].records)))
    }
}

/// The tickets of one life of the log.
#[derive(Default)]
pub(crate) struct Tickets(Arc<Mutex<BTreeMap<Id, Option<Outcome>>>>);

impl Tickets {
    pub(crate) fn issue(&self, id: Id) -> Ticket {
        self.0.lock().unwrap().insert(id, None);
        let outcomes = self.0.clone();
        Box::new(move |outcome| {
            let before = outcomes.lock().unwrap().insert(id, Some(outcome));
            assert_eq!(before, Some(None), "the ticket of batch {id} is called once");
        })
    }

    /// The batch was not queued: its ticket is dropped.
    pub(crate) fn withdraw(&self, id: Id) {
        assert_eq!(self.0.lock().unwrap().remove(&id), Some(None), "the ticket of a refused batch is not called");
    }

    pub(crate) fn waiting(&self) -> bool {
        self.0.lock().unwrap().values().any(Option::is_none)
    }

    /// What became of each batch that was queued. The log is gone: each ticket was called.
    pub(crate) fn outcomes(&self) -> Vec<(Id, Outcome)> {
        let outcomes = self.0.lock().unwrap();
        let called = |(id, outcome): (&Id, &Option<Outcome>)| {
            (*id, outcome.clone().unwrap_or_else(|| panic!("the ticket of batch {id} was never called")))
        };
        outcomes.iter().map(called).collect()
    }
}

/// What the follower was given in one life of the log, in that order.
#[derive(Clone, Default)]
pub(crate) struct Given(Arc<Mutex<Vec<(StoredBatch, u32)>>>);

impl Given {
    /// The batches, each with the number of its group.
    pub(crate) fn batches(&self) -> Vec<(StoredBatch, u32)> {
        self.0.lock().unwrap().clone()
    }
}

impl Follower for Given {
    fn committed(&mut self, group: Vec<Committed>) {
        let mut tickets = Vec::new();
        {
            let mut given = self.0.lock().unwrap();
            let number = given.last().map_or(0, |(_, number)| number + 1);
            for Committed { batch, ticket } in group {
                tickets.push((ticket, batch.position));
                given.push((batch, number));
            }
        }
        for (ticket, position) in tickets {
            ticket(Ok(position));
        }
    }
}
