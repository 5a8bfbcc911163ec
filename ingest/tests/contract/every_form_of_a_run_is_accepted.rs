//! Contract §1: required fields, defaults, lenient scalars; what was sent comes back.

use crate::world::{World, full, set, small, without};
use serde_json::{Value, json};

#[tokio::test]
async fn the_smallest_run_gets_its_defaults() {
    let world = World::new();
    let answer = world.post(&small()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let run = answer.json();
    let keys: Vec<_> = run.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "run_id",
            "agent_id",
            "agent_version",
            "environment",
            "status",
            "started_at",
            "ended_at",
            "created_at",
            "steps",
            "failures",
            "decisions",
            "quality_signals",
            "duration_ms",
            "parent_run_id",
            "parent_step_id",
            "session_id",
            "trace_id",
            "metadata",
            "removed_count",
            "position"
        ]
    );
    assert_eq!(run["environment"], "production");
    assert_eq!(run["ended_at"], Value::Null);
    assert_eq!(run["created_at"], "2026-11-22T12:00:00Z");
    assert_eq!(run["steps"], json!([]));
    assert_eq!(run["metadata"], json!({}));
    assert_eq!(run["position"], 0);
    assert_eq!(run["run_id"].as_str().unwrap().as_bytes()[14], b'7');
    assert_eq!(answer.header("x-log-position"), Some("0"));
    assert_eq!(answer.header("x-durability"), Some("always"));
    assert_eq!(answer.header("x-removed"), None);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_run_with_everything_comes_back_as_it_was_sent() {
    let world = World::new();
    let answer = world.post(&full()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let run = answer.json();
    for field in [
        "run_id",
        "agent_id",
        "agent_version",
        "environment",
        "status",
        "started_at",
        "ended_at",
        "parent_run_id",
        "parent_step_id",
        "session_id",
        "metadata",
    ] {
        assert_eq!(run[field], full()[field], "{field}");
    }
    assert_eq!(run["duration_ms"], 2500);
    assert_eq!(run["trace_id"], "abcdef0123456789abcdef0123456789");
    for (index, step) in full()["steps"].as_array().unwrap().iter().enumerate() {
        for field in ["step_id", "seq", "step_type", "name", "latency_ms", "started_at", "ended_at", "metadata"] {
            assert_eq!(run["steps"][index][field], step[field], "{field}");
        }
        assert_eq!(run["steps"][index]["run_id"], full()["run_id"]);
    }
    assert_eq!(run["steps"][1]["status"], "failed");
    assert_eq!(run["steps"][1]["error_code"], "timeout");
    assert_eq!(run["steps"][1]["parent_step_id"], full()["steps"][0]["step_id"]);
    assert_eq!(run["failures"][0]["message"], "External API timeout after 30s");
    assert_eq!(run["failures"][0]["failure_code"], "timeout");
    assert_eq!(run["decisions"][0]["metadata"], json!({"score": 3, "candidates": ["api", "cache"]}));
    assert_eq!(run["decisions"][0]["confidence"], 0.85);
    assert_eq!(run["quality_signals"][0]["value"], true);
    assert_eq!(run["quality_signals"][0]["tone"], "plain");
    assert_eq!(run["removed_count"], 0);
    assert_eq!(world.stored(), 1);
}

/// Each form, and what it comes back as.
#[tokio::test]
async fn lenient_forms_mean_what_they_say() {
    let world = World::new();
    let cases = [
        ("/started_at", json!("2026-11-22T10:00:00+02:00"), "/started_at", json!("2026-11-22T08:00:00Z")),
        ("/started_at", json!("2026-11-22T09:00:00"), "/started_at", json!("2026-11-22T09:00:00Z")),
        ("/started_at", json!("2026-11-22T09:00:00.1234567Z"), "/started_at", json!("2026-11-22T09:00:00.123456Z")),
        ("/started_at", json!("2026-11-22"), "/started_at", json!("2026-11-22T00:00:00Z")),
        ("/started_at", json!(1_700_000_000), "/started_at", json!("2023-11-14T22:13:20Z")),
        ("/started_at", json!(1_700_000_000.5), "/started_at", json!("2023-11-14T22:13:20.500000Z")),
        ("/started_at", json!(1_700_000_000_123_u64), "/started_at", json!("2023-11-14T22:13:20.123000Z")),
        ("/ended_at", Value::Null, "/duration_ms", Value::Null),
        ("/steps/0/latency_ms", json!(100.0), "/steps/0/latency_ms", json!(100)),
        ("/steps/0/latency_ms", json!("100"), "/steps/0/latency_ms", json!(100)),
        ("/steps/0/latency_ms", json!("100.0"), "/steps/0/latency_ms", json!(100)),
        ("/steps/0/latency_ms", json!(1_u64 << 53), "/steps/0/latency_ms", json!(1_u64 << 53)),
        ("/steps/0/seq", json!("0"), "/steps/0/seq", json!(0)),
        ("/steps/1/attempt", json!(2.0), "/steps/1/attempt", json!(2)),
        ("/steps/1/status", Value::Null, "/steps/1/status", json!("unknown")),
        ("/environment", json!(""), "/environment", json!("production")),
        (
            "/run_id",
            json!("11111111111141118111111111111111"),
            "/run_id",
            json!("11111111-1111-4111-8111-111111111111"),
        ),
        (
            "/run_id",
            json!("urn:uuid:11111111-1111-4111-8111-111111111111"),
            "/run_id",
            json!("11111111-1111-4111-8111-111111111111"),
        ),
        ("/decisions/0/confidence", json!(0), "/decisions/0/confidence", json!(0.0)),
        ("/decisions/0/confidence", json!(1), "/decisions/0/confidence", json!(1.0)),
        ("/decisions/0/confidence", json!("0.5"), "/decisions/0/confidence", json!(0.5)),
        ("/decisions/0/confidence", Value::Null, "/decisions/0/confidence", Value::Null),
        ("/decisions/0/candidates", Value::Null, "/decisions/0/metadata", json!({"score": 3})),
        ("/decisions/0/candidates", json!([]), "/decisions/0/metadata", json!({"score": 3})),
        ("/decisions", Value::Null, "/decisions", json!([])),
        ("/quality_signals", Value::Null, "/quality_signals", json!([])),
        ("/quality_signals/0/weight", Value::Null, "/quality_signals/0/weight", Value::Null),
        ("/failure/step_id", Value::Null, "/failures/0/step_id", Value::Null),
        ("/failure/failure_code", json!("HTTP 503 (gateway)"), "/failures/0/failure_code", json!("HTTP_503__gateway_")),
        ("/session_id", json!(""), "/session_id", Value::Null),
        ("/trace_id", Value::Null, "/trace_id", Value::Null),
        ("/metadata", Value::Null, "/metadata", json!({})),
        ("/agent_id", json!("a\tb\r\nc\u{0}d\u{7f}e\u{85}f"), "/agent_id", json!("a b  cdef")),
        ("/steps/0/name", json!("é".repeat(255)), "/steps/0/name", json!("é".repeat(255))),
        ("/unknown", json!({"deep": [1, {"prompt": "x"}]}), "/agent_id", json!("support-agent")),
        ("/steps/0/unknown", json!("x"), "/agent_id", json!("support-agent")),
        ("/failure/unknown", json!("x"), "/agent_id", json!("support-agent")),
        ("/decisions/0/unknown", json!("x"), "/agent_id", json!("support-agent")),
        ("/quality_signals/0/unknown", json!("x"), "/agent_id", json!("support-agent")),
    ];
    for (pointer, sent, shown, expected) in cases {
        let body = set(&full(), pointer, sent.clone());
        let body = if pointer == "/run_id" { body } else { without(&body, "/run_id") };
        let answer = world.post(&body).await;
        assert!(matches!(answer.status.as_u16(), 200 | 201), "{pointer} = {sent}: {}", answer.text());
        assert_eq!(answer.json().pointer(shown), Some(&expected), "{pointer} = {sent}");
        if pointer == "/run_id" {
            world.runs.views.lock().unwrap().clear();
        }
    }
}

#[tokio::test]
async fn booleans_are_read_in_every_form() {
    let world = World::new();
    let yes = [
        json!(true),
        json!("true"),
        json!("Yes"),
        json!("on"),
        json!("t"),
        json!("y"),
        json!("1"),
        json!(1),
        json!(1.0),
    ];
    let no = [json!(false), json!("FALSE"), json!("no"), json!("off"), json!("f"), json!("n"), json!("0"), json!(0)];
    for (forms, expected) in [(&yes[..], true), (&no[..], false)] {
        for form in forms {
            let body = set(&without(&full(), "/run_id"), "/quality_signals/0/value", form.clone());
            let answer = world.post(&body).await;
            assert_eq!(answer.status, 201, "{form}: {}", answer.text());
            assert_eq!(answer.json()["quality_signals"][0]["value"], expected, "{form}");
        }
    }
}

#[tokio::test]
async fn ids_that_are_missing_null_or_nil_are_made() {
    let world = World::new();
    let nil = json!("00000000-0000-0000-0000-000000000000");
    let body = without(&full(), "/run_id");
    for pointer in ["/steps/0/step_id", "/decisions/0/decision_id", "/quality_signals/0/signal_id"] {
        let mut unreferenced = set(&body, "/decisions/0/step_id", Value::Null);
        unreferenced = without(&unreferenced, "/steps/1/parent_step_id");
        for sent in [
            without(&unreferenced, pointer),
            set(&unreferenced, pointer, Value::Null),
            set(&unreferenced, pointer, nil.clone()),
        ] {
            let answer = world.post(&sent).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            let made = answer.json().pointer(pointer).unwrap().as_str().unwrap().to_owned();
            assert_eq!(made.as_bytes()[14], b'7', "{pointer}: {made}");
        }
    }
}

#[tokio::test]
async fn steps_come_back_in_seq_order_whatever_the_order_of_the_array() {
    let world = World::new();
    let mut body = full();
    body["steps"].as_array_mut().unwrap().reverse();
    let run = world.post(&body).await.json();
    assert_eq!(run["steps"][0]["seq"], 0);
    assert_eq!(run["steps"][1]["name"], "billing_api");
}

#[tokio::test]
async fn a_failed_run_without_its_failure_is_accepted_and_counted() {
    let world = World::new();
    let body = set(&small(), "/status", json!("failure"));
    let answer = world.post(&body).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["failures"]), (201, &json!([])));
    let metrics = world
        .send(
            http::Request::get("/metrics")
                .header("accept", "application/json")
                .body(axum::body::Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(metrics.json()["metrics"]["runs_failure_left_out_total"], 1);
}

#[tokio::test]
async fn a_failure_is_stored_on_any_status() {
    let world = World::new();
    for status in ["success", "partial"] {
        let body = set(&without(&full(), "/run_id"), "/status", json!(status));
        let run = world.post(&body).await.json();
        assert_eq!((&run["status"], &run["failures"][0]["failure_code"]), (&json!(status), &json!("timeout")));
    }
    let explicit_null = set(&small(), "/failure", Value::Null);
    assert_eq!(world.post(&explicit_null).await.status, 201);
}

#[tokio::test]
async fn numbers_of_metadata_keep_their_kind() {
    let world = World::new();
    let text = r#"{"agent_id":"a","agent_version":"v","status":"success","started_at":1700000000,
        "metadata":{"max":18446744073709551615,"min":-9223372036854775808,"float":1.5,"whole":2.0,"huge":1e300,"zero":0,
        "again":1,"again":2}}"#;
    let answer = world.post_bytes(text).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(
        answer.text().contains(
            r#""metadata":{"max":18446744073709551615,"min":-9223372036854775808,"float":1.5,"whole":2.0,"huge":1e+300,"zero":0,"again":2}"#
        ),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_byte_order_mark_and_a_charset_do_no_harm() {
    let world = World::new();
    let body = format!("\u{feff} {} \n", small());
    let request = http::Request::post("/v1/runs/").header("content-type", "Application/JSON; charset=utf-8");
    let answer = world.send(request.body(axum::body::Body::from(body)).unwrap()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[tokio::test]
async fn a_run_of_ten_thousand_steps_is_taken() {
    let world = World::new();
    let steps: Vec<_> = (0..10_000)
        .map(|seq| {
            json!({"seq": seq, "step_type": "tool", "name": "t", "latency_ms": 1, "started_at": 1_700_000_000,
                   "ended_at": 1_700_000_001})
        })
        .collect();
    let answer = world.post(&set(&small(), "/steps", json!(steps))).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["steps"].as_array().unwrap().len(), 10_000);
}

#[tokio::test]
async fn several_failures_are_taken_as_a_list_when_there_is_no_single_one() {
    let world = World::new();
    let one = full()["failure"].clone();
    let other = json!({"failure_type": "model", "failure_code": "provider_unavailable", "message": "503"});
    let several = set(&without(&full(), "/failure"), "/failures", json!([one, other]));
    let run = world.post(&several).await.json();
    let codes: Vec<_> = run["failures"].as_array().unwrap().iter().map(|failure| &failure["failure_code"]).collect();
    assert_eq!(codes, ["timeout", "provider_unavailable"]);

    let wrong = set(&several, "/failures/1/failure_type", json!("weather"));
    let answer = world.post(&wrong).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json()["detail"][0]["loc"], json!(["body", "failures", 1, "failure_type"]));

    // A single one wins, and what is no list is an unknown field.
    for failures in [json!([other]), json!("many")] {
        let both = set(&without(&full(), "/run_id"), "/failures", failures);
        let run = world.post(&both).await.json();
        assert_eq!(run["failures"].as_array().unwrap().len(), 1);
        assert_eq!(run["failures"][0]["failure_code"], "timeout");
    }
}
