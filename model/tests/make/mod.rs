//! Runs and their parts for tests.
#![allow(dead_code, reason = "each test uses its part")]

use agenttracer_model::taxonomy::{
    DecisionType, FailureType, ReasonCode, RunStatus, SignalCode, SignalType, StepStatus, StepType,
};
use agenttracer_model::{Decision, Digest, Failure, Metadata, Run, Signal, Step, Timestamp, Value};
use uuid::Uuid;

pub(crate) const RUN_ID: Uuid = Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_8888);

/// 2026-01-01T00:00:00Z and this many milliseconds.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000 + ms * 1000)
}

pub(crate) fn id(kind: u128, number: u128) -> Uuid {
    Uuid::from_u128(kind << 64 | number)
}

pub(crate) fn metadata(entries: &[(&str, Value)]) -> Metadata {
    Metadata(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

pub(crate) fn step(number: u128, seq: u32, latency_ms: u64) -> Step {
    Step {
        step_id: id(1, number),
        seq,
        step_type: StepType::Tool,
        name: "billing_api".to_owned(),
        latency_ms,
        started_at: at(i64::from(seq) * 100),
        ended_at: at(i64::from(seq) * 100 + latency_ms as i64),
        status: StepStatus::Unknown,
        error_code: None,
        parent_step_id: None,
        attempt: None,
        retry_of: None,
        metadata: metadata(&[("http_status", Value::Uint(200)), ("model", Value::String("gpt-4o".to_owned()))]),
    }
}

pub(crate) fn failure(number: u128, code: &str) -> Failure {
    Failure {
        failure_id: id(2, number),
        step_id: None,
        failure_type: FailureType::Tool,
        failure_code: code.to_owned(),
        message: "External API timeout after 30s".to_owned(),
    }
}

pub(crate) fn decision(number: u128, selected: &str) -> Decision {
    Decision {
        decision_id: id(3, number),
        step_id: None,
        reason: ReasonCode::parse(DecisionType::ToolSelection, "fresh_data_required").unwrap(),
        selected: selected.to_owned(),
        candidates: vec!["api".to_owned(), "cache".to_owned()],
        confidence: Some(0.85),
        metadata: metadata(&[("cost_usd", Value::Float(0.25))]),
    }
}

pub(crate) fn signal(number: u128, value: bool) -> Signal {
    Signal {
        signal_id: id(4, number),
        step_id: None,
        code: SignalCode::parse(SignalType::SchemaValid, "full_match").unwrap(),
        value,
        weight: Some(1.0),
        metadata: Metadata::default(),
    }
}

/// A run with one of everything, and two steps.
pub(crate) fn run() -> Run {
    let mut second = step(2, 1, 40);
    second.parent_step_id = Some(id(1, 1));
    second.status = StepStatus::Ok;
    second.attempt = Some(2);
    second.retry_of = Some(id(1, 1));
    let mut first = step(1, 0, 30);
    first.status = StepStatus::Failed;
    first.error_code = Some("timeout".to_owned());
    let mut failure = failure(1, "timeout");
    failure.step_id = Some(id(1, 1));
    let mut decision = decision(1, "api");
    decision.step_id = Some(id(1, 2));
    let mut signal = signal(1, true);
    signal.step_id = Some(id(1, 2));
    Run {
        run_id: RUN_ID,
        agent_id: "support-agent".to_owned(),
        agent_version: "v1.0.0".to_owned(),
        environment: "production".to_owned(),
        status: RunStatus::Failure,
        started_at: at(0),
        ended_at: Some(at(1500)),
        parent_run_id: Some(id(9, 1)),
        parent_step_id: Some(id(9, 2)),
        session_id: Some("session-1".to_owned()),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
        metadata: metadata(&[
            ("region", Value::String("eu-west-1".to_owned())),
            ("retries", Value::Uint(1)),
            ("delta", Value::Int(-3)),
            ("canary", Value::Bool(true)),
            ("batch", Value::Null),
        ]),
        steps: vec![first, second],
        failures: vec![failure],
        decisions: vec![decision],
        quality_signals: vec![signal],
        removed_count: 1,
        digest: Digest([7; 32]),
    }
}
