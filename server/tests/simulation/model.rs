//! What was asked of the engine, what it answered, and what must therefore be in it: as plain as can be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use agenttracer_index::RunSummary;
use agenttracer_model::{Position, Run, RunView, Timestamp};
use agenttracer_storage::{AppendError, Batch, StoredBatch, Ticket, record};
use uuid::Uuid;

/// Names a batch that was sent.
pub(crate) type Id = usize;

pub(crate) type Outcome = Result<Position, AppendError>;

/// A run that was sent.
struct Sent {
    run: Run,
    batch: Batch,
    /// The engine said for certain that it is not stored.
    absent: bool,
}

/// Everything that was ever sent, and what must be there.
#[derive(Default)]
pub(crate) struct Model {
    sent: Vec<Sent>,
    by_payload: BTreeMap<Vec<u8>, Id>,
    /// Must be found at this position for ever, unless its run was erased.
    pub(crate) settled: BTreeMap<Position, Id>,
    /// Runs that somebody asked to erase: they may be gone.
    pub(crate) may_be_erased: BTreeSet<Uuid>,
    /// Runs that must be gone for ever.
    pub(crate) erased: BTreeSet<Uuid>,
}

/// What the runs in a log must look like to who asks the index.
pub(crate) type Expected = BTreeMap<Uuid, (Position, Id)>;

impl Model {
    /// A batch of `run`; no two have the same bytes.
    pub(crate) fn send(&mut self, mut run: Run, time: Timestamp) -> (Id, Batch) {
        let id = self.sent.len();
        run.removed_count = id as u32;
        let batch = record::encode_run(&run, time);
        let before = self.by_payload.insert(batch.payload.clone(), id);
        assert_eq!(before, None, "the model cannot tell two batches apart");
        self.sent.push(Sent { run, batch: batch.clone(), absent: false });
        (id, batch)
    }

    pub(crate) fn is_absent(&mut self, id: Id) {
        self.sent[id].absent = true;
    }

    /// The id of a run that was sent.
    pub(crate) fn run_id(&self, id: Id) -> Uuid {
        self.sent[id].run.run_id
    }

    /// How many were sent.
    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    /// A run of the same id as the one that was sent as `id`, with other content.
    pub(crate) fn again(&self, id: Id) -> Run {
        self.sent[id].run.clone()
    }

    /// Checks that `batch` is one that was sent, whole, and may be there; tells which.
    pub(crate) fn recognise(&self, batch: &StoredBatch) -> Id {
        let position = batch.position;
        let id = self.by_payload.get(&batch.payload[..]);
        let id = *id.unwrap_or_else(|| panic!("what stands at {position} was never sent"));
        let sent = &self.sent[id];
        assert_eq!((batch.records, batch.time), (sent.batch.records, sent.batch.time), "of batch {id} at {position}");
        assert!(!sent.absent, "batch {id} was refused, and yet it stands at {position}");
        if let Some(settled) = self.settled.get(&position) {
            assert_eq!(*settled, id, "another batch stands at {position}");
        }
        id
    }

    /// `id` must be at `position` from now on.
    pub(crate) fn settle(&mut self, position: Position, id: Id) {
        let before = self.settled.insert(position, id);
        assert!(before.is_none_or(|before| before == id), "two batches were promised position {position}");
    }

    /// Everything below this is settled.
    pub(crate) fn settled_end(&self) -> Position {
        self.settled.last_key_value().map_or(Position::ZERO, |(at, id)| self.end(*at, *id))
    }

    /// The position behind the batch `id` at `position`.
    pub(crate) fn end(&self, position: Position, id: Id) -> Position {
        position.advance(u64::from(self.sent[id].batch.records))
    }

    /// What the index must answer over a log of these batches: of the whole runs with one id the first one.
    pub(crate) fn fold(&self, batches: impl IntoIterator<Item = (Position, Id)>) -> Expected {
        let mut expected = Expected::new();
        for (position, id) in batches {
            expected.entry(self.run_id(id)).or_insert((position, id));
        }
        expected
    }

    /// Whether the run that was sent as `id` may be gone.
    pub(crate) fn is_excused(&self, id: Id) -> bool {
        self.may_be_erased.contains(&self.run_id(id))
    }

    /// The run view that the engine must show of the batch `id` at `position`.
    pub(crate) fn view(&self, position: Position, id: Id) -> RunView {
        let sent = &self.sent[id];
        sent.run.clone().into_view(sent.batch.time, position)
    }

    /// Holds what the index says of a run to what was sent.
    pub(crate) fn check_summary(&self, found: &RunSummary, position: Position, id: Id) {
        let Sent { run, batch, .. } = &self.sent[id];
        assert_eq!(
            (found.run_id, &*found.agent_id, &*found.agent_version, &*found.environment, found.status),
            (run.run_id, run.agent_id.as_str(), run.agent_version.as_str(), run.environment.as_str(), run.status),
            "batch {id}"
        );
        assert_eq!(
            (found.started_at, found.ended_at, found.created_at, found.whole, &found.batches[..]),
            (run.started_at, run.ended_at, batch.time, true, &[position][..]),
            "batch {id} of run {}",
            run.run_id
        );
        let names: BTreeSet<_> = run.steps.iter().map(|step| step.name.as_str()).collect();
        assert!(found.step_names().map(|name| &**name).eq(names), "the step names of batch {id}");
        let codes = run.failures.iter().map(|failure| failure.failure_code.as_str());
        assert!(found.failures.iter().map(|failure| &*failure.failure_code).eq(codes), "the failures of batch {id}");
        let counts = (found.step_count() as usize, found.decision_count() as usize, found.signal_count() as usize);
        assert_eq!(counts, (run.steps.len(), run.decisions.len(), run.quality_signals.len()), "of batch {id}");
        assert_eq!(found.removed_count, run.removed_count, "of batch {id}");
    }
}

/// The tickets of one life of the engine.
#[derive(Default)]
pub(crate) struct Tickets(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    outcomes: BTreeMap<Id, Option<Outcome>>,
    /// Called since somebody looked.
    new: Vec<(Id, Outcome)>,
}

impl Tickets {
    pub(crate) fn issue(&self, id: Id) -> Ticket {
        self.0.lock().unwrap().outcomes.insert(id, None);
        let answers = self.0.clone();
        Box::new(move |outcome| {
            let mut answers = answers.lock().unwrap();
            let before = answers.outcomes.insert(id, Some(outcome.clone()));
            assert_eq!(before, Some(None), "the ticket of batch {id} is called once");
            answers.new.push((id, outcome));
        })
    }

    /// The batch was not queued: its ticket is dropped.
    pub(crate) fn withdraw(&self, id: Id) {
        let ticket = self.0.lock().unwrap().outcomes.remove(&id);
        assert_eq!(ticket, Some(None), "the ticket of a refused batch is not called");
    }

    pub(crate) fn waiting(&self) -> bool {
        self.0.lock().unwrap().outcomes.values().any(Option::is_none)
    }

    /// The tickets that were called since the last look.
    pub(crate) fn take_new(&self) -> Vec<(Id, Outcome)> {
        std::mem::take(&mut self.0.lock().unwrap().new)
    }
}
