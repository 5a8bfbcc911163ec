//! What was erased: folded from the log's own records, and kept as long as the log is.
//!
//! The set answers whether a run id is that of an erased run; the list tells of each erasure how it stands. Both are
//! derived data: `index/erasures` names the batches that they come from (see [`crate::notes`]), and a rebuild finds them
//! in the log again. Folding a batch twice changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use agenttracer_model::{Digest, Position, Timestamp};
use agenttracer_storage::StoredBatch;
use agenttracer_storage::log_record::{LogRecord, Selection, Tombstone};
use uuid::Uuid;

/// How many bytes of a hash are compared. Two runs with these in common are not to be found in any number of runs.
const KEY_BYTES: usize = 16;

type Key = [u8; KEY_BYTES];

/// A place in the log and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The position of the batch that says so.
    pub position: Position,
    /// When the server appended it.
    pub at: Timestamp,
}

/// How far an erasure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureState {
    /// It is in the log and will be completed, whatever crashes.
    Accepted,
    /// No query shows one of its runs any more.
    Hidden,
    /// No file holds a byte of them any more.
    Purged,
}

/// One erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Its id.
    pub id: Uuid,
    /// When it was accepted.
    pub accepted: Moment,
    /// By what its runs were chosen.
    pub selection: Selection,
    /// How many runs it erases.
    pub runs: u64,
    /// How many of them are erased by now.
    pub erased: u64,
    /// The batches that the erased runs had.
    pub batches: u64,
    /// SHA-256 over all its tombstones, once it is hidden.
    pub digest: Option<Digest>,
    /// When the last of its runs was hidden.
    pub hidden: Option<Moment>,
    /// When the last byte of them was gone.
    pub purged: Option<Moment>,
    /// The batches that hold its plan, when it erases many runs.
    pub plan: Vec<Position>,
    /// Whether the plan is whole: without one, or with half of one, nothing is erased but what the tombstones name.
    pub is_planned: bool,
    /// The batches that hold its tombstones, in order.
    pub tombstones: Vec<Position>,
}

impl Erasure {
    /// Whether it happens: it needs no plan, or all of its plan is in the log. Otherwise a crash cut it off before it
    /// was accepted, and it never will.
    pub fn is_certain(&self) -> bool {
        self.is_planned || !self.tombstones.is_empty()
    }

    /// How far it is.
    pub fn state(&self) -> ErasureState {
        match (self.hidden, self.purged) {
            (_, Some(_)) => ErasureState::Purged,
            (Some(_), None) => ErasureState::Hidden,
            (None, None) => ErasureState::Accepted,
        }
    }
}

/// Everything that was erased.
#[derive(Default)]
pub struct Erased {
    known: RwLock<Known>,
    /// Whether there is any erased run: nearly always there is none, and then no lock is taken.
    is_any: AtomicBool,
}

#[derive(Default)]
struct Known {
    /// By the hash of the run id: the batch with its tombstone.
    runs: HashMap<Key, Position>,
    erasures: BTreeMap<Uuid, Erasure>,
    by_position: BTreeMap<Position, Uuid>,
    /// Batches that nobody sees, and whose: they came after their run was erased, or beside one that had arrived whole.
    unseen: BTreeMap<Position, Uuid>,
}

impl Erased {
    /// The batch with the tombstone of this run, when it was erased.
    pub fn tombstone(&self, run_id: Uuid) -> Option<Position> {
        if !self.is_any.load(Ordering::Acquire) {
            return None;
        }
        self.read().runs.get(&key(&Digest::of_run_id(run_id).0)).copied()
    }

    /// Whether this run was erased.
    pub fn has(&self, run_id: Uuid) -> bool {
        self.tombstone(run_id).is_some()
    }

    /// Whether the run with this hash of its id was erased.
    pub fn has_hash(&self, hash: &[u8; 32]) -> bool {
        self.read().runs.contains_key(&key(hash))
    }

