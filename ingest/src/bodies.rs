//! The bodies that clients send, as the OpenAPI document describes them: the plain forms, which every client can send. The
//! lenient ones beside them are told in the text. What really reads a body is `validate` and `event`; that both agree is
//! asked of the real server, with bodies made of these schemas.
#![expect(dead_code, reason = "these structs are never made; they are read by the derive alone")]

use agenttracer_model::openapi::{FailureCode, ReasonName, SignalName, schema};
use agenttracer_model::taxonomy::{DecisionType, FailureType, RunStatus, SignalType, StepStatus, StepType};
use agenttracer_model::{Metadata, Timestamp};
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use uuid::Uuid;

use crate::event;

/// A run that is over. Fields that are not known are ignored. Numbers and booleans are also read from strings, times also
/// from epoch seconds and milliseconds.
#[derive(ToSchema)]
pub(crate) struct NewRun {
    /// Made by the server when it is left out. The same id with the same content is the same run, sent again.
    run_id: Option<Uuid>,
    #[schema(min_length = 1, max_length = 255)]
    agent_id: String,
    #[schema(min_length = 1, max_length = 100)]
    agent_version: String,
    /// An empty string is the default.
    #[schema(required = false, max_length = 50, default = "production")]
    environment: String,
    #[schema(schema_with = ended_status)]
    status: RunStatus,
    started_at: Timestamp,
    /// Not before `started_at`.
    ended_at: Option<Timestamp>,
    /// The `seq` of the steps must be exactly 0 to n-1; their order in the array does not matter.
    #[schema(required = false, max_items = 10_000)]
    steps: Vec<NewStep>,
    /// Why it failed, or what it recovered from. On a run with status `failure` it may be left out, but not be null.
    failure: Option<NewFailure>,
    /// In place of `failure`, when there are several.
    #[schema(required = false, max_items = 10_000)]
    failures: Vec<NewFailure>,
    #[schema(max_items = 10_000)]
    decisions: Option<Vec<NewDecision>>,
    #[schema(max_items = 10_000)]
    quality_signals: Option<Vec<NewSignal>>,
    /// The run that began this one.
    parent_run_id: Option<Uuid>,
    /// The step of that run.
    parent_step_id: Option<Uuid>,
    /// The conversation.
    #[schema(max_length = 128)]
    session_id: Option<String>,
    #[schema(pattern = "^[0-9a-fA-F]{32}$")]
    trace_id: Option<String>,
    /// Facts about the run; what reads like content is removed.
    metadata: Option<Metadata>,
}

/// A step of a run.
#[derive(ToSchema)]
pub(crate) struct NewStep {
    /// Made by the server when it is left out.
    step_id: Option<Uuid>,
    #[schema(schema_with = step_seq)]
    seq: u32,
    step_type: StepType,
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    #[schema(schema_with = latency)]
    latency_ms: u64,
    started_at: Timestamp,
    /// Not before `started_at`.
    ended_at: Timestamp,
    /// Keys that name content are refused: prompt, response, output, input, content, text, message.
    #[schema(required = false)]
    metadata: Metadata,
    /// `unknown` when it is left out.
    status: Option<StepStatus>,
    #[schema(max_length = 100)]
    error_code: Option<String>,
    /// The step that this one is a part of.
    parent_step_id: Option<Uuid>,
    #[schema(schema_with = attempt)]
    attempt: Option<u32>,
    /// The operation's first attempt.
    retry_of: Option<Uuid>,
}

/// Why a run failed, or what it recovered from.
#[derive(ToSchema)]
pub(crate) struct NewFailure {
    /// A step of this run.
    step_id: Option<Uuid>,
    failure_type: FailureType,
    #[schema(value_type = FailureCode)]
    failure_code: String,
    /// Free text, cut at 500 characters. One that mentions a password, an API key, a token or a secret is refused; what looks
    /// like personal data is replaced.
    #[schema(min_length = 1)]
    message: String,
}

/// A choice that the agent made.
#[derive(ToSchema)]
pub(crate) struct NewDecision {
    /// Made by the server when it is left out.
    decision_id: Option<Uuid>,
    /// A step of this run.
    step_id: Option<Uuid>,
    decision_type: DecisionType,
    /// One that belongs to the `decision_type`.
    #[schema(value_type = ReasonName)]
    reason_code: String,
    #[schema(min_length = 1, max_length = 200)]
    selected: String,
    /// What could have been selected; 64 of them are kept.
    candidates: Option<Vec<String>>,
    #[schema(minimum = 0, maximum = 1)]
    confidence: Option<f64>,
    #[schema(required = false)]
    metadata: Scalars,
}

/// An observation about the quality of a run.
#[derive(ToSchema)]
pub(crate) struct NewSignal {
    /// Made by the server when it is left out.
    signal_id: Option<Uuid>,
    /// A step of this run.
    step_id: Option<Uuid>,
    signal_type: SignalType,
    /// One that belongs to the `signal_type`.
    #[schema(value_type = SignalName)]
    signal_code: String,
    value: bool,
    #[schema(minimum = 0, maximum = 1)]
    weight: Option<f64>,
    #[schema(required = false)]
    metadata: Scalars,
}

/// One event of a live run: beside these fields, those of a run, a step, a failure, a decision or a signal, as its type says.
/// `step_ended` has those of a `NewStep`, `step_started` the same without an end, `decision_recorded` those of a
/// `NewDecision`, `signal_recorded` those of a `NewSignal`, `failure_recorded` those of a `NewFailure`; `run_started` and
/// `run_ended` share those of a `NewRun`.
#[derive(ToSchema)]
pub(crate) struct NewEvent {
    /// Names what the event is about when that has no id of its own.
    event_id: Option<Uuid>,
    run_id: Uuid,
    #[schema(schema_with = event_type)]
    r#type: String,
    /// By the clock of the agent. Of two events about one thing the later counts, however they arrive.
    time: Timestamp,
}

/// Facts about a decision or a signal: no lists, no objects, no long texts.
pub(crate) struct Scalars;

impl utoipa::PartialSchema for Scalars {
    fn schema() -> RefOr<Schema> {
        let scalar = SchemaType::from_iter([Type::String, Type::Number, Type::Boolean, Type::Null]);
        let value: RefOr<Schema> = ObjectBuilder::new().schema_type(scalar).max_length(Some(100)).into();
        ObjectBuilder::new()
            .additional_properties(Some(AdditionalProperties::from(value)))
            .description(Some(
                "Facts: no lists, no objects, no long texts, and no key that names content or reasoning.",
            ))
            .into()
    }
}

impl ToSchema for Scalars {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("Facts")
    }
}

fn ended_status() -> ObjectBuilder {
    schema::one_of(RunStatus::ALL.iter().filter(|status| **status != RunStatus::Running).map(|status| status.as_str()))
}

fn event_type() -> ObjectBuilder {
    schema::one_of(event::type_names())
}

fn step_seq() -> ObjectBuilder {
    schema::integer(0, u32::MAX.into())
}

fn latency() -> ObjectBuilder {
    schema::integer(0, crate::validate::MOST_LATENCY_MS - 1)
}

fn attempt() -> ObjectBuilder {
    schema::integer(1, u32::MAX.into())
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .description(Some("Which attempt of its operation the step is, from 1."))
}
