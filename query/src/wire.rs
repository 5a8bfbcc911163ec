//! The bodies that are ours to shape: everything but the run itself, which is `model::RunView` as it stands.

mod aggregates;
mod compare;
mod latency;

use std::borrow::Cow;
use std::collections::BTreeMap;

use agenttracer_index::{RunSummary, Stats};
use agenttracer_model::openapi::{FailureCode, ReasonName, SignalName, schema};
use agenttracer_model::taxonomy::{DecisionType, FailureType, RunStatus, SignalType, StepStatus, StepType};
use agenttracer_model::{Decision, Event, Failure, Metadata, Position, RunBatch, Signal, Step, Timestamp};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

pub(crate) use aggregates::*;
pub(crate) use compare::*;
pub(crate) use latency::RunLatencyView;

/// A run without its children: the fields of a run in their order, then counts.
#[derive(Serialize, ToSchema)]
#[schema(as = RunSummary)]
pub(crate) struct SummaryView<'a> {
    run_id: Uuid,
    agent_id: &'a str,
    agent_version: &'a str,
    environment: &'a str,
    status: RunStatus,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    created_at: Timestamp,
    duration_ms: Option<u64>,
    parent_run_id: Option<Uuid>,
    parent_step_id: Option<Uuid>,
    session_id: Option<&'a str>,
    trace_id: Option<&'a str>,
    metadata: &'a Metadata,
    removed_count: u32,
    position: Position,
    step_count: u32,
    retry_count: u32,
    decision_count: u32,
    signal_count: u32,
    attention_count: u32,
    failures: Vec<FailureBrief<'a>>,
}

#[derive(Serialize, ToSchema)]
struct FailureBrief<'a> {
    failure_type: FailureType,
    #[schema(value_type = FailureCode)]
    failure_code: &'a str,
}

impl<'a> From<&'a RunSummary> for SummaryView<'a> {
    fn from(run: &'a RunSummary) -> Self {
        Self {
            run_id: run.run_id,
            agent_id: &run.agent_id,
            agent_version: &run.agent_version,
            environment: &run.environment,
            status: run.status,
            started_at: run.started_at,
            ended_at: run.ended_at,
            created_at: run.created_at,
            duration_ms: run.duration_ms,
            parent_run_id: run.parent_run_id,
            parent_step_id: run.parent_step_id,
            session_id: run.session_id.as_deref(),
            trace_id: run.trace_id.as_deref(),
            metadata: &run.metadata,
            removed_count: run.removed_count,
            position: run.position(),
            step_count: run.step_count(),
            retry_count: run.retry_count,
            decision_count: run.decision_count(),
            signal_count: run.signal_count(),
            attention_count: run.attention_count(),
            failures: run
                .failures
                .iter()
                .map(|failure| FailureBrief { failure_type: failure.failure_type, failure_code: &failure.failure_code })
                .collect(),
        }
    }
}

/// The body of `GET /v1/stats`.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Stats)]
pub(crate) struct StatsView {
    total_runs: u64,
    total_failures: u64,
    success_rate: f64,
    avg_latency_ms: f64,
    failure_breakdown: BTreeMap<String, u64>,
    #[schema(value_type = BTreeMap<String, u64>)]
    step_type_breakdown: InOrder,
}

/// Counts by step type, in the order of the taxonomy, those that occur.
#[derive(Debug, PartialEq)]
struct InOrder(Vec<(StepType, u64)>);

impl Serialize for InOrder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(kind, count)| (kind, count)))
    }
}

impl From<Stats> for StatsView {
    fn from(stats: Stats) -> Self {
        let succeeded = stats.runs - stats.failed_runs;
        let steps: u64 = stats.steps_by_type.iter().sum();
        Self {
            total_runs: stats.runs,
            total_failures: stats.failed_runs,
            success_rate: ratio(100.0 * succeeded as f64, stats.runs),
            avg_latency_ms: ratio(stats.step_latency_ms as f64, steps),
            failure_breakdown: stats
                .failures
                .into_iter()
                .map(|((kind, code), count)| (format!("{kind}/{code}"), count))
                .collect(),
            step_type_breakdown: InOrder(
                StepType::ALL.iter().copied().zip(stats.steps_by_type).filter(|(_, count)| *count > 0).collect(),
            ),
        }
    }
}

/// `sum / count` with two decimals; 0 when there is nothing to divide by.
fn ratio(sum: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { two_decimals(sum / count as f64) }
}

