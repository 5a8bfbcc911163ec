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

#[tokio::test]
async fn the_latency_of_a_run_adds_up() {
    let world = World::new();
    let mut retries = 0;
    for seed in 0..40 {
        let run = world.add(&sample::run(seed));
        if seed == 20 {
            world.freeze();
        }
        let latency = world.get(&format!("/v1/runs/{}/latency", run.run_id)).await.json();
        let number =
            |pointer: &str| latency.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}"));
        let latencies: u64 = run.steps.iter().map(|step| step.latency_ms).sum();
        for by in ["by_step_type", "by_step"] {
            let parts = latency[by].as_array().unwrap();
            assert_eq!(parts.iter().map(|part| part["latency_ms"].as_u64().unwrap()).sum::<u64>(), latencies);
            assert_eq!(parts.iter().map(|part| part["steps"].as_u64().unwrap()).sum::<u64>(), run.steps.len() as u64);
        }
        // The steps of a sample stand one behind the other: all of them are on the path, and only rounding is lost.
        assert_eq!(latency["critical_path"]["steps"].as_array().unwrap().len(), run.steps.len());
        assert_eq!((number("/overlap_ms"), number("/critical_path/steps_ms")), (0, number("/busy_ms")));
        let idle = number("/idle/before_first_step_ms")
            + number("/idle/between_steps_ms")
            + number("/idle/after_last_step_ms");
        let sum = number("/busy_ms") + idle;
        assert!(sum.abs_diff(number("/duration_ms")) <= 4, "{latency}");
        let wasted: u64 =
            run.steps.iter().filter(|step| step.attempt < step.attempts_total).map(|step| step.latency_ms).sum();
        assert_eq!(number("/retries/waste_ms"), wasted);
        let mut sorted: Vec<u64> = run.steps.iter().map(|step| step.latency_ms).collect();
        sorted.sort_unstable();
        for (name, percent) in [("p50", 50), ("p95", 95), ("p99", 99)] {
            let found = latency["step_latency_ms"][name].as_u64();
            let reached = |limit: u64| sorted.iter().filter(|ms| **ms <= limit).count() * 100 >= sorted.len() * percent;
            assert_eq!(found, sorted.iter().copied().find(|ms| reached(*ms)), "{name} of {sorted:?}");
        }
        retries += number("/retries/operations");
    }
    assert!(retries > 2, "{retries} retries in 40 samples");
    let unknown = world.get("/v1/runs/00000000-0000-4000-8000-000000000000/latency").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_run_that_has_ended_is_not_sent_again() {
    let world = World::new();
    let run = world.add(&sample::run(1));
    let other = world.add(&sample::run(2));
    let path = format!("/v1/runs/{}", run.run_id);
    let first = world.get(&path).await;
    let tag = first.header("etag").expect("a run that has ended has a tag").to_owned();
    world.freeze();
    assert_eq!(world.get(&path).await.header("etag"), Some(tag.as_str()));
    for tags in [tag.clone(), format!("\"other\", {}", tag.trim_start_matches("W/")), "*".to_owned()] {
        let again = world.ask_with(&path, "if-none-match", &tags).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{tags}");
        assert_eq!(again.header("etag"), Some(tag.as_str()));
    }
    for path in [format!("/v1/runs/{}", other.run_id), format!("/v1/runs?if={path}")] {
        assert_eq!(world.ask_with(&path, "if-none-match", &tag).await.status, StatusCode::OK);
    }
}
