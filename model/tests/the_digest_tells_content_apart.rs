//! One content has one digest, for ever; another content has another.

mod make;

use std::collections::HashSet;

use agenttracer_model::taxonomy::{
    DecisionType, FailureType, ReasonCode, RunStatus, SignalCode, SignalType, StepStatus, StepType,
};
use agenttracer_model::{Digest, Metadata, Run, Value};
use make::{at, decision, failure, id, run, signal, step};
use uuid::Uuid;

#[test]
fn the_digest_of_a_run_never_changes() {
    // Another value here is another version of the encoding: raise the version byte, and keep reading the old one.
    assert_eq!(
        format!("{:?}", Digest::of(&run())),
        "Digest(270276989ba74f9dfe9a868bf2c00663db84b68cffd34312ff0ae72ae1e1133a)"
    );
}

type Change = fn(&mut Run);

/// One change of every field that counts.
fn changes() -> Vec<(&'static str, Change)> {
    vec![
        ("run_id", |run| run.run_id = Uuid::nil()),
        ("agent_id", |run| run.agent_id.push('x')),
        ("agent_version", |run| run.agent_version.push('x')),
        ("environment", |run| run.environment.push('x')),
        ("a letter moved", |run| {
            run.agent_id.push('v');
            run.agent_version.remove(0);
        }),
        ("status", |run| run.status = RunStatus::Partial),
        ("started_at", |run| run.started_at = at(1)),
        ("ended_at", |run| run.ended_at = Some(at(1501))),
        ("no ended_at", |run| run.ended_at = None),
        ("parent_run_id", |run| run.parent_run_id = None),
        ("parent_step_id", |run| run.parent_step_id = None),
        ("parents swapped", |run| std::mem::swap(&mut run.parent_run_id, &mut run.parent_step_id)),
        ("session_id", |run| run.session_id = None),
        ("empty session_id", |run| run.session_id = Some(String::new())),
        ("trace_id", |run| run.trace_id = None),
        ("metadata less", |run| drop(run.metadata.0.pop())),
        ("metadata key", |run| run.metadata.0[0].0.push('x')),
        ("metadata text", |run| run.metadata.0[0].1 = Value::String("eu".to_owned())),
        ("metadata kind", |run| run.metadata.0[1].1 = Value::Float(1.0)),
        ("metadata kind of text", |run| run.metadata.0[1].1 = Value::String("1".to_owned())),
        ("metadata number", |run| run.metadata.0[2].1 = Value::Int(-4)),
        ("metadata boolean", |run| run.metadata.0[3].1 = Value::Bool(false)),
        ("metadata null", |run| run.metadata.0[4].1 = Value::Array(vec![])),
        ("metadata empty object", |run| run.metadata.0[4].1 = Value::Object(Metadata::default())),
        ("metadata array", |run| run.metadata.0[4].1 = Value::Array(vec![Value::Null])),
        ("no steps", |run| run.steps.clear()),
        ("step more", |run| run.steps.push(step(3, 2, 5))),
        ("step_id", |run| run.steps[0].step_id = id(1, 8)),
        ("seq", |run| run.steps[0].seq = 5),
        ("step_type", |run| run.steps[0].step_type = StepType::Plan),
        ("name", |run| run.steps[0].name.push('x')),
        ("latency_ms", |run| run.steps[0].latency_ms += 1),
        ("step started_at", |run| run.steps[0].started_at = at(1)),
        ("step ended_at", |run| run.steps[0].ended_at = at(31)),
        ("step status", |run| run.steps[0].status = StepStatus::Ok),
        ("error_code", |run| run.steps[0].error_code = None),
        ("step parent", |run| run.steps[1].parent_step_id = None),
        ("attempt", |run| run.steps[1].attempt = Some(3)),
        ("no attempt", |run| run.steps[1].attempt = None),
        ("retry_of", |run| run.steps[1].retry_of = None),
        ("step metadata", |run| run.steps[1].metadata.0[0].1 = Value::Uint(500)),
        ("no failure", |run| run.failures.clear()),
        ("failure more", |run| run.failures.push(failure(2, "x"))),
        ("failure step", |run| run.failures[0].step_id = None),
        ("failure_type", |run| run.failures[0].failure_type = FailureType::Model),
        ("failure_code", |run| run.failures[0].failure_code.push('x')),
        ("message", |run| run.failures[0].message.push('x')),
        ("no decision", |run| run.decisions.clear()),
        ("decision more", |run| run.decisions.push(decision(2, "x"))),
        ("decision_id", |run| run.decisions[0].decision_id = Uuid::nil()),
        ("decision step", |run| run.decisions[0].step_id = None),
        ("decision type", |run| {
            run.decisions[0].reason = ReasonCode::parse(DecisionType::ResponseMode, "batch_preferred").unwrap();
        }),
        ("reason_code", |run| {
            run.decisions[0].reason = ReasonCode::parse(DecisionType::ToolSelection, "accuracy_required").unwrap();
        }),
        ("selected", |run| run.decisions[0].selected.push('x')),
        ("candidates", |run| drop(run.decisions[0].candidates.pop())),
        ("candidates in another order", |run| run.decisions[0].candidates.reverse()),
        ("confidence", |run| run.decisions[0].confidence = Some(0.5)),
        ("no confidence", |run| run.decisions[0].confidence = None),
        ("decision metadata", |run| run.decisions[0].metadata = Metadata::default()),
        ("no signal", |run| run.quality_signals.clear()),
        ("signal more", |run| run.quality_signals.push(signal(2, true))),
        ("signal_id", |run| run.quality_signals[0].signal_id = Uuid::nil()),
        ("signal step", |run| run.quality_signals[0].step_id = None),
        ("signal code", |run| {
            run.quality_signals[0].code = SignalCode::parse(SignalType::SchemaValid, "partial_match").unwrap();
        }),
        ("value", |run| run.quality_signals[0].value = false),
        ("weight", |run| run.quality_signals[0].weight = None),
        ("signal metadata", |run| {
            run.quality_signals[0].metadata.0.push(("x".to_owned(), Value::Null));
        }),
    ]
}

#[test]
fn any_changed_field_changes_it() {
    let mut seen = HashSet::from([Digest::of(&run())]);
    for (what, change) in changes() {
        let mut changed = run();
        change(&mut changed);
        assert_ne!(changed, run(), "{what} changes nothing");
        assert!(seen.insert(Digest::of(&changed)), "{what}");
    }
}

#[test]
fn what_is_not_content_does_not_change_it() {
    let mut other = run();
    other.steps.reverse();
    other.metadata.0.reverse();
    for step in &mut other.steps {
        step.metadata.0.reverse();
    }
    other.failures[0].failure_id = Uuid::nil();
    other.removed_count = 99;
    other.digest = Digest::default();
    assert_eq!(Digest::of(&other), Digest::of(&run()));
}

#[test]
fn the_order_of_keys_deep_inside_does_not_matter_and_that_of_arrays_does() {
    let with = |keys: [&str; 2], list: [u64; 2]| {
        let mut run = run();
        let inner = Metadata(keys.map(|key| (key.to_owned(), Value::String(key.to_owned()))).to_vec());
        let list = Value::Array(list.map(Value::Uint).to_vec());
        run.steps[0].metadata = make::metadata(&[("in", Value::Object(inner)), ("list", list)]);
        Digest::of(&run)
    };
    assert_eq!(with(["a", "b"], [1, 2]), with(["b", "a"], [1, 2]));
    assert_ne!(with(["a", "b"], [1, 2]), with(["a", "b"], [2, 1]));
}
