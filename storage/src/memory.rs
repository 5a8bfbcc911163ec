use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use agenttracer_model::Position;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use uuid::Uuid;

use crate::{
    AppendError, Batch, Committed, Damage, Follower, Health, Log, Payload, ReadError, StoredBatch, SubmitError,
    SyncMode, Ticket,
};

/// How many batches wait at most.
const QUEUE: usize = 1024;
/// How many batches make one group at most.
const GROUP: usize = 64;
/// The largest payload.
const MAX_PAYLOAD: usize = 16 << 20;

/// A log that lives in memory and is gone with it: for tests of what stands on a log.
///
/// It keeps the contract of [`Log`] but for durability, and can be told to [refuse](Self::refuse) batches and to
/// [hold](Self::hold) them back, so that tests can look at the moments in between.
pub struct MemoryLog {
    id: Uuid,
    shared: Arc<Shared>,
    queue: Mutex<Option<Sender<(Batch, Ticket)>>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// In position order, without a gap.
    batches: RwLock<Vec<StoredBatch>>,
    refusal: Mutex<Option<SubmitError>>,
    /// Taken for each group.
    gate: Mutex<()>,
}

impl MemoryLog {
    /// An empty log; `follower` is called on the log's own thread.
    pub fn new(follower: impl Follower + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let (queue, waiting) = crossbeam_channel::bounded(QUEUE);
        let thread = std::thread::Builder::new()
            .name("memory-log".to_owned())
            .spawn({
                let shared = shared.clone();
                move || commit(&shared, &waiting, follower)
            })
            .expect("a thread can be started");
        Self { id: Uuid::new_v4(), shared, queue: Mutex::new(Some(queue)), thread: Some(thread) }
    }

    /// Answers every further batch with this error, or takes batches again.
    pub fn refuse(&self, refusal: Option<SubmitError>) {
        *lock(&self.shared.refusal) = refusal;
    }

    /// While the guard lives, batches are queued but not committed.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        lock(&self.shared.gate)
    }

    /// Takes no further batches; what is queued is still committed. Idempotent.
    pub fn close(&self) {
        lock(&self.queue).take();
    }
}

/// Commits what is queued, then ends.
impl Drop for MemoryLog {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            // The follower itself may hold the last reference; a thread cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn commit(shared: &Shared, waiting: &Receiver<(Batch, Ticket)>, mut follower: impl Follower) {
    while let Ok(first) = waiting.recv() {
        let gate = lock(&shared.gate);
        let group: Vec<_> = {
            let mut batches = shared.batches.write().unwrap_or_else(PoisonError::into_inner);
            std::iter::once(first)
                .chain(waiting.try_iter().take(GROUP - 1))
                .map(|(batch, ticket)| {
                    let batch = StoredBatch {
                        kind: batch.kind,
                        position: end(&batches),
                        records: batch.records,
                        time: batch.time,
                        payload: Payload::Memory(batch.payload.into()),
                    };
                    batches.push(batch.clone());
                    Committed { batch, ticket }
                })
                .collect()
        };
        drop(gate);
        follower.committed(group);
    }
}

fn end(batches: &[StoredBatch]) -> Position {
    batches.last().map_or(Position::ZERO, StoredBatch::end)
}