    /// How many runs were erased.
    pub fn runs(&self) -> u64 {
        self.read().runs.len() as u64
    }

    /// The batches below `position` that hold the tombstones of erased runs, ascending.
    pub fn tombstones_below(&self, position: Position) -> BTreeSet<Position> {
        self.read().runs.values().copied().filter(|at| *at < position).collect()
    }

    /// An erasure.
    pub fn erasure(&self, id: Uuid) -> Option<Erasure> {
        self.read().erasures.get(&id).cloned()
    }

    /// At most `limit` erasures that were accepted at one of these positions, the newest first.
    pub fn erasures(&self, positions: Range<Position>, limit: usize) -> Vec<Erasure> {
        let known = self.read();
        let ids = known.by_position.range(positions).rev().map(|(_, id)| id);
        ids.filter_map(|id| known.erasures.get(id).cloned()).take(limit).collect()
    }

    /// Those in this state, the oldest first.
    pub fn in_state(&self, state: ErasureState) -> Vec<Erasure> {
        let known = self.read();
        let all = known.by_position.values().filter_map(|id| known.erasures.get(id));
        all.filter(|erasure| erasure.state() == state).cloned().collect()
    }

    /// Batches of erased runs that are to be removed though a tombstone may not name them: they were on their way when the
    /// run was erased.
    pub fn late(&self) -> Vec<Position> {
        let known = self.read();
        let erased = known.unseen.iter().filter(|(_, run_id)| known.has(**run_id));
        erased.map(|(position, _)| *position).collect()
    }

    /// The batches of a run that nobody sees, ascending.
    pub fn unseen(&self, run_id: Uuid) -> Vec<Position> {
        let known = self.read();
        known.unseen.iter().filter(|(_, of)| **of == run_id).map(|(position, _)| *position).collect()
    }

    /// Says that these late batches are gone.
    pub fn forget_late(&self, gone: &[Position]) {
        let mut known = self.write();
        for position in gone {
            known.unseen.remove(position);
        }
    }

    /// Forgets the erasures that were accepted below `position`, which is about to be dropped from the log; their runs stay
    /// erased.
    pub fn forget_before(&self, position: Position) {
        let mut known = self.write();
        let kept = known.by_position.split_off(&position);
        for id in std::mem::replace(&mut known.by_position, kept).into_values() {
            known.erasures.remove(&id);
        }
    }

    /// Notes a batch that nobody sees.
    pub(crate) fn add_unseen(&self, run_id: Uuid, position: Position) {
        self.write().unseen.insert(position, run_id);
    }

    /// Makes these runs erased ones.
    pub(crate) fn add_runs(&self, runs: &[Tombstone], tombstones: Position) {
        let mut known = self.write();
        for run in runs {
            // The last one counts: those before may have been appended again because they are to be dropped.
            known.runs.insert(key(&run.run), tombstones);
        }
        drop(known);
        self.is_any.store(true, Ordering::Release);
    }