/// Rounds to two decimals as Python's `round(x, 2)` does: the exact value of the float decides, and what lies exactly
/// in the middle goes to the even digit.
pub(crate) fn two_decimals(number: f64) -> f64 {
    // Printing with a precision is exact, and rounds in this way.
    format!("{number:.2}").parse().unwrap_or(number)
}

/// The body of `GET /health`.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct HealthView<'a> {
    #[schema(schema_with = health_status)]
    pub(crate) status: &'static str,
    pub(crate) service: &'static str,
    pub(crate) version: &'a str,
    /// What a 2xx of the write side means: `always` or `interval=..`.
    pub(crate) sync_mode: String,
    /// The first position that queries do not see yet.
    pub(crate) position: Position,
    /// Where this server takes runs in, when it does.
    pub(crate) ingest_port: Option<u16>,
    /// Why the status is not `healthy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) reason: Option<String>,
    /// What an operator should know, though everything works.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) warning: Option<&'static str>,
}

fn health_status() -> ObjectBuilder {
    schema::one_of(["healthy", "degraded"])
        .description(Some("`degraded`: a part of the log is damaged; everything else is answered."))
}

/// The data of the event `missed` of `GET /v1/tail`: records that were passed over.
#[derive(Serialize, ToSchema)]
#[schema(as = Missed)]
pub(crate) struct MissedView {
    pub(crate) from: Position,
    /// The first that was not.
    pub(crate) to: Position,
    /// `behind`: the client was too far behind. `damaged`: the log is damaged there.
    #[schema(schema_with = missed_reason)]
    pub(crate) reason: &'static str,
}

fn missed_reason() -> ObjectBuilder {
    schema::one_of(["behind", "damaged"])
}

/// One record of a run: its position, when the server took it in, its type, and its fields as they were sent.
pub struct Record<'a> {
    position: Position,
    received_at: Timestamp,
    event_time: Option<Timestamp>,
    event: &'a Event,
}

/// The records of `batches`, in order.
pub fn records(batches: &[RunBatch]) -> Vec<Record<'_>> {
    batches
        .iter()
        .flat_map(|batch| {
            batch.events.iter().zip(0_u64..).map(|(timed, index)| Record {
                position: batch.position.advance(index),
                received_at: batch.received_at,
                event_time: timed.time,
                event: &timed.event,
            })
        })
        .collect()
}

impl Record<'_> {
    /// The record's position.
    pub fn position(&self) -> Position {
        self.position
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("position", &self.position)?;
        map.serialize_entry("time", &self.received_at)?;
        map.serialize_entry("type", type_name(self.event))?;
        if let Some(time) = &self.event_time {
            map.serialize_entry("event_time", time)?;
        }
        match self.event {
            Event::RunStarted(started) => {
                map.serialize_entry("agent_id", &started.agent_id)?;
                map.serialize_entry("agent_version", &started.agent_version)?;
                map.serialize_entry("environment", &started.environment)?;
                map.serialize_entry("started_at", &started.started_at)?;
                map.serialize_entry("parent_run_id", &started.parent_run_id)?;
                map.serialize_entry("parent_step_id", &started.parent_step_id)?;
                map.serialize_entry("session_id", &started.session_id)?;
                map.serialize_entry("trace_id", &started.trace_id)?;
                map.serialize_entry("metadata", &started.metadata)?;
            }
            Event::StepStarted(step) | Event::StepEnded(step) => step_fields(&mut map, step)?,
            Event::FailureRecorded(failure) => failure_fields(&mut map, failure)?,
            Event::DecisionRecorded(decision) => decision_fields(&mut map, decision)?,
            Event::SignalRecorded(signal) => signal_fields(&mut map, signal)?,
            Event::RunEnded(ended) => {
                map.serialize_entry("status", &ended.status)?;
                map.serialize_entry("ended_at", &ended.ended_at)?;
                map.serialize_entry("removed_count", &ended.removed_count)?;
            }
            Event::Heartbeat | Event::RunAbandoned | Event::RunErased => {}
        }
        map.end()
    }
}

/// The event's type on the wire (contract §5a).
const fn type_name(event: &Event) -> &'static str {
    match event {
        Event::RunStarted(_) => "run_started",
        Event::StepStarted(_) => "step_started",
        Event::StepEnded(_) => "step_ended",
        Event::FailureRecorded(_) => "failure_recorded",
        Event::DecisionRecorded(_) => "decision_recorded",
        Event::SignalRecorded(_) => "signal_recorded",
        Event::Heartbeat => "heartbeat",
        Event::RunEnded(_) => "run_ended",
        Event::RunAbandoned => "run_abandoned",
        Event::RunErased => "run_erased",
    }
}

