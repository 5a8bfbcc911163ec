//! One event of a live run (contract §5a): from its bytes to what can be stored.

use agenttracer_model::privacy::{MessageWords, MetadataOf, Removed};
use agenttracer_model::{Event, EventMark, Metadata, RunEnded, RunStarted, TimedEvent, Timestamp};
use sonic_rs::Value;
use uuid::Uuid;

use crate::clean;
use crate::error::Refused;
use crate::fields::{ClosedList, absent, fields};
use crate::issues::Rules;
use crate::json::{self, Numbers};
use crate::native::{self, Rejected};
use crate::validate::{Reader, STATUSES};

/// An event that may be stored.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The run it belongs to.
    pub(crate) run_id: Uuid,
    /// What it is known again by.
    pub(crate) mark: EventMark,
    /// The event.
    pub(crate) event: TimedEvent,
    /// What the privacy rules removed from it.
    pub(crate) removed: Removed,
}

/// What an event can be. The server's own kinds are not among them.
#[derive(Clone, Copy, Debug)]
enum Kind {
    RunStarted,
    StepStarted,
    StepEnded,
    DecisionRecorded,
    SignalRecorded,
    FailureRecorded,
    Heartbeat,
    RunEnded,
}

const KINDS: [(&str, Kind); 8] = [
    ("run_started", Kind::RunStarted),
    ("step_started", Kind::StepStarted),
    ("step_ended", Kind::StepEnded),
    ("decision_recorded", Kind::DecisionRecorded),
    ("signal_recorded", Kind::SignalRecorded),
    ("failure_recorded", Kind::FailureRecorded),
    ("heartbeat", Kind::Heartbeat),
    ("run_ended", Kind::RunEnded),
];

const TYPES: ClosedList<Kind> = ClosedList {
    parse: |text| KINDS.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind),
    names: || type_names().collect(),
};

/// What the `type` of an event can be.
pub(crate) fn type_names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(name, _)| *name)
}

/// Reads the event that is the item `item` of a request; ids that it lacks are made of `now`.
pub(crate) fn prepare(
    body: &[u8],
    item: usize,
    words: MessageWords,
    now: Timestamp,
) -> Result<Incoming, Box<Rejected>> {
    let malformed = |error: json::Malformed| {
        Box::new(Rejected { run_id: None, refused: Refused::Invalid(vec![error.at(Some(item))], Rules::default()) })
    };
    let read = |document: &Value| {
        let mut reader = Reader::new(Some(item), words);
        let draft = reader.event(document, now);
        reader.verdict(draft)
    };
    let mut verdict = read(&json::parse(body, Numbers::Nearest).map_err(malformed)?);
    if verdict.doubtful {
        verdict = read(&json::parse(body, Numbers::Exact).map_err(malformed)?);
    }
    let run_id = verdict.run_id;
    let (run_id, time, mut event) = verdict.draft.map_err(|refused| Box::new(Rejected { run_id, refused }))?;
    let removed = clean::event(&mut event);
    let count = removed.total();
    let mark = EventMark::of(time, count, &event);
    Ok(Incoming { run_id, mark, event: TimedEvent { time: Some(time), removed: count, event }, removed })
}

impl Reader {
    /// The run, the time and the event. Nothing here looks at other events: references and numbers that do not fit are
    /// settled when the run ends.
    fn event(&mut self, body: &Value, now: Timestamp) -> Option<(Uuid, Timestamp, Event)> {
        let object = self.issues.object(body)?;
        fields!(object; event_id, run_id, time);
        // A keyword, so it cannot be named like the others; of several the last counts, as of them.
        let kind = object.iter().filter(|(key, _)| *key == "type").last().map(|(_, value)| value);
        let issues = &mut self.issues;
        let event_id = issues.id("event_id", event_id);
        let run_id = match issues.id("run_id", run_id) {
            Some(id) if id.is_nil() => {
                issues.at("run_id", "missing", "Field required");
                None
            }
            run_id => run_id,
        };
        self.run_id = run_id;
        let kind = issues.one_of("type", kind, TYPES);
        let time = issues.datetime("time", time);
        // An entity without an id of its own has its event's: so the event, sent again, is about the same one.
        let own = |id: &mut Uuid, event_id: Uuid| {
            if id.is_nil() {
                *id = if event_id.is_nil() { native::make_id(now) } else { event_id };
            }
        };
        let event = match kind? {
            Kind::RunStarted => self.run_started(body, time).map(Event::RunStarted),
            Kind::StepStarted => self.step_begun(body, time).map(Event::StepStarted),
            Kind::StepEnded => self.step(body).map(Event::StepEnded),
            Kind::DecisionRecorded => self.decision(body).map(Event::DecisionRecorded),
            Kind::SignalRecorded => self.signal(body).map(Event::SignalRecorded),
            Kind::FailureRecorded => self.failure(body).map(Event::FailureRecorded),
            Kind::Heartbeat => Some(Event::Heartbeat),
            Kind::RunEnded => self.run_ended(body).map(Event::RunEnded),
        };
        let (event_id, mut event) = (event_id?, event?);
        match &mut event {
            Event::StepStarted(step) | Event::StepEnded(step) => own(&mut step.step_id, event_id),
            Event::FailureRecorded(failure) => own(&mut failure.failure_id, event_id),
            Event::DecisionRecorded(decision) => own(&mut decision.decision_id, event_id),
            Event::SignalRecorded(signal) => own(&mut signal.signal_id, event_id),
            _ => {}
        }
        Some((run_id?, time?, event))
    }

    fn run_started(&mut self, body: &Value, time: Option<Timestamp>) -> Option<RunStarted> {
        let object = self.issues.object(body)?;
        fields!(object; agent_id, agent_version, environment, started_at, parent_run_id, parent_step_id, session_id,
            trace_id, metadata);
        let issues = &mut self.issues;
        let agent_id = issues.text("agent_id", agent_id, 255);
        let agent_version = issues.text("agent_version", agent_version, 100);
        let environment = self.environment(environment);
        let issues = &mut self.issues;
        let started_at = if absent(started_at) { time } else { issues.datetime("started_at", started_at) };
        let parent_run_id = issues.optional_id("parent_run_id", parent_run_id);
        let parent_step_id = issues.optional_id("parent_step_id", parent_step_id);
        let session_id = issues.optional_text("session_id", session_id, 128);
        let trace_id = self.trace_id(trace_id);
        let metadata =
            if absent(metadata) { Some(Metadata::default()) } else { self.metadata(MetadataOf::Run, metadata) };
        Some(RunStarted {
            agent_id: agent_id?,
            agent_version: agent_version?,
            environment: environment?,
            started_at: started_at?,
            parent_run_id: parent_run_id?,
            parent_step_id: parent_step_id?,
            session_id: session_id?,
            trace_id: trace_id?,
            metadata: metadata?,
        })
    }

    fn run_ended(&mut self, body: &Value) -> Option<RunEnded> {
        let object = self.issues.object(body)?;
        fields!(object; status, ended_at);
        let status = self.issues.one_of("status", status, STATUSES);
        let ended_at = self.issues.optional_datetime("ended_at", ended_at);
        Some(RunEnded { status: status?, ended_at: ended_at?, removed_count: 0, digest: None })
    }
}