/// A panic in a test's follower must not hide behind a poisoned lock: the state is whole at every unlock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn batches(&self) -> RwLockReadGuard<'_, Vec<StoredBatch>> {
        self.batches.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for MemoryLog {
    fn id(&self) -> Uuid {
        self.id
    }

    fn submit(&self, batch: Batch, ticket: Ticket) -> Result<(), SubmitError> {
        assert!(batch.records > 0, "a batch holds at least one record");
        if let Some(refusal) = *lock(&self.shared.refusal) {
            return Err(refusal);
        }
        if batch.payload.len() > MAX_PAYLOAD {
            return Err(SubmitError::TooLarge);
        }
        let queue = lock(&self.queue);
        let queue = queue.as_ref().ok_or(SubmitError::Closed)?;
        queue.try_send((batch, ticket)).map_err(|error| match error {
            TrySendError::Full(_) => SubmitError::Busy,
            TrySendError::Disconnected(_) => SubmitError::Closed,
        })
    }

    fn read(&self, position: Position) -> Result<StoredBatch, ReadError> {
        let batches = self.shared.batches();
        match batches.binary_search_by_key(&position, |batch| batch.position) {
            Ok(index) => Ok(batches[index].clone()),
            Err(_) => Err(ReadError::NotFound(position)),
        }
    }

    fn scan(&self, range: Range<Position>) -> Box<dyn Iterator<Item = Result<StoredBatch, ReadError>> + Send> {
        let batches = self.shared.batches();
        let start = batches.partition_point(|batch| batch.position < range.start);
        let end = batches.partition_point(|batch| batch.position < range.end).max(start);
        let found = batches[start..end].to_vec();
        Box::new(found.into_iter().map(Ok))
    }

    fn tail(&self) -> Position {
        end(&self.shared.batches())
    }

    fn durable(&self) -> Position {
        self.tail()
    }

    fn sync(&self) -> Result<Position, AppendError> {
        Ok(self.tail())
    }

    fn sync_mode(&self) -> SyncMode {
        SyncMode::Always
    }

    fn health(&self) -> Health {
        match *lock(&self.shared.refusal) {
            Some(SubmitError::DiskFull) => Health::DiskFull,
            Some(SubmitError::Poisoned) => Health::Poisoned("a test asked for it".to_owned()),
            Some(SubmitError::Dead) => Health::Dead,
            _ if lock(&self.queue).is_none() => Health::Closed,
            _ => Health::Writable,
        }
    }

    fn damage(&self) -> Vec<Damage> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use agenttracer_model::Timestamp;

    use crate::BatchKind;

    use super::*;

    struct Resolve;

    impl Follower for Resolve {
        fn committed(&mut self, group: Vec<Committed>) {
            for Committed { batch, ticket } in group {
                ticket(Ok(batch.position));
            }
        }
    }

    fn batch() -> Batch {
        Batch { kind: BatchKind::Run, payload: vec![1], records: 1, time: Timestamp::default() }
    }

    #[test]
    fn it_refuses_what_it_is_told_to_refuse() {
        let log = MemoryLog::new(Resolve);
        for (refusal, health) in [
            (SubmitError::Busy, Health::Writable),
            (SubmitError::DiskFull, Health::DiskFull),
            (SubmitError::Poisoned, Health::Poisoned("a test asked for it".to_owned())),
            (SubmitError::Dead, Health::Dead),
        ] {
            log.refuse(Some(refusal));
            assert_eq!(log.submit(batch(), Box::new(|_| panic!("it was refused"))), Err(refusal));
            assert_eq!(log.health(), health);
        }
        log.refuse(None);
        assert_eq!(log.submit(batch(), Box::new(drop)), Ok(()));
        log.close();
        assert_eq!(log.submit(batch(), Box::new(|_| panic!("it is closed"))), Err(SubmitError::Closed));
        assert_eq!(log.health(), Health::Closed);
    }

    #[test]
    fn nothing_is_committed_while_it_is_held_and_a_full_queue_is_busy() {
        let log = MemoryLog::new(Resolve);
        let held = log.hold();
        let (done, outcomes) = crossbeam_channel::unbounded();
        let mut accepted = 0;
        let refusal = loop {
            let done = done.clone();
            match log.submit(batch(), Box::new(move |outcome| done.send(outcome).unwrap())) {
                Ok(()) => accepted += 1,
                Err(refusal) => break refusal,
            }
        };
        assert_eq!((refusal, log.tail()), (SubmitError::Busy, Position::ZERO));
        assert!(outcomes.is_empty());
        drop(held);
        drop(log);
        let positions: Vec<_> = outcomes.try_iter().map(|outcome| outcome.unwrap().get()).collect();
        assert_eq!(positions, (0..accepted).collect::<Vec<_>>());
    }
}
