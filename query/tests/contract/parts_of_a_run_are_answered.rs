use agenttracer_model::{Run, RunView, sample};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::World;

/// A run that has something of everything, half of the time cold.
fn stored(cold: bool) -> (World, Run, RunView) {
    let run = (0..)
        .map(sample::run)
        .find(|run| !run.failures.is_empty() && !run.decisions.is_empty() && !run.quality_signals.is_empty())
        .unwrap();
    let world = World::new();
    let view = world.add(&run);
    if cold {
        world.freeze();
    }
    (world, run, view)
}

#[tokio::test]
async fn each_part_is_that_of_the_run() {
    for cold in [false, true] {
        let (world, _, view) = stored(cold);
        let base = format!("/v1/runs/{}", view.run_id);
        for (part, expected) in [
            ("", sonic_rs::to_string(&view)),
            ("/steps", sonic_rs::to_string(&view.steps)),
            ("/steps/", sonic_rs::to_string(&view.steps)),
            ("/failures", sonic_rs::to_string(&view.failures)),
            ("/decisions", sonic_rs::to_string(&view.decisions)),
            ("/signals", sonic_rs::to_string(&view.quality_signals)),
        ] {
            let reply = world.get(&format!("{base}{part}")).await;
            assert_eq!((reply.status, reply.text()), (StatusCode::OK, expected.unwrap().as_str()), "{part}");
        }
    }
}

#[tokio::test]
async fn steps_can_be_asked_in_pieces() {
    let (world, _, view) = stored(false);
    let base = format!("/v1/runs/{}/steps", view.run_id);
    let mut seqs = Vec::new();
    let mut query = "limit=3".to_owned();
    loop {
        let steps = world.get(&format!("{base}?{query}")).await.json();
        let steps = steps.as_array().unwrap().clone();
        assert!(steps.len() <= 3);
        let Some(last) = steps.last() else { break };
        query = format!("limit=3&after_seq={}", last["seq"]);
        seqs.extend(steps.iter().map(|step| step["seq"].as_u64().unwrap()));
    }
    assert_eq!(seqs, (0..view.steps.len() as u64).collect::<Vec<_>>());
    assert_eq!(world.get(&format!("{base}?after_seq=99999999999")).await.text(), "[]");
}

#[tokio::test]
async fn events_are_the_records_in_their_order() {
    let (world, run, view) = stored(true);
    let reply = world.get(&format!("/v1/runs/{}/events", view.run_id)).await;
    let records = reply.json().as_array().unwrap().clone();

    let expected: Vec<_> = std::iter::once("run_started")
        .chain(run.steps.iter().map(|_| "step_ended"))
        .chain(run.failures.iter().map(|_| "failure_recorded"))
        .chain(run.decisions.iter().map(|_| "decision_recorded"))
        .chain(run.quality_signals.iter().map(|_| "signal_recorded"))
        .chain(["run_ended"])
        .collect();
    let types: Vec<_> = records.iter().map(|record| record["type"].as_str().unwrap()).collect();
    assert_eq!(types, expected);
    for (record, position) in records.iter().zip(view.position.get()..) {
        assert_eq!(record["position"], position);
        assert_eq!(record["time"], json!(view.created_at));
    }

    let whole = serde_json::to_value(&view).unwrap();
    let same = |record: &Value, of: &Value, names: &[&str]| {
        for name in names {
            assert_eq!(record[name], of[name], "{name}");
        }
    };
    same(&records[0], &whole, &["agent_id", "agent_version", "environment", "started_at", "session_id", "metadata"]);
    let steps = whole["steps"].as_array().unwrap();
    for (record, step) in records[1..].iter().zip(steps) {
        same(record, step, &["step_id", "seq", "step_type", "name", "latency_ms", "ended_at", "metadata", "status"]);
    }
    let failure = &records[1 + steps.len()];
    same(failure, &whole["failures"][0], &["failure_id", "step_id", "failure_type", "failure_code", "message"]);
    let last = records.last().unwrap();
    same(last, &whole, &["status", "ended_at", "removed_count"]);
}
