//! One run, as it is sent and as it is answered: the example of the whole document.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::taxonomy::{DecisionType, FailureType, ReasonCode, RunStatus, SignalCode, SignalType, StepStatus, StepType};
use crate::{Decision, Digest, Failure, Metadata, Position, Run, Signal, Step, Timestamp};

const RUN: Uuid = Uuid::from_u128(0x01a2_0481_9a4b_71d8_a64b_5bae_045b_a445);
const PLAN: Uuid = Uuid::from_u128(0x01a2_0481_9a4b_7c19_b5a1_3a2a_bc8e_5f01);
const FIRST_TRY: Uuid = Uuid::from_u128(0x01a2_0481_9a4c_7068_9266_9f7d_7c65_0bf6);
const SECOND_TRY: Uuid = Uuid::from_u128(0x01a2_0481_9c42_7dab_bd06_2a29_9ac0_6cc7);
const FAILURE: Uuid = Uuid::from_u128(0x01a2_0481_9f38_73e9_99a4_458f_6c50_44cc);
const DECISION: Uuid = Uuid::from_u128(0x01a2_0481_9d3e_7814_a240_eb70_f846_e211);
const SIGNAL: Uuid = Uuid::from_u128(0x01a2_0481_9d3f_7a02_8f6a_1d2c_0b77_91ee);

/// The example run as it is answered.
pub fn example_run() -> Value {
    let view = run().into_view(at(1_261), Position::new(4_120));
    serde_json::to_value(view).unwrap_or_default()
}

/// A step of it.
pub fn example_step() -> Value {
    example_run()["steps"][2].clone()
}

/// 2026-11-22T18:25:32.235977Z and so many milliseconds.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(1_795_371_932_235_977 + 1000 * millis)
}

fn facts(facts: Value) -> Metadata {
    let Value::Object(facts) = facts else { return Metadata::default() };
    let fact = |value: Value| match value {
        Value::Number(number) => crate::Value::Uint(number.as_u64().unwrap_or_default()),
        other => crate::Value::String(other.as_str().unwrap_or_default().to_owned()),
    };
    Metadata(facts.into_iter().map(|(key, value)| (key, fact(value))).collect())
}

fn run() -> Run {
    let step = |step_id, seq, step_type, name: &str, from: i64, to: i64, status, metadata| Step {
        step_id,
        seq,
        step_type,
        name: name.to_owned(),
        latency_ms: (to - from).unsigned_abs(),
        started_at: at(from),
        ended_at: at(to),
        status,
        error_code: (status == StepStatus::Failed).then(|| "timeout".to_owned()),
        parent_step_id: None,
        attempt: None,
        retry_of: None,
        metadata: facts(metadata),
    };
    Run {
        run_id: RUN,
        agent_id: "support-agent".to_owned(),
        agent_version: "v1.4.0".to_owned(),
        environment: "production".to_owned(),
        status: RunStatus::Failure,
        started_at: at(0),
        ended_at: Some(at(754)),
        parent_run_id: None,
        parent_step_id: None,
        session_id: Some("conversation-17".to_owned()),
        trace_id: None,
        metadata: facts(json!({"model": "gpt-4.1"})),
        steps: vec![
            step(PLAN, 0, StepType::Plan, "analyze_query", 0, 12, StepStatus::Ok, json!({})),
            step(
                FIRST_TRY,
                1,
                StepType::Tool,
                "order_service",
                20,
                271,
                StepStatus::Failed,
                json!({"http_status": 504}),
            ),
            step(
                SECOND_TRY,
                2,
                StepType::Tool,
                "order_service",
                502,
                753,
                StepStatus::Failed,
                json!({"http_status": 504}),
            ),
        ],
        failures: vec![Failure {
            failure_id: FAILURE,
            step_id: Some(SECOND_TRY),
            failure_type: FailureType::Tool,
            failure_code: "timeout".to_owned(),
            message: "The order service did not answer within 250 ms, twice".to_owned(),
        }],
        decisions: ReasonCode::parse(DecisionType::RetryStrategy, "retry_budget_exhausted")
            .map(|reason| Decision {
                decision_id: DECISION,
                step_id: Some(SECOND_TRY),
                reason,
                selected: "give_up".to_owned(),
                candidates: vec!["retry".to_owned(), "give_up".to_owned()],
                confidence: Some(0.9),
                metadata: Metadata::default(),
            })
            .into_iter()
            .collect(),
        quality_signals: SignalCode::parse(SignalType::ToolFailure, "timeout")
            .map(|code| Signal {
                signal_id: SIGNAL,
                step_id: Some(SECOND_TRY),
                code,
                value: true,
                weight: None,
                metadata: Metadata::default(),
            })
            .into_iter()
            .collect(),
        removed_count: 0,
        digest: Digest::default(),
    }
}
