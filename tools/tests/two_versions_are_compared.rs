//! `agenttracer compare` as a pipeline uses it: what it prints, and its exit codes.

mod common;

use std::process::Output;

use common::{Process, agenttracer, stderr, stdout};
use serde_json::{Value, json};
use uuid::Uuid;

/// The runs of one version: every `fails`th of them fails, and they take about `ms`.
fn runs(version: &str, count: u64, fails: u64, ms: u64) -> Vec<Value> {
    let run = |number: u64| {
        let failure = json!({"failure_type": "tool", "failure_code": "timeout", "message": "no answer"});
        let failed = number.is_multiple_of(fails);
        json!({
            "run_id": Uuid::new_v4(), "agent_id": "support", "agent_version": version,
            "status": if failed { "failure" } else { "success" },
            "started_at": format!("2026-11-22T10:{:02}:{:02}Z", number / 60, number % 60),
            "ended_at": format!("2026-11-22T12:{:02}:{:02}.{:03}Z", number / 60, number % 60, ms + number % 90),
            "failure": if failed { failure } else { Value::Null },
            "steps": [{
                "seq": 0, "step_type": "respond", "name": "answer", "latency_ms": ms,
                "started_at": "2026-11-22T10:00:00Z", "ended_at": "2026-11-22T10:00:01Z",
                "metadata": {"model": "m-1", "input_tokens": 900 + number % 7, "cost_usd": 0.001 * fails as f64},
            }],
        })
    };
    let mut runs: Vec<_> = (1..=count).map(run).collect();
    for run in &mut runs {
        if run["failure"].is_null() {
            run.as_object_mut().unwrap().remove("failure");
        }
    }
    runs
}

fn compare(process: &Process, arguments: &[&str]) -> Output {
    let url = format!("http://{}", process.query);
    agenttracer(&["compare", "--url", &url]).args(arguments).output().unwrap()
}

#[tokio::test]
async fn a_pipeline_can_go_by_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let client = reqwest::Client::new();
    for runs in [runs("v1", 200, 50, 100), runs("v2", 200, 4, 100), runs("v3", 200, 50, 100), runs("v4", 12, 4, 100)] {
        let response = client.post(process.ingest_url("/v1/runs/batch")).json(&runs).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["accepted"], runs.len(), "{answer}");
    }

    let changed = compare(&process, &["v1", "v2", "--agent-id", "support"]);
    let text = stdout(&changed);
    assert_eq!(changed.status.code(), Some(1), "{text}{}", stderr(&changed));
    for part in ["v1", "v2", "200 runs", "failed", "2.0 %", "25.0 %", "+23.0 pp", "failure tool/timeout", "<0.0001"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(text.contains("● failed"), "{text}");
    assert!(text.contains("● cost p50") && text.contains("0.0500 $") && text.contains("-0.0460 $"), "{text}");
    assert!(!text.contains("input tokens"), "they do not differ: {text}");
    assert!(!text.contains('\u{1b}'), "colours, though nobody looks: {text}");
    for judgement in ["better", "worse", "regress", "improve"] {
        assert!(!text.contains(judgement), "{text}");
    }

    // Sure, but not large enough to care.
    let small = compare(&process, &["v1", "v2", "--agent-id", "support", "--min-effect", "2"]);
    assert_eq!(small.status.code(), Some(0), "{}", stdout(&small));
    assert!(stdout(&small).contains("○ failed"), "{}", stdout(&small));

    let same = compare(&process, &["v1", "v3", "--agent-id", "support"]);
    assert_eq!(same.status.code(), Some(0), "{}", stdout(&same));
    assert!(stdout(&same).contains("None of"), "{}", stdout(&same));

    let few = compare(&process, &["v1", "v4", "--agent-id", "support"]);
    assert_eq!(few.status.code(), Some(2), "{}", stdout(&few));
    assert!(stdout(&few).contains("Not enough data: 200 and 12 runs"), "{}", stdout(&few));
    let filtered = compare(&process, &["v1", "v2", "--agent-id", "support", "--filter", "failure_code=timeout"]);
    assert_eq!(filtered.status.code(), Some(2), "{}", stdout(&filtered));

    let json = compare(&process, &["v1", "v2", "--agent-id", "support", "--json"]);
    assert_eq!(json.status.code(), Some(1));
    let answer: Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!((&answer["min_effect"], &answer["base"]["runs"]), (&json!(0.1), &json!(200)));
    assert_eq!(answer["beyond_min_effect"], answer["significant"]);

    let times = ["2026-11-22T10:00:00Z/2026-11-22T10:02:00Z", "2026-11-22T10:02:00Z/2026-11-22T10:03:00Z"];
    let times = compare(&process, &[times[0], times[1], "--by", "time", "--all"]);
    assert!(matches!(times.status.code(), Some(0 | 1)), "{}{}", stdout(&times), stderr(&times));

    assert_eq!(process.stop().status.code(), Some(0));
}

#[test]
fn questions_and_servers_that_are_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    for (arguments, part) in [
        (vec!["v1"], "CANDIDATE"),
        (vec!["v1", "v2"], "--agent-id: Field required"),
        (vec!["v1", "v1", "--agent-id", "a"], "no run in common"),
        (vec!["v1", "v2", "--agent-id", "a", "--filter", "mood=good"], "no filter"),
        (vec!["v1", "v2", "--agent-id", "a", "--filter", "by=time"], "by is no filter"),
        (vec!["v1", "v2", "--agent-id", "a", "--min-effect=-1"], "--min-effect"),
        (vec!["yesterday", "today", "--by", "time"], "Input should be two times"),
    ] {
        let output = compare(&process, &arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
        assert!(stderr(&output).contains(part), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
    // The write side answers, but not this.
    let ingest = format!("http://{}", process.ingest);
    let output = agenttracer(&["compare", "v1", "v2", "--agent-id", "a", "--url", &ingest]).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    let query = format!("http://{}", process.query);
    assert!(process.stop().status.success());
    let output = agenttracer(&["compare", "v1", "v2", "--agent-id", "a", "--url", &query]).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    assert!(stderr(&output).contains(&query), "{}", stderr(&output));
}