fn step_fields<M: SerializeMap>(map: &mut M, step: &Step) -> Result<(), M::Error> {
    map.serialize_entry("step_id", &step.step_id)?;
    map.serialize_entry("seq", &step.seq)?;
    map.serialize_entry("step_type", &step.step_type)?;
    map.serialize_entry("name", &step.name)?;
    map.serialize_entry("latency_ms", &step.latency_ms)?;
    map.serialize_entry("started_at", &step.started_at)?;
    map.serialize_entry("ended_at", &step.ended_at)?;
    map.serialize_entry("metadata", &step.metadata)?;
    map.serialize_entry("status", &step.status)?;
    map.serialize_entry("error_code", &step.error_code)?;
    map.serialize_entry("parent_step_id", &step.parent_step_id)?;
    map.serialize_entry("attempt", &step.attempt)?;
    map.serialize_entry("retry_of", &step.retry_of)
}

fn failure_fields<M: SerializeMap>(map: &mut M, failure: &Failure) -> Result<(), M::Error> {
    map.serialize_entry("failure_id", &failure.failure_id)?;
    map.serialize_entry("step_id", &failure.step_id)?;
    map.serialize_entry("failure_type", &failure.failure_type)?;
    map.serialize_entry("failure_code", &failure.failure_code)?;
    map.serialize_entry("message", &failure.message)
}

fn decision_fields<M: SerializeMap>(map: &mut M, decision: &Decision) -> Result<(), M::Error> {
    map.serialize_entry("decision_id", &decision.decision_id)?;
    map.serialize_entry("step_id", &decision.step_id)?;
    map.serialize_entry("decision_type", &decision.reason.decision_type())?;
    map.serialize_entry("selected", &decision.selected)?;
    map.serialize_entry("reason_code", decision.reason.as_str())?;
    map.serialize_entry("candidates", &decision.candidates)?;
    map.serialize_entry("confidence", &decision.confidence)?;
    map.serialize_entry("metadata", &decision.metadata)
}

fn signal_fields<M: SerializeMap>(map: &mut M, signal: &Signal) -> Result<(), M::Error> {
    map.serialize_entry("signal_id", &signal.signal_id)?;
    map.serialize_entry("step_id", &signal.step_id)?;
    map.serialize_entry("signal_type", &signal.code.signal_type())?;
    map.serialize_entry("signal_code", signal.code.as_str())?;
    map.serialize_entry("value", &signal.value)?;
    map.serialize_entry("weight", &signal.weight)?;
    map.serialize_entry("metadata", &signal.metadata)
}

impl ToSchema for Record<'_> {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Event")
    }
}