    /// Folds a batch of the log itself.
    pub(crate) fn fold(&self, batch: &StoredBatch, records: &[LogRecord]) {
        for record in records {
            if let LogRecord::RunsErased { runs, .. } = record {
                self.add_runs(runs, batch.position);
            }
        }
        self.write().fold(Moment { position: batch.position, at: batch.time }, records);
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn has(&self, run_id: Uuid) -> bool {
        self.runs.contains_key(&key(&Digest::of_run_id(run_id).0))
    }

    fn fold(&mut self, now: Moment, records: &[LogRecord]) {
        for record in records {
            match record {
                LogRecord::ErasureBegun { erasure, selection, runs } => {
                    self.by_position.insert(now.position, *erasure);
                    self.erasures.entry(*erasure).or_insert_with(|| Erasure {
                        id: *erasure,
                        accepted: now,
                        selection: *selection,
                        runs: *runs,
                        erased: 0,
                        batches: 0,
                        digest: None,
                        hidden: None,
                        purged: None,
                        plan: Vec::new(),
                        is_planned: false,
                        tombstones: Vec::new(),
                    });
                }
                LogRecord::ErasurePlanned { erasure, more, .. } => {
                    if let Some(erasure) = self.erasures.get_mut(erasure)
                        && !erasure.plan.contains(&now.position)
                    {
                        erasure.plan.push(now.position);
                        erasure.is_planned |= !more;
                    }
                }
                LogRecord::RunsErased { erasure, runs } => {
                    if let Some(erasure) = self.erasures.get_mut(erasure)
                        && erasure.tombstones.last().is_none_or(|last| *last < now.position)
                    {
                        erasure.tombstones.push(now.position);
                        erasure.erased += runs.len() as u64;
                        erasure.batches += runs.iter().map(|run| run.positions.len() as u64).sum::<u64>();
                    }
                }
                LogRecord::ErasureHidden { erasure, digest, .. } => {
                    if let Some(erasure) = self.erasures.get_mut(erasure) {
                        erasure.hidden.get_or_insert(now);
                        erasure.digest = Some(*digest);
                    }
                }
                LogRecord::ErasurePurged { erasure, .. } => {
                    if let Some(erasure) = self.erasures.get_mut(erasure) {
                        erasure.purged.get_or_insert(now);
                    }
                }
            }
        }
    }
}

fn key(hash: &[u8; 32]) -> Key {
    *hash.first_chunk().expect("a hash is longer")
}

#[cfg(test)]
mod tests {
    use agenttracer_storage::{Batch, Payload, log_record};

    use super::*;

    fn stored(batch: Batch, position: u64) -> StoredBatch {
        let Batch { kind, payload, records, time } = batch;
        StoredBatch { kind, position: Position::new(position), records, time, payload: Payload::Memory(payload.into()) }
    }

    #[test]
    fn folding_again_changes_nothing_and_each_record_moves_the_state_on() {
        let (id, run) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let erased = Erased::default();
        let tombstone = Tombstone { run: Digest::of_run_id(run).0, positions: vec![Position::new(3)] };
        let steps = [
            (LogRecord::ErasureBegun { erasure: id, selection: Selection::RUN, runs: 1 }, ErasureState::Accepted),
            (LogRecord::RunsErased { erasure: id, runs: vec![tombstone] }, ErasureState::Accepted),
            (
                LogRecord::ErasureHidden { erasure: id, runs: 1, batches: 1, digest: Digest([1; 32]) },
                ErasureState::Hidden,
            ),
            (LogRecord::ErasurePurged { erasure: id, digest: Digest([1; 32]) }, ErasureState::Purged),
        ];
        assert!(!erased.has(run));
        for (at, (record, state)) in (10..).zip(&steps) {
            let batch = stored(log_record::encode(std::slice::from_ref(record), Timestamp::from_micros(at)), at as u64);
            let records = log_record::decode(&batch).unwrap();
            erased.fold(&batch, &records);
            let once = erased.erasure(id);
            erased.fold(&batch, &records);
            assert_eq!(erased.erasure(id), once);
            assert_eq!(once.unwrap().state(), *state);
        }
        let erasure = erased.erasure(id).unwrap();
        assert_eq!((erasure.erased, erasure.batches, erasure.tombstones), (1, 1, vec![Position::new(11)]));
        assert_eq!(erasure.purged.map(|moment| moment.position), Some(Position::new(13)));
        assert_eq!((erased.tombstone(run), erased.has(Uuid::from_u128(3))), (Some(Position::new(11)), false));
        assert_eq!(erased.erasures(Position::ZERO..Position::new(10), 9), []);
        assert_eq!(erased.erasures(Position::ZERO..Position::new(11), 9).len(), 1);
        erased.forget_before(Position::new(10));
        assert!(erased.erasure(id).is_some());
        erased.forget_before(Position::new(11));
        assert_eq!((erased.erasure(id), erased.has(run)), (None, true));
    }
}
