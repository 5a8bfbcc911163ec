//! Runs in memory: append-only chunks with one writer and readers that never wait.
//!
//! Each entry has a sequence number, counted over all chunks. A reader has a visible number and sees the entries below
//! it; an entry that a newer version of its run replaced says with which number it went. So a reader sees, at any time
//! and for as long as it likes, exactly one version of each run.

use std::mem::size_of;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use crate::RunSummary;

/// Entries of a chunk.
const SLOTS: usize = 1024;
/// Twice the slots, so that probing stays short; a power of two.
const TABLE: usize = 2 * SLOTS;

/// What `superseded_by` holds of an entry that is its run's newest version.
const NEWEST: u64 = u64::MAX;

/// One version of a run.
pub(crate) struct Entry {
    pub(crate) run: Arc<RunSummary>,
    /// Whether an earlier version of the run exists, hot or cold.
    pub(crate) late: bool,
    seq: u64,
    superseded_by: AtomicU64,
}

impl Entry {
    /// Whether a reader with this visible number sees the entry.
    pub(crate) fn is_visible(&self, visible: u64) -> bool {
        self.seq < visible && self.superseded_by.load(Ordering::Relaxed) >= visible
    }

    /// Its number.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Takes the entry's place from `seq` on. Readers notice when they are given a visible number above `seq`.
    pub(crate) fn supersede(&self, seq: u64) {
        self.superseded_by.store(seq, Ordering::Relaxed);
    }
}

/// A fixed number of entries with a hash table over their run ids.
pub(crate) struct Chunk {
    first_seq: u64,
    slots: Box<[OnceLock<Entry>]>,
    /// 0, or a slot + 1 in the lower half and a tag of the hash in the upper one.
    table: Box<[AtomicU32]>,
}

impl Chunk {
    /// An empty chunk whose first entry will have this number.
    pub(crate) fn new(first_seq: u64) -> Self {
        Self {
            first_seq,
            slots: (0..SLOTS).map(|_| OnceLock::new()).collect(),
            table: (0..TABLE).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// Whether an entry with this number still belongs here.
    pub(crate) fn takes(&self, seq: u64) -> bool {
        seq - self.first_seq < SLOTS as u64
    }

    /// Appends the entry with number `seq`, which must be the next one. Only the writer may call this.
    pub(crate) fn push(&self, seq: u64, run: Arc<RunSummary>, hash: u64, late: bool) {
        let slot = (seq - self.first_seq) as usize;
        let entry = Entry { run, late, seq, superseded_by: AtomicU64::new(NEWEST) };
        assert!(self.slots[slot].set(entry).is_ok(), "a slot is written once");
        let cell = tag(hash) | (slot as u32 + 1);
        let mut at = hash as usize % TABLE;
        while self.table[at].load(Ordering::Relaxed) != 0 {
            at = (at + 1) % TABLE;
        }
        self.table[at].store(cell, Ordering::Release);
    }

    /// The version of a run that is visible at `visible`, when it stands in this chunk.
    pub(crate) fn find(&self, run_id: Uuid, hash: u64, visible: u64) -> Option<&Entry> {
        let mut at = hash as usize % TABLE;
        loop {
            let cell = self.table[at].load(Ordering::Acquire);
            if cell == 0 {
                return None;
            }
            if cell & 0xffff_0000 == tag(hash)
                && let Some(entry) = self.slots[(cell & 0xffff) as usize - 1].get()
                && entry.run.run_id == run_id
                && entry.is_visible(visible)
            {
                return Some(entry);
            }
            at = (at + 1) % TABLE;
        }
    }

    /// The entries visible at `visible`, oldest first.
    pub(crate) fn visible(&self, visible: u64) -> impl Iterator<Item = &Entry> {
        let count = visible.saturating_sub(self.first_seq).min(SLOTS as u64) as usize;
        self.slots[..count].iter().filter_map(OnceLock::get).filter(move |entry| entry.is_visible(visible))
    }
}

/// The upper half of a table's cell: bits of the hash that the place in the table does not use.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & 0xffff_0000
}

/// About how many bytes a hot run keeps in memory. Names are shared between runs, so only their pointers count.
pub(crate) fn memory_bytes(run: &RunSummary) -> u64 {
    // The entry and its share of the table stand for the chunk.
    let fixed = size_of::<RunSummary>() + size_of::<OnceLock<Entry>>() + 2 * size_of::<AtomicU32>() + 16;
    let lists = run.steps.capacity() * size_of::<crate::StepSummary>()
        + run.decisions.capacity() * size_of::<crate::DecisionSummary>()
        + run.signals.capacity() * size_of::<crate::SignalSummary>()
        + run.step_facts.capacity() * size_of::<Arc<str>>()
        + run.usage.capacity() * size_of::<crate::UsageSummary>()
        + run.failures.capacity() * size_of::<crate::FailureSummary>()
        + run.batches.capacity() * size_of::<agenttracer_model::Position>();
    let own_texts = run.session_id.as_ref().map_or(0, |text| text.len() + 16)
        + run.trace_id.as_ref().map_or(0, |text| text.len() + 16);
    (fixed + lists + own_texts) as u64 + object_bytes(&run.metadata)
}

fn object_bytes(object: &agenttracer_model::Metadata) -> u64 {
    object
        .0
        .iter()
        .map(|(key, value)| (size_of::<(String, agenttracer_model::Value)>() + key.len()) as u64 + value_bytes(value))
        .sum()
}

fn value_bytes(value: &agenttracer_model::Value) -> u64 {
    use agenttracer_model::Value;
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(values) => values.iter().map(|value| size_of::<Value>() as u64 + value_bytes(value)).sum(),
        Value::Object(object) => object_bytes(object),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Float(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::run;

    #[test]
    fn a_reader_sees_one_version_of_each_run_whatever_it_looks_at() {
        let chunk = Chunk::new(10);
        let id = run(1).run_id;
        chunk.push(10, Arc::new(run(0)), 5, false);
        chunk.push(11, Arc::new(run(1)), 5, false);
        let mut newer = run(1);
        newer.removed_count = 9;
        chunk.find(id, 5, 12).unwrap().supersede(12);
        chunk.push(12, Arc::new(newer), 5, true);

        assert!(chunk.find(id, 5, 11).is_none());
        assert_eq!(chunk.find(id, 5, 12).unwrap().run.removed_count, 0);
        assert_eq!(chunk.find(id, 5, 13).unwrap().run.removed_count, 9);
        assert_eq!([10, 11, 12, 13].map(|visible| chunk.visible(visible).count()), [0, 1, 2, 2]);
        assert!(chunk.find(run(2).run_id, 5, 13).is_none());
    }

    #[test]
    fn a_full_chunk_finds_all_even_when_every_hash_is_the_same() {
        let chunk = Chunk::new(0);
        for seq in 0..SLOTS as u64 {
            assert!(chunk.takes(seq));
            chunk.push(seq, Arc::new(run(seq)), u64::MAX, false);
        }
        assert!(!chunk.takes(SLOTS as u64));
        for seq in 0..SLOTS as u64 {
            assert_eq!(chunk.find(run(seq).run_id, u64::MAX, u64::MAX - 1).unwrap().seq, seq);
        }
    }
}
