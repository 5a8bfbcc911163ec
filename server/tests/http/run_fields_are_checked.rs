//! Contract §1.

use serde_json::{Value, json};

use crate::common::{TestServer, full_run, id, small_run, with};

fn chars(count: usize) -> Value {
    Value::String("é".repeat(count))
}

/// What is taken away or put in, and where the error must point.
#[tokio::test]
async fn what_breaks_a_rule_is_refused_with_its_place() {
    let server = TestServer::boot().await;
    let missing = || None::<Value>;
    let cases: Vec<(&str, Option<Value>, Value)> = vec![
        // Run.
        ("/run_id", Some(json!("no-uuid")), json!(["run_id"])),
        ("/run_id", Some(json!(5)), json!(["run_id"])),
        ("/agent_id", missing(), json!(["agent_id"])),
        ("/agent_id", Some(json!(null)), json!(["agent_id"])),
        ("/agent_id", Some(json!("")), json!(["agent_id"])),
        ("/agent_id", Some(json!(5)), json!(["agent_id"])),
        ("/agent_id", Some(chars(256)), json!(["agent_id"])),
        ("/agent_version", missing(), json!(["agent_version"])),
        ("/agent_version", Some(json!("")), json!(["agent_version"])),
        ("/agent_version", Some(json!(1.0)), json!(["agent_version"])),
        ("/agent_version", Some(chars(101)), json!(["agent_version"])),
        ("/environment", Some(chars(51)), json!(["environment"])),
        ("/environment", Some(json!(1)), json!(["environment"])),
        ("/status", missing(), json!(["status"])),
        ("/status", Some(json!("running")), json!(["status"])),
        ("/status", Some(json!("done")), json!(["status"])),
        ("/status", Some(json!(1)), json!(["status"])),
        ("/started_at", missing(), json!(["started_at"])),
        ("/started_at", Some(json!(null)), json!(["started_at"])),
        ("/started_at", Some(json!("yesterday")), json!(["started_at"])),
        ("/started_at", Some(json!("2026-02-30T00:00:00Z")), json!(["started_at"])),
        ("/started_at", Some(json!("1999-12-31T23:59:59Z")), json!(["started_at"])),
        ("/started_at", Some(json!("2100-01-01T00:00:00Z")), json!(["started_at"])),
        ("/started_at", Some(json!(true)), json!(["started_at"])),
        ("/ended_at", Some(json!("2026-11-22T09:59:59Z")), json!(["ended_at"])),
        ("/ended_at", Some(json!("never")), json!(["ended_at"])),
        ("/steps", Some(json!({})), json!(["steps"])),
        ("/decisions", Some(json!("none")), json!(["decisions"])),
        ("/quality_signals", Some(json!(7)), json!(["quality_signals"])),
        ("/failure", Some(json!(null)), json!(["failure"])),
        ("/failure", Some(json!("timeout")), json!(["failure"])),
        // Steps.
        ("/steps/1", Some(json!(5)), json!(["steps", 1])),
        ("/steps/1/step_id", Some(json!("x")), json!(["steps", 1, "step_id"])),
        ("/steps/1/seq", missing(), json!(["steps", 1, "seq"])),
        ("/steps/1/seq", Some(json!(-1)), json!(["steps", 1, "seq"])),
        ("/steps/1/seq", Some(json!(1.5)), json!(["steps", 1, "seq"])),
        ("/steps/1/seq", Some(json!("one")), json!(["steps", 1, "seq"])),
        ("/steps/1/step_type", missing(), json!(["steps", 1, "step_type"])),
        ("/steps/1/step_type", Some(json!("think")), json!(["steps", 1, "step_type"])),
        ("/steps/1/name", missing(), json!(["steps", 1, "name"])),
        ("/steps/1/name", Some(json!("")), json!(["steps", 1, "name"])),
        ("/steps/1/name", Some(chars(256)), json!(["steps", 1, "name"])),
        ("/steps/1/name", Some(json!(3)), json!(["steps", 1, "name"])),
        ("/steps/1/latency_ms", missing(), json!(["steps", 1, "latency_ms"])),
        ("/steps/1/latency_ms", Some(json!(-1)), json!(["steps", 1, "latency_ms"])),
        ("/steps/1/latency_ms", Some(json!((1_u64 << 53) + 1)), json!(["steps", 1, "latency_ms"])),
        ("/steps/1/started_at", missing(), json!(["steps", 1, "started_at"])),
        ("/steps/1/ended_at", missing(), json!(["steps", 1, "ended_at"])),
        ("/steps/1/ended_at", Some(json!("2026-11-22T10:00:00Z")), json!(["steps", 1, "ended_at"])),
        ("/steps/1/metadata", Some(json!([])), json!(["steps", 1, "metadata"])),
        ("/steps/1/status", Some(json!("fine")), json!(["steps", 1, "status"])),
        ("/steps/1/attempt", Some(json!(0)), json!(["steps", 1, "attempt"])),
        // Failure.
        ("/failure/failure_type", missing(), json!(["failure", "failure_type"])),
        ("/failure/failure_type", Some(json!("human")), json!(["failure", "failure_type"])),
        ("/failure/failure_code", missing(), json!(["failure", "failure_code"])),
        ("/failure/failure_code", Some(json!("")), json!(["failure", "failure_code"])),
        ("/failure/failure_code", Some(chars(101)), json!(["failure", "failure_code"])),
        ("/failure/message", missing(), json!(["failure", "message"])),
        ("/failure/message", Some(json!("")), json!(["failure", "message"])),
        // Decisions.
        ("/decisions/0/decision_id", Some(json!("x")), json!(["decisions", 0, "decision_id"])),
        ("/decisions/0/decision_type", missing(), json!(["decisions", 0, "decision_type"])),
        ("/decisions/0/decision_type", Some(json!("mood")), json!(["decisions", 0, "decision_type"])),
        ("/decisions/0/reason_code", missing(), json!(["decisions", 0, "reason_code"])),
        ("/decisions/0/reason_code", Some(json!("no_results")), json!(["decisions", 0, "reason_code"])),
        ("/decisions/0/reason_code", Some(json!("early_exit")), json!(["decisions", 0, "reason_code"])),
        ("/decisions/0/selected", missing(), json!(["decisions", 0, "selected"])),
        ("/decisions/0/selected", Some(json!("")), json!(["decisions", 0, "selected"])),
        ("/decisions/0/selected", Some(chars(201)), json!(["decisions", 0, "selected"])),
        ("/decisions/0/candidates", Some(json!("cache")), json!(["decisions", 0, "candidates"])),
        ("/decisions/0/candidates", Some(json!([1])), json!(["decisions", 0, "candidates", 0])),
        ("/decisions/0/confidence", Some(json!(1.01)), json!(["decisions", 0, "confidence"])),
        ("/decisions/0/confidence", Some(json!(-0.01)), json!(["decisions", 0, "confidence"])),
        // Signals.
        ("/quality_signals/0/signal_id", Some(json!("x")), json!(["quality_signals", 0, "signal_id"])),
        ("/quality_signals/0/signal_type", missing(), json!(["quality_signals", 0, "signal_type"])),
        ("/quality_signals/0/signal_type", Some(json!("x")), json!(["quality_signals", 0, "signal_type"])),
        ("/quality_signals/0/signal_code", missing(), json!(["quality_signals", 0, "signal_code"])),
        ("/quality_signals/0/signal_code", Some(json!("no_results")), json!(["quality_signals", 0, "signal_code"])),
        ("/quality_signals/0/value", missing(), json!(["quality_signals", 0, "value"])),
        ("/quality_signals/0/value", Some(json!("maybe")), json!(["quality_signals", 0, "value"])),
        ("/quality_signals/0/value", Some(json!(2)), json!(["quality_signals", 0, "value"])),
        ("/quality_signals/0/weight", Some(json!(1.5)), json!(["quality_signals", 0, "weight"])),
        // Ours.
        ("/parent_run_id", Some(json!("x")), json!(["parent_run_id"])),
        ("/session_id", Some(chars(129)), json!(["session_id"])),
        ("/trace_id", Some(json!("xyz")), json!(["trace_id"])),
    ];
    for (pointer, change, place) in cases {
        let run = with(full_run(), pointer, change.clone());
        let answer = server.post(&run).await;
        let case = format!("{pointer} -> {change:?}: {}", answer.text());
        assert_eq!(answer.status, 422, "{case}");
        let mut loc = vec![json!("body")];
        loc.extend(place.as_array().unwrap().iter().cloned());
        assert_eq!(answer.places(), [Value::Array(loc)], "{case}");
        let errors = answer.json();
        let keys: Vec<_> = errors["detail"][0].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["type", "loc", "msg"], "{case}");
        if run["run_id"].as_str().is_some_and(|id| id.len() == 36) {
            server.get(&format!("/v1/runs/{}", id(&run))).await.expect(404);
        }
    }
    assert_eq!(server.get("/v1/runs").await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn all_independent_errors_come_at_once() {
    let server = TestServer::boot().await;
    let mut run = full_run();
    run["agent_id"] = json!("");
    run["steps"][0]["latency_ms"] = json!(-1);
    run["steps"][2]["step_type"] = json!("think");
    run["failure"]["failure_type"] = json!("human");
    run["quality_signals"][0].as_object_mut().unwrap().remove("value");
    let places = server.post(&run).await.expect(422).places();
    for place in [
        json!(["body", "agent_id"]),
        json!(["body", "steps", 0, "latency_ms"]),
        json!(["body", "steps", 2, "step_type"]),
        json!(["body", "failure", "failure_type"]),
        json!(["body", "quality_signals", 0, "value"]),
    ] {
        assert!(places.contains(&place), "{place} is not among {places:?}");
    }
    assert_eq!(places.len(), 5, "{places:?}");
}

#[tokio::test]
async fn the_seq_of_steps_has_no_gap_and_no_double() {
    let server = TestServer::boot().await;
    for seqs in [[0, 1, 3], [1, 2, 3], [0, 1, 1]] {
        let mut run = full_run();
        for (step, seq) in seqs.iter().enumerate() {
            run["steps"][step]["seq"] = json!(seq);
        }
        let places = server.post(&run).await.expect(422).places();
        assert_eq!(places[0][1], "steps", "{seqs:?}: {places:?}");
    }
    let mut run = full_run();
    run["steps"].as_array_mut().unwrap().reverse();
    let stored = server.store(&run).await;
    let seqs: Vec<_> = stored["steps"].as_array().unwrap().iter().map(|step| step["seq"].clone()).collect();
    assert_eq!(seqs, [0, 1, 2]);
}

#[tokio::test]
async fn lists_hold_ten_thousand_and_no_more() {
    let server = TestServer::boot().await;
    let steps = |count: usize| -> Value {
        let step = |seq| {
            json!({"seq": seq, "step_type": "other", "name": "s", "latency_ms": 1,
                   "started_at": "2026-11-22T10:00:00Z", "ended_at": "2026-11-22T10:00:00Z"})
        };
        (0..count).map(step).collect()
    };
    let stored = server.store(&small_run(json!({"steps": steps(10_000)}))).await;
    assert_eq!(stored["steps"].as_array().unwrap().len(), 10_000);
    let places = server.post(&small_run(json!({"steps": steps(10_001)}))).await.expect(422).places();
    assert_eq!(places[0], json!(["body", "steps"]));
    let signals: Value = (0..10_001)
        .map(|_| json!({"signal_type": "schema_valid", "signal_code": "full_match", "value": true}))
        .collect();
    let places = server.post(&small_run(json!({"quality_signals": signals}))).await.expect(422).places();
    assert_eq!(places[0], json!(["body", "quality_signals"]));
}

#[tokio::test]
async fn lengths_count_code_points() {
    let server = TestServer::boot().await;
    let run = small_run(json!({"agent_id": chars(255), "agent_version": chars(100), "environment": chars(50)}));
    let stored = server.store(&run).await;
    assert_eq!(stored["agent_id"], chars(255));
    assert_eq!(stored["agent_version"], chars(100));
    assert_eq!(stored["environment"], chars(50));
}

#[tokio::test]
async fn lenient_scalars_are_read() {
    let server = TestServer::boot().await;
    for (sent, stored) in [(json!(5), 5), (json!(5.0), 5), (json!("5"), 5), (json!("120"), 120)] {
        let run = with(full_run(), "/steps/0/latency_ms", Some(sent.clone()));
        assert_eq!(server.store(&run).await["steps"][0]["latency_ms"], stored, "{sent}");
    }
    for (sent, stored) in [
        (json!(true), true),
        (json!("true"), true),
        (json!("yes"), true),
        (json!("on"), true),
        (json!("t"), true),
        (json!("y"), true),
        (json!("1"), true),
        (json!(1), true),
        (json!(false), false),
        (json!("false"), false),
        (json!("no"), false),
        (json!("off"), false),
        (json!("f"), false),
        (json!("n"), false),
        (json!("0"), false),
        (json!(0), false),
    ] {
        let run = with(full_run(), "/quality_signals/0/value", Some(sent.clone()));
        assert_eq!(server.store(&run).await["quality_signals"][0]["value"], stored, "{sent}");
    }
    for (sent, stored) in [
        (json!("2026-11-22T10:00:00Z"), "2026-11-22T10:00:00Z"),
        (json!("2026-11-22T12:30:00+02:30"), "2026-11-22T10:00:00Z"),
        (json!("2026-11-22T10:00:00"), "2026-11-22T10:00:00Z"),
        (json!("2026-11-22 10:00:00"), "2026-11-22T10:00:00Z"),
        (json!("2026-11-22T10:00:00.5Z"), "2026-11-22T10:00:00.500000Z"),
        (json!("2026-11-22T10:00:00.123456789Z"), "2026-11-22T10:00:00.123456Z"),
        (json!("2026-11-22"), "2026-11-22T00:00:00Z"),
        (json!(1_795_341_600), "2026-11-22T10:00:00Z"),
        (json!(1_795_341_600_250_u64), "2026-11-22T10:00:00.250000Z"),
        (json!("2000-01-01T00:00:00Z"), "2000-01-01T00:00:00Z"),
    ] {
        let run = small_run(json!({"started_at": sent}));
        assert_eq!(server.store(&run).await["started_at"], stored, "{sent}");
    }
}

#[tokio::test]
async fn defaults_fill_what_is_left_out() {
    let server = TestServer::boot().await;
    let mut run = small_run(json!({"steps": [{
        "seq": 0, "step_type": "plan", "name": "a", "latency_ms": 0,
        "started_at": "2026-11-22T10:00:00Z", "ended_at": "2026-11-22T10:00:00Z",
    }]}));
    run.as_object_mut().unwrap().remove("run_id");
    let stored = server.store(&run).await;
    let generated = uuid::Uuid::parse_str(id(&stored)).unwrap();
    assert_eq!(generated.get_version_num(), 7);
    assert_eq!(stored["environment"], "production");
    assert_eq!(stored["ended_at"], json!(null));
    assert_eq!(stored["duration_ms"], json!(null));
    assert_eq!(stored["steps"][0]["metadata"], json!({}));
    assert_eq!(stored["steps"][0]["status"], "unknown");
    assert!(uuid::Uuid::parse_str(stored["steps"][0]["step_id"].as_str().unwrap()).is_ok());
    for list in ["failures", "decisions", "quality_signals"] {
        assert_eq!(stored[list], json!([]), "{list}");
    }
    let run = small_run(json!({"environment": "", "decisions": null, "quality_signals": null}));
    assert_eq!(server.store(&run).await["environment"], "production");
}

#[tokio::test]
async fn failures_are_kept_whatever_the_status() {
    let server = TestServer::boot().await;
    let run = with(full_run(), "/failure", None);
    assert_eq!(server.store(&run).await["failures"], json!([]));
    for status in ["success", "partial"] {
        let run = with(full_run(), "/status", Some(json!(status)));
        assert_eq!(server.store(&run).await["failures"][0]["failure_code"], "timeout", "{status}");
        let run = small_run(json!({"status": status, "failure": null}));
        assert_eq!(server.store(&run).await["failures"], json!([]), "{status}");
    }
    let run = with(full_run(), "/failure/failure_code", Some(json!("rate limit/429")));
    assert_eq!(server.store(&run).await["failures"][0]["failure_code"], "rate_limit_429");
}

#[tokio::test]
async fn unknown_fields_are_ignored_everywhere() {
    let server = TestServer::boot().await;
    let mut run = full_run();
    for pointer in ["", "/steps/0", "/failure", "/decisions/0", "/quality_signals/0"] {
        run.pointer_mut(pointer).unwrap()["zebra"] = json!({"deep": [1, 2]});
    }
    let stored = server.post(&run).await.expect(201);
    assert!(!stored.text().contains("zebra"), "{}", stored.text());
}

#[tokio::test]
async fn control_characters_are_cleaned() {
    let server = TestServer::boot().await;
    let run = small_run(json!({"agent_id": "a\tb\nc\rd\u{1}e\u{7f}f"}));
    assert_eq!(server.store(&run).await["agent_id"], "a b c def");
}

#[tokio::test]
async fn numbers_that_json_cannot_hold_are_refused() {
    let server = TestServer::boot().await;
    let json = [("content-type", "application/json")];
    // As text, because a JSON value could not hold these; the mark cannot be a part of a random id.
    let with_number = |number: &str| {
        let run = with(full_run(), "/steps/0/metadata/tokens_prompt", Some(json!("the number")));
        run.to_string().replace("\"the number\"", number)
    };
    for number in ["NaN", "Infinity", "-Infinity", "1e999", "18446744073709551616", "-9223372036854775809"] {
        server.post_bytes(with_number(number), &json).await.expect(422);
    }
    for number in ["18446744073709551615", "-9223372036854775808", "0.1", "1e3", "-0.0"] {
        let stored = server.post_bytes(with_number(number), &json).await.expect(201).json();
        let kept = stored["steps"][0]["metadata"]["tokens_prompt"].as_f64().unwrap();
        assert_eq!(kept, number.parse::<f64>().unwrap());
    }
}

#[tokio::test]
async fn ids_are_unique_within_the_run_and_references_stay_in_it() {
    let server = TestServer::boot().await;
    let stranger = || json!(uuid::Uuid::new_v4());
    let base = full_run();
    let twice = |list: &str, key: &str| {
        let mut run = full_run();
        let first = run[list][0].clone();
        run[list].as_array_mut().unwrap().push(first.clone());
        let last = run[list].as_array().unwrap().len() - 1;
        run[list][last][key] = first[key].clone();
        if list == "steps" {
            run["steps"][last]["seq"] = json!(last);
        }
        run
    };
    for run in [
        twice("steps", "step_id"),
        twice("decisions", "decision_id"),
        twice("quality_signals", "signal_id"),
        with(base.clone(), "/failure/step_id", Some(stranger())),
        with(base.clone(), "/decisions/0/step_id", Some(stranger())),
        with(base.clone(), "/quality_signals/0/step_id", Some(stranger())),
    ] {
        let answer = server.post(&run).await.expect(409).json();
        assert_eq!(answer["status_code"], 409);
        assert_eq!(answer["path"], "/v1/runs");
        server.get(&format!("/v1/runs/{}", id(&run))).await.expect(404);
    }
    // Another run may use the same ids.
    server.store(&base).await;
    server.store(&with(base, "/run_id", Some(stranger()))).await;
}