impl PartialSchema for Record<'_> {
    fn schema() -> RefOr<Schema> {
        type Text = Option<String>;
        let id = || RefOr::from(schema::uuid());
        let optional_id = || RefOr::from(schema::nullable(schema::uuid()));
        let step = [
            ("step_id", id()),
            ("seq", u32::schema()),
            ("step_type", StepType::schema()),
            ("name", String::schema()),
            ("latency_ms", u64::schema()),
            ("started_at", Timestamp::schema()),
            ("ended_at", Timestamp::schema()),
            ("metadata", Metadata::schema()),
            ("status", StepStatus::schema()),
            ("error_code", Text::schema()),
            ("parent_step_id", optional_id()),
            ("attempt", <Option<u32>>::schema()),
            ("retry_of", optional_id()),
        ];
        type Field<'a> = (&'a str, RefOr<Schema>);
        let kinds: [(&[&str], &[Field<'_>]); 7] = [
            (
                &["run_started"],
                &[
                    ("agent_id", String::schema()),
                    ("agent_version", String::schema()),
                    ("environment", String::schema()),
                    ("started_at", Timestamp::schema()),
                    ("parent_run_id", optional_id()),
                    ("parent_step_id", optional_id()),
                    ("session_id", Text::schema()),
                    ("trace_id", Text::schema()),
                    ("metadata", Metadata::schema()),
                ],
            ),
            (&["step_started", "step_ended"], &step),
            (
                &["failure_recorded"],
                &[
                    ("failure_id", id()),
                    ("step_id", optional_id()),
                    ("failure_type", FailureType::schema()),
                    ("failure_code", FailureCode::schema()),
                    ("message", String::schema()),
                ],
            ),
            (
                &["decision_recorded"],
                &[
                    ("decision_id", id()),
                    ("step_id", optional_id()),
                    ("decision_type", DecisionType::schema()),
                    ("selected", String::schema()),
                    ("reason_code", ReasonName::schema()),
                    ("candidates", <Vec<String>>::schema()),
                    ("confidence", <Option<f64>>::schema()),
                    ("metadata", Metadata::schema()),
                ],
            ),
            (
                &["signal_recorded"],
                &[
                    ("signal_id", id()),
                    ("step_id", optional_id()),
                    ("signal_type", SignalType::schema()),
                    ("signal_code", SignalName::schema()),
                    ("value", bool::schema()),
                    ("weight", <Option<f64>>::schema()),
                    ("metadata", Metadata::schema()),
                ],
            ),
            (
                &["run_ended"],
                &[
                    ("status", RunStatus::schema()),
                    ("ended_at", RefOr::from(schema::nullable(schema::time()))),
                    ("removed_count", u32::schema()),
                ],
            ),
            (&["heartbeat", "run_abandoned", "run_erased"], &[]),
        ];
        let mut one = OneOfBuilder::new().description(Some("A record of a run, with the fields of its type."));
        for (types, fields) in kinds {
            let mut object = ObjectBuilder::new()
                .property("position", Position::schema())
                .required("position")
                .property("time", Timestamp::schema())
                .required("time")
                .property("type", schema::one_of(types.iter().copied()))
                .required("type")
                .property("event_time", Timestamp::schema());
            for (name, field) in fields {
                object = object.property(*name, field.clone()).required(*name);
            }
            one = one.item(object);
        }
        one.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agenttracer_model::TimedEvent;

    #[test]
    fn rounds_as_python_does() {
        // Each right side is what CPython's `round(x, 2)` gives.
        for (number, rounded) in [
            (0.125, 0.12),
            (0.375, 0.38),
            (2.675, 2.67),
            (1.005, 1.0),
            (66.666_666_666_666_67, 66.67),
            (33.333_333_333_333_336, 33.33),
            (99.995, 100.0),
            (99.994_999, 99.99),
            (100.0, 100.0),
            (0.0, 0.0),
            (9_007_199_254_740_991.0, 9_007_199_254_740_991.0),
        ] {
            assert_eq!(two_decimals(number), rounded, "{number}");
        }
    }

    #[test]
    fn no_run_is_no_success_and_no_latency() {
        let view = StatsView::from(Stats::default());
        assert_eq!(
            sonic_rs::to_string(&view).unwrap(),
            r#"{"total_runs":0,"total_failures":0,"success_rate":0.0,"avg_latency_ms":0.0,"failure_breakdown":{},"step_type_breakdown":{}}"#
        );
    }

    #[test]
    fn stats_have_the_contract_s_shape() {
        let stats = Stats {
            runs: 3,
            failed_runs: 1,
            step_latency_ms: 1_000,
            steps_by_type: [0, 1, 2, 0, 0],
            failures: BTreeMap::from([
                ((FailureType::Tool, "timeout".to_owned()), 2),
                ((FailureType::Model, "rate_limited".to_owned()), 1),
            ]),
        };
        assert_eq!(
            sonic_rs::to_string(&StatsView::from(stats)).unwrap(),
            r#"{"total_runs":3,"total_failures":1,"success_rate":66.67,"avg_latency_ms":333.33,"failure_breakdown":{"model/rate_limited":1,"tool/timeout":2},"step_type_breakdown":{"retrieve":1,"tool":2}}"#
        );
        let all = Stats { runs: 2, ..Stats::default() };
        assert!(sonic_rs::to_string(&StatsView::from(all)).unwrap().contains(r#""success_rate":100.0,"#));
    }

    #[test]
    fn records_carry_their_positions() {
        let batch = RunBatch {
            position: Position::new(7),
            received_at: Timestamp::MIN_SENT,
            run_id: Uuid::nil(),
            whole: false,
            events: vec![
                TimedEvent::new(None, Event::Heartbeat),
                TimedEvent::new(Some(Timestamp::MIN_SENT), Event::RunAbandoned),
            ],
        };
        assert_eq!(
            sonic_rs::to_string(&records(&[batch])).unwrap(),
            concat!(
                r#"[{"position":7,"time":"2000-01-01T00:00:00Z","type":"heartbeat"},"#,
                r#"{"position":8,"time":"2000-01-01T00:00:00Z","type":"run_abandoned","event_time":"2000-01-01T00:00:00Z"}]"#
            )
        );
    }
}
