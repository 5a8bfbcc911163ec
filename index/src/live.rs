//! A live run in memory: what its summary needs of each event, so that one more event costs the same however many
//! there were.
//!
//! It is the fold of `agenttracer_model`, less what only the full view shows. That both agree is a test below; which
//! event wins is decided in one place for both, by [`EventKey`] and [`EventVersion`].

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use agenttracer_model::attempts::{AttemptInput, attempts, metadata_attempt, tells_of_failure};
use agenttracer_model::failure_path::{FailurePath, PathFailure, PathStep};
use agenttracer_model::taxonomy::{FailureType, ReasonCode, RunStatus, SignalCode, StepStatus, StepType};
use agenttracer_model::timing::{TimedStep, Timing};
use agenttracer_model::{
    ABANDONED_CODE, Event, EventKey, EventMark, EventVersion, Position, RunBatch, RunEnded, RunStarted, Step,
    Timestamp, abandoned_failure_id,
};
use agenttracer_storage::{Log, ReadError, record};
use uuid::Uuid;

use crate::names::Names;
use crate::usage::{RunUsage, StepUsage, Told};
use crate::{
    DecisionSummary, Fact as RunFact, FailureSummary, IndexError, RunSummary, SignalSummary, StepSummary, Tenth,
};

/// Up to so many steps, the retries of a run are counted while it goes on. It takes all its steps to count them, so
/// those of a longer run are counted when it is over.
pub(crate) const COUNTED_WHILE_RUNNING: usize = 256;

/// About how much memory a fact takes beside its texts, which are no longer than they are in the log.
const FACT_BYTES: u64 = 320;

/// The events of one live run, merged.
pub(crate) struct LiveRun {
    run_id: Uuid,
    /// The first positions of its batches, ascending.
    batches: Vec<Position>,
    created_at: Timestamp,
    events: u64,
    payload_bytes: u64,
    facts: HashMap<EventKey, Fact>,
    /// The position of the last giving up.
    abandoned: Option<Position>,
    /// When the server gave it up last.
    abandoned_at: Timestamp,
    /// The position of the last sign of life.
    last: Option<Position>,
    is_erased: bool,
    removed: u64,
    steps: Steps,
    /// By time and id, as the view shows them.
    failures: BTreeMap<(Timestamp, Uuid), FailureSummary>,
    /// How many of each tag of a reason, thing selected and tenth of the confidence.
    decisions: BTreeMap<(u16, Arc<str>, Tenth), u32>,
    /// How many of each tag of a code and value.
    signals: BTreeMap<(u16, bool), u32>,
}

/// Sums over the steps.
#[derive(Default)]
struct Steps {
    count: u64,
    /// How many steps of a name and type, and the sum of their latencies.
    by_name: BTreeMap<(Arc<str>, StepType), (u32, u128)>,
    /// How many steps have each fact.
    facts: BTreeMap<(&'static str, Arc<str>), u32>,
    usage: RunUsage,
}

/// The winner among the events of one key.
struct Fact {
    version: EventVersion,
    removed: u32,
    what: What,
}

enum What {
    Start(Box<RunStarted>),
    Step(Box<StepFact>),
    Failure { step_id: Option<Uuid>, kind: FailureType, code: Arc<str> },
    Decision { tag: u16, selected: Arc<str>, confidence: Tenth },
    Signal { step_id: Option<Uuid>, tag: u16, value: bool, tells_of_failure: bool },
    End(RunEnded),
    Nothing,
}

/// What is asked of a step.
struct StepFact {
    seq: u32,
    step_type: StepType,
    name: Arc<str>,
    latency_ms: u64,
    started_at: Timestamp,
    ended_at: Timestamp,
    status: StepStatus,
    parent_step_id: Option<Uuid>,
    attempt: Option<u32>,
    retry_of: Option<Uuid>,
    metadata_attempt: Option<u64>,
    /// Those that are facts of the run, too.
    facts: Vec<(&'static str, Arc<str>)>,
    usage: Option<StepUsage>,
}

/// What a live run holds already: the bounds of ingest ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSize {
    /// Batches, one a request.
    pub batches: u64,
    /// Events, repetitions included.
    pub events: u64,
    /// Bytes of the batches' payloads.
    pub payload_bytes: u64,
}

impl LiveRun {
    /// A run of which nothing is known yet.
    pub(crate) fn new(run_id: Uuid) -> Self {
        Self {
            run_id,
            batches: Vec::new(),
            created_at: Timestamp::default(),
            events: 0,
            payload_bytes: 0,
            facts: HashMap::new(),
            abandoned: None,
            abandoned_at: Timestamp::default(),
            last: None,
            is_erased: false,
            removed: 0,
            steps: Steps::default(),
            failures: BTreeMap::new(),
            decisions: BTreeMap::new(),
            signals: BTreeMap::new(),
        }
    }

    /// Reads the run from the log, for a look at it. Damage is passed over: the applier has counted it.
    pub(crate) fn read(log: &dyn Log, run_id: Uuid, batches: &[Position]) -> Result<Self, IndexError> {
        let (mut run, mut names) = (Self::new(run_id), Names::new());
        for &position in batches {
            match log.read(position) {
                Ok(batch) => {
                    let decoded = record::decode(&batch).map_err(|error| IndexError::Document(error.to_string()))?;
                    run.add(decoded, batch.payload.len(), &mut names);
                }
                Err(ReadError::Damaged(_) | ReadError::Gone { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(run)
    }

    /// Adds a batch, in any order; one that it has changes nothing. `payload_bytes` is its length in the log.
    pub(crate) fn add(&mut self, batch: RunBatch, payload_bytes: usize, names: &mut Names) {
        let Err(at) = self.batches.binary_search(&batch.position) else { return };
        if at == 0 {
            self.created_at = batch.received_at;
        }
        self.batches.insert(at, batch.position);
        self.events += batch.events.len() as u64;
        self.payload_bytes += payload_bytes as u64;
        for (timed, index) in batch.events.into_iter().zip(0..) {
            let position = batch.position.advance(index);
            if matches!(timed.event, Event::RunAbandoned) {
                if self.abandoned < Some(position) {
                    (self.abandoned, self.abandoned_at) = (Some(position), batch.received_at);
                }
                continue;
            }
            self.is_erased |= matches!(timed.event, Event::RunErased);
            self.last = self.last.max(Some(position));
            if let Some(key) = EventKey::of(&timed.event) {
                let version = EventVersion::of(timed.time.unwrap_or(batch.received_at), &timed.event);
                self.put(key, version, timed.removed, timed.event, names);
            }
        }
    }

    fn put(&mut self, key: EventKey, version: EventVersion, removed: u32, event: Event, names: &mut Names) {
        if let Some(known) = self.facts.get_mut(&key)
            && version <= known.version
        {
            if version == known.version && removed > known.removed {
                self.removed += u64::from(removed - known.removed);
                known.removed = removed;
            }
            return;
        }
        // What an ended step says of itself counts, not what its beginning said.
        let counts = !matches!(key, EventKey::StepStart(id) if self.facts.contains_key(&EventKey::StepEnd(id)));
        let fact = Fact { version, removed, what: What::of(event, names) };
        if counts {
            if let EventKey::StepEnd(id) = key
                && !self.facts.contains_key(&key)
                && let Some(Fact { what: What::Step(step), .. }) = self.facts.get(&EventKey::StepStart(id))
            {
                self.steps.remove(step);
            }
            match (&key, &fact.what) {
                (_, What::Step(step)) => {
                    if let Some(Fact { what: What::Step(before), .. }) = self.facts.get(&key) {
                        self.steps.remove(before);
                    }
                    self.steps.add(step);
                }
                (EventKey::Failure(id), What::Failure { kind, code, .. }) => {
                    if let Some(before) = self.facts.get(&key) {
                        self.failures.remove(&(before.version.time, *id));
                    }
                    let failure = FailureSummary { failure_type: *kind, failure_code: Arc::clone(code) };
                    self.failures.insert((version.time, *id), failure);
                }
                (_, What::Decision { tag, selected, confidence }) => {
                    if let Some(Fact { what: What::Decision { tag, selected, confidence }, .. }) = self.facts.get(&key)
                    {
                        take_one(&mut self.decisions, &(*tag, Arc::clone(selected), *confidence));
                    }
                    *self.decisions.entry((*tag, Arc::clone(selected), *confidence)).or_default() += 1;
                }
                (_, What::Signal { tag, value, .. }) => {
                    if let Some(Fact { what: What::Signal { tag, value, .. }, .. }) = self.facts.get(&key) {
                        take_one(&mut self.signals, &(*tag, *value));
                    }
                    *self.signals.entry((*tag, *value)).or_default() += 1;
                }
                _ => {}
            }
        }
        self.removed += u64::from(removed);
        match self.facts.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(fact);
            }
            Entry::Occupied(mut entry) => {
                self.removed -= u64::from(entry.get().removed);
                entry.insert(fact);
            }
        }
    }

    /// Whether an event with this mark would add nothing. Of a run that was given up every event is a sign of life.
    pub(crate) fn holds(&self, mark: &EventMark) -> bool {
        let fact = mark.key.filter(|_| !self.is_abandoned()).and_then(|key| self.facts.get(&key));
        fact.is_some_and(|fact| fact.version == mark.version && fact.removed >= mark.removed)
    }

    /// Whether the server gave it up, and no event came since.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.is_some() && self.last < self.abandoned && !self.facts.contains_key(&EventKey::End)
    }

    /// How much it holds.
    pub(crate) fn size(&self) -> LiveSize {
        LiveSize { batches: self.batches.len() as u64, events: self.events, payload_bytes: self.payload_bytes }
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        512 + self.payload_bytes + 8 * self.batches.capacity() as u64 + FACT_BYTES * self.facts.len() as u64
    }

    /// Its summary; one that says `started: false` while no start has come, and when the run was erased.
    pub(crate) fn summary(&self, names: &mut Names) -> RunSummary {
        let start = match self.facts.get(&EventKey::Start) {
            Some(Fact { what: What::Start(start), .. }) if !self.is_erased => Some(&**start),
            _ => None,
        };
        let ended = match self.facts.get(&EventKey::End) {
            Some(Fact { what: What::End(ended), version, .. }) => Some((ended, version.time)),
            _ => None,
        };
        let is_abandoned = self.is_abandoned();
        let status = match ended {
            Some((ended, _)) => ended.status,
            None if is_abandoned => RunStatus::Failure,
            None => RunStatus::Running,
        };
        let ended_at = ended.map(|(ended, time)| ended.ended_at.unwrap_or(time));
        let started_at = start.map_or(self.created_at, |start| start.started_at);
        let mut failures: Vec<_> = self.failures.values().cloned().collect();
        if is_abandoned {
            let key = (self.abandoned_at, abandoned_failure_id(self.run_id));
            let at = self.failures.range(..key).count();
            let failure_code = names.share(ABANDONED_CODE);
            failures.insert(at, FailureSummary { failure_type: FailureType::Orchestration, failure_code });
        }
        let summarised =
            start.and_then(|start| self.of_all_steps(&start.agent_id, status, is_abandoned)).unwrap_or_default();
        let removed = self.removed + ended.map_or(0, |(ended, _)| u64::from(ended.removed_count));
        let shared = |text: &Option<String>| text.as_deref().map(Arc::from);
        let metadata = start.map(|start| start.metadata.clone()).unwrap_or_default();
        RunSummary {
            run_id: self.run_id,
            agent_id: names.share(start.map_or("", |start| &start.agent_id)),
            agent_version: names.share(start.map_or("", |start| &start.agent_version)),
            environment: names.share(start.map_or("", |start| &start.environment)),
            // A run without a start is in no list, however it stands.
            status: if start.is_some() { status } else { RunStatus::Running },
            started: start.is_some(),
            started_at,
            ended_at,
            created_at: self.created_at,
            duration_ms: ended_at.map(|ended_at| ended_at.millis_since(started_at)),
            parent_run_id: start.and_then(|start| start.parent_run_id),
            parent_step_id: start.and_then(|start| start.parent_step_id),
            session_id: start.and_then(|start| shared(&start.session_id)),
            trace_id: start.and_then(|start| shared(&start.trace_id)),
            usage: self.steps.usage.summaries(&metadata, names),
            metadata,
            removed_count: u32::try_from(removed).unwrap_or(u32::MAX),
            retry_count: summarised.retry_count,
            steps: self.steps.summaries(),
            timing: summarised.timing,
            failures,
            failure_cluster: summarised.failure_cluster,
            decisions: self.decision_summaries(),
            signals: self.signal_summaries(),
            step_facts: self
                .steps
                .facts
                .keys()
                .take(RunFact::MAX_OF_STEPS)
                .map(|(key, value)| names.share(&RunFact::text(key, value)))
                .collect(),
            whole: false,
            batches: self.batches.clone(),
        }
    }

    /// What takes all steps to tell, with settled references when the run is over; `None` while a long run goes on.
    fn of_all_steps(&self, agent_id: &str, status: RunStatus, is_abandoned: bool) -> Option<OfAllSteps> {
        let is_over = status != RunStatus::Running;
        if !is_over && self.steps.count > COUNTED_WHILE_RUNNING as u64 {
            return None;
        }
        let steps: HashMap<Uuid, &StepFact> = self
            .facts
            .iter()
            .filter_map(|(key, fact)| match (key, &fact.what) {
                (EventKey::StepEnd(id), What::Step(step)) => Some((*id, &**step)),
                (EventKey::StepStart(id), What::Step(step)) => {
                    (!self.facts.contains_key(&EventKey::StepEnd(*id))).then_some((*id, &**step))
                }
                _ => None,
            })
            .collect();
        let unsuccessful: HashSet<Uuid> = self
            .facts
            .values()
            .filter_map(|fact| match fact.what {
                What::Failure { step_id, .. } | What::Signal { step_id, tells_of_failure: true, .. } => step_id,
                _ => None,
            })
            .collect();
        let inputs: Vec<_> = steps
            .iter()
            .map(|(&step_id, step)| AttemptInput {
                step_id,
                step_type: step.step_type,
                name: &step.name,
                parent: step.parent_step_id.filter(|parent| !is_over || steps.contains_key(parent)),
                seq: step.seq,
                started_at: step.started_at,
                ended_at: step.ended_at,
                status: step.status,
                did_not_succeed: step.status == StepStatus::Failed || unsuccessful.contains(&step_id),
                attempt: step.attempt,
                retry_of: step.retry_of,
                metadata_attempt: step.metadata_attempt,
            })
            .collect();
        let attempts = attempts(&inputs);
        let timed: Vec<_> = inputs
            .iter()
            .zip(&attempts)
            .map(|(input, attempt)| TimedStep {
                step_id: input.step_id,
                parent: input.parent,
                seq: input.seq,
                started_at: input.started_at,
                ended_at: input.ended_at,
                latency_ms: steps[&input.step_id].latency_ms,
                attempt: attempt.attempt,
                retry_group: attempt.retry_group,
            })
            .collect();
        Some(OfAllSteps {
            retry_count: attempts.iter().filter(|attempt| attempt.attempt > 1).count() as u32,
            timing: Timing::of(&timed),
            failure_cluster: self.failure_cluster(agent_id, status, is_abandoned, &inputs),
        })
    }

    fn failure_cluster(
        &self,
        agent_id: &str,
        status: RunStatus,
        is_abandoned: bool,
        inputs: &[AttemptInput<'_>],
    ) -> Option<u64> {
        if self.failures.is_empty() && status != RunStatus::Failure {
            return None;
        }
        let steps: Vec<_> = inputs
            .iter()
            .map(|step| PathStep {
                step_id: step.step_id,
                seq: step.seq,
                started_at: step.started_at,
                step_type: step.step_type,
                name: step.name,
                status: step.status,
            })
            .collect();
        let mut failures: Vec<_> = self
            .failures
            .keys()
            .filter_map(|(_, id)| match &self.facts.get(&EventKey::Failure(*id))?.what {
                What::Failure { step_id, kind, code } => {
                    Some(PathFailure { step_id: *step_id, failure_type: *kind, failure_code: code })
                }
                _ => None,
            })
            .collect();
        if is_abandoned {
            let at = self.failures.range(..(self.abandoned_at, abandoned_failure_id(self.run_id))).count();
            let given_up =
                PathFailure { step_id: None, failure_type: FailureType::Orchestration, failure_code: ABANDONED_CODE };
            failures.insert(at.min(failures.len()), given_up);
        }
        Some(FailurePath::of(status, &steps, &failures)?.signature(agent_id))
    }

    fn decision_summaries(&self) -> Vec<DecisionSummary> {
        let decisions = self.decisions.iter().filter_map(|((tag, selected, confidence), count)| {
            let reason = ReasonCode::from_tag(*tag)?;
            Some(DecisionSummary { reason, selected: Arc::clone(selected), confidence: *confidence, count: *count })
        });
        decisions.collect()
    }

    fn signal_summaries(&self) -> Vec<SignalSummary> {
        let signals = self.signals.iter().filter_map(|((tag, value), count)| {
            Some(SignalSummary { code: SignalCode::from_tag(*tag)?, value: *value, count: *count })
        });
        signals.collect()
    }
}

/// What takes all steps to tell.
#[derive(Default)]
struct OfAllSteps {
    retry_count: u32,
    timing: Timing,
    failure_cluster: Option<u64>,
}

/// Takes one of what is counted away.
fn take_one<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Steps {
    fn add(&mut self, step: &StepFact) {
        self.count += 1;
        let (count, latency_ms) = self.by_name.entry((Arc::clone(&step.name), step.step_type)).or_default();
        *count += 1;
        *latency_ms += u128::from(step.latency_ms);
        for fact in &step.facts {
            *self.facts.entry(fact.clone()).or_default() += 1;
        }
        step.usage.iter().for_each(|used| self.usage.add(used));
    }

    fn remove(&mut self, step: &StepFact) {
        self.count -= 1;
        let key = (Arc::clone(&step.name), step.step_type);
        if let Some((count, latency_ms)) = self.by_name.get_mut(&key) {
            *count -= 1;
            *latency_ms -= u128::from(step.latency_ms);
            if *count == 0 {
                self.by_name.remove(&key);
            }
        }
        for fact in &step.facts {
            take_one(&mut self.facts, fact);
        }
        step.usage.iter().for_each(|used| self.usage.remove(used));
    }

    fn summaries(&self) -> Vec<StepSummary> {
        let steps = self.by_name.iter().map(|((name, step_type), (count, latency_ms))| StepSummary {
            name: Arc::clone(name),
            step_type: *step_type,
            count: *count,
            latency_ms: u64::try_from(*latency_ms).unwrap_or(u64::MAX),
        });
        steps.collect()
    }
}

impl What {
    /// Of an event that has a key.
    fn of(event: Event, names: &mut Names) -> Self {
        match event {
            Event::RunStarted(start) => Self::Start(Box::new(start)),
            Event::StepStarted(step) | Event::StepEnded(step) => Self::Step(Box::new(StepFact::of(&step, names))),
            Event::FailureRecorded(failure) => Self::Failure {
                step_id: failure.step_id,
                kind: failure.failure_type,
                code: names.share(&failure.failure_code),
            },
            Event::SignalRecorded(signal) => Self::Signal {
                step_id: signal.step_id,
                tag: signal.code.tag(),
                value: signal.value,
                tells_of_failure: tells_of_failure(signal.code.signal_type(), signal.value),
            },
            Event::RunEnded(ended) => Self::End(ended),
            Event::DecisionRecorded(decision) => Self::Decision {
                tag: decision.reason.tag(),
                selected: names.share(&decision.selected),
                confidence: Tenth::of(decision.confidence),
            },
            // The others have no key, and do not come here.
            Event::Heartbeat | Event::RunAbandoned | Event::RunErased => Self::Nothing,
        }
    }
}

impl StepFact {
    fn of(step: &Step, names: &mut Names) -> Self {
        Self {
            seq: step.seq,
            step_type: step.step_type,
            name: names.share(&step.name),
            latency_ms: step.latency_ms,
            started_at: step.started_at,
            ended_at: step.ended_at,
            status: step.status,
            parent_step_id: step.parent_step_id,
            attempt: step.attempt,
            retry_of: step.retry_of,
            metadata_attempt: metadata_attempt(&step.metadata),
            usage: Told::of(&step.metadata, names),
            facts: RunFact::OF_STEPS
                .iter()
                .filter_map(|key| Some((*key, names.share(&step.metadata.get(key)?.as_fact()?))))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use agenttracer_model::taxonomy::{DecisionType, ReasonCode, SignalCode, SignalType};
    use agenttracer_model::{Decision, Failure, Metadata, Signal, TimedEvent, Value};
    use proptest::prelude::*;

    use super::*;
    use crate::summarise;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_790_000_000_000_000 + seconds * 1_000_000)
    }

    fn step(id: u128, seq: u32, latency_ms: u64, other: u128) -> Step {
        Step {
            step_id: Uuid::from_u128(id),
            seq,
            step_type: StepType::ALL[latency_ms as usize % 5],
            name: format!("step-{}", latency_ms % 2),
            latency_ms,
            started_at: at(i64::from(seq) * 10),
            ended_at: at(i64::from(seq) * 10 + 1),
            status: StepStatus::ALL[seq as usize % 3],
            error_code: None,
            // Often of no step of the run.
            parent_step_id: (other < 3).then(|| Uuid::from_u128(other)),
            attempt: (other == 3).then_some(seq + 1),
            retry_of: (other == 4).then(|| Uuid::from_u128(id % 5 + 1)),
            metadata: Metadata(vec![("attempt".to_owned(), Value::Uint(u64::from(seq)))]),
        }
    }

    fn start(agent: &str) -> RunStarted {
        RunStarted {
            agent_id: agent.to_owned(),
            agent_version: "v1".to_owned(),
            environment: "dev".to_owned(),
            started_at: at(0),
            parent_run_id: None,
            parent_step_id: None,
            session_id: Some("s".to_owned()),
            trace_id: None,
            metadata: Metadata(vec![("agent".to_owned(), Value::String(agent.to_owned()))]),
        }
    }

    /// Few ids, times and contents, so that they meet.
    fn event() -> impl Strategy<Value = TimedEvent> {
        let ids = 1u128..6;
        let steps = || (1u128..6, 0u32..4, 0u64..4, 0u128..6);
        let failure = |(id, code): (u128, String)| Failure {
            failure_id: Uuid::from_u128(id),
            step_id: Some(Uuid::from_u128(id)),
            failure_type: FailureType::Tool,
            failure_code: code,
            message: "m".to_owned(),
        };
        let decision = |id: u128| Decision {
            decision_id: Uuid::from_u128(id),
            step_id: None,
            reason: ReasonCode::parse(DecisionType::ToolSelection, "fresh_data_required").unwrap(),
            selected: "x".to_owned(),
            candidates: Vec::new(),
            confidence: None,
            metadata: Metadata::default(),
        };
        let signal = |(id, value): (u128, bool)| Signal {
            signal_id: Uuid::from_u128(id),
            step_id: Some(Uuid::from_u128(id)),
            code: SignalCode::parse(SignalType::ToolFailure, "timeout").unwrap(),
            value,
            weight: None,
            metadata: Metadata::default(),
        };
        let end = |(status, ended): (usize, Option<i64>)| RunEnded {
            status: [RunStatus::Success, RunStatus::Failure, RunStatus::Partial][status],
            ended_at: ended.map(at),
            removed_count: 0,
            digest: None,
        };
        let event = prop_oneof![
            2 => "[ab]".prop_map(|agent| Event::RunStarted(start(&agent))),
            3 => steps().prop_map(|(id, seq, ms, other)| Event::StepStarted(step(id, seq, ms, other))),
            4 => steps().prop_map(|(id, seq, ms, other)| Event::StepEnded(step(id, seq, ms, other))),
            2 => (ids.clone(), "[ab]").prop_map(failure).prop_map(Event::FailureRecorded),
            1 => ids.clone().prop_map(decision).prop_map(Event::DecisionRecorded),
            2 => (ids, any::<bool>()).prop_map(signal).prop_map(Event::SignalRecorded),
            1 => Just(Event::Heartbeat),
            1 => (0usize..3, prop_oneof![Just(None), (0i64..3).prop_map(Some)]).prop_map(end).prop_map(Event::RunEnded),
            1 => Just(Event::RunAbandoned),
        ];
        let time = prop_oneof![1 => Just(None), 9 => (0i64..4).prop_map(Some)];
        (time, 0u32..3, event).prop_map(|(time, removed, event)| TimedEvent { time: time.map(at), removed, event })
    }

    fn batches() -> impl Strategy<Value = Vec<RunBatch>> {
        prop::collection::vec(prop::collection::vec(event(), 1..6), 1..10).prop_map(|groups| {
            let mut position = Position::new(7);
            let mut batches = Vec::new();
            for events in groups {
                let received_at = at(position.get() as i64 % 5);
                let batch = RunBatch { position, received_at, run_id: Uuid::from_u128(1), whole: false, events };
                position = position.advance(batch.events.len() as u64);
                batches.push(batch);
            }
            batches
        })
    }

    fn added(batches: &[RunBatch]) -> LiveRun {
        let (mut run, mut names) = (LiveRun::new(Uuid::from_u128(1)), Names::new());
        batches.iter().for_each(|batch| run.add(batch.clone(), 10, &mut names));
        run
    }

    proptest! {
        #[test]
        fn it_is_the_fold_of_the_model_whatever_the_order(batches in batches(), order in any::<prop::sample::Index>(),
            again in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
            let mut names = Names::new();
            let summary = added(&batches).summary(&mut names);
            match summarise::of_batches(batches.clone(), &mut names) {
                Some(folded) => prop_assert_eq!(&summary, &folded),
                None => prop_assert!(!summary.started),
            }
            let mut moved = batches.clone();
            moved.rotate_left(order.index(batches.len()));
            moved.extend(again.iter().map(|index| batches[index.index(batches.len())].clone()));
            prop_assert_eq!(added(&moved).summary(&mut names), summary);
        }
    }

    #[test]
    fn an_event_that_it_holds_is_known_again_until_the_run_is_given_up() {
        let ended = TimedEvent::new(Some(at(3)), Event::StepEnded(step(1, 0, 5, 9)));
        let batch = |position: u64, events: Vec<TimedEvent>| RunBatch {
            position: Position::new(position),
            received_at: at(0),
            run_id: Uuid::from_u128(1),
            whole: false,
            events,
        };
        let mark = EventMark::of(at(3), 0, &ended.event);
        let mut run = added(&[batch(0, vec![ended.clone()])]);
        assert!(run.holds(&mark));
        assert!(!run.holds(&EventMark { removed: 1, ..mark }), "more was removed from this one");
        assert!(!run.holds(&EventMark::of(at(4), 0, &ended.event)), "it says that it was later");
        assert!(!run.holds(&EventMark::of(at(3), 0, &Event::Heartbeat)), "a heartbeat is no fact");
        run.add(batch(1, vec![TimedEvent::new(None, Event::RunAbandoned)]), 1, &mut Names::new());
        assert!(!run.holds(&mark), "it is a sign of life");
        assert_eq!(run.size(), LiveSize { batches: 2, events: 2, payload_bytes: 11 });
    }

    #[test]
    fn the_retries_of_a_long_run_are_counted_when_it_is_over() {
        let steps = (0..300u32).map(|n| {
            let mut step = step(u128::from(n) + 10, n, 0, 9);
            (step.status, step.metadata) = (StepStatus::Failed, Metadata::default());
            TimedEvent::new(Some(at(1)), Event::StepEnded(step))
        });
        let events =
            std::iter::once(TimedEvent::new(Some(at(0)), Event::RunStarted(start("a")))).chain(steps).collect();
        let batch =
            RunBatch { position: Position::ZERO, received_at: at(0), run_id: Uuid::from_u128(1), whole: false, events };
        let mut names = Names::new();
        let mut run = added(&[batch]);
        assert_eq!((run.summary(&mut names).step_count(), run.summary(&mut names).retry_count), (300, 0));
        let ended = RunEnded { status: RunStatus::Success, ended_at: None, removed_count: 0, digest: None };
        let events = vec![TimedEvent::new(Some(at(2)), Event::RunEnded(ended))];
        let end = RunBatch {
            position: Position::new(301),
            received_at: at(0),
            run_id: Uuid::from_u128(1),
            whole: false,
            events,
        };
        run.add(end, 1, &mut names);
        assert_eq!(run.summary(&mut names).retry_count, 299);
    }
}
