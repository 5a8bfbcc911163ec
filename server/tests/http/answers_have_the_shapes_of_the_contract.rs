//! Contract §4: fields, their order, derived values.

use serde_json::{Value, json};

use crate::common::{TestServer, full_run, id, small_run};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn fields_come_in_the_order_of_the_contract() {
    let server = TestServer::boot().await;
    let run = full_run();
    let stored = server.store(&run).await;
    assert_eq!(
        keys(&stored),
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
    assert_eq!(
        keys(&stored["steps"][0]),
        [
            "step_id",
            "run_id",
            "seq",
            "step_type",
            "name",
            "latency_ms",
            "started_at",
            "ended_at",
            "metadata",
            "created_at",
            "status",
            "error_code",
            "parent_step_id",
            "attempt",
            "attempts_total",
            "retry_group"
        ]
    );
    assert_eq!(
        keys(&stored["failures"][0]),
        ["failure_id", "run_id", "step_id", "failure_type", "failure_code", "message", "created_at"]
    );
    assert_eq!(
        keys(&stored["decisions"][0]),
        [
            "decision_id",
            "run_id",
            "step_id",
            "decision_type",
            "selected",
            "reason_code",
            "confidence",
            "metadata",
            "recorded_at",
            "created_at"
        ]
    );
    assert_eq!(
        keys(&stored["quality_signals"][0]),
        [
            "signal_id",
            "run_id",
            "step_id",
            "signal_type",
            "signal_code",
            "value",
            "weight",
            "metadata",
            "recorded_at",
            "created_at",
            "tone"
        ]
    );
}

#[tokio::test]
async fn what_was_sent_comes_back_and_what_is_derived_is_right() {
    let server = TestServer::boot().await;
    let run = full_run();
    let stored = server.store(&run).await;
    for field in ["run_id", "agent_id", "agent_version", "environment", "status", "started_at", "ended_at"] {
        assert_eq!(stored[field], run[field], "{field}");
    }
    assert_eq!(stored["duration_ms"], 5250);
    assert_eq!(stored["metadata"], json!({}));
    assert_eq!(stored["removed_count"], 0);
    for (step, sent) in run["steps"].as_array().unwrap().iter().enumerate() {
        for (field, value) in sent.as_object().unwrap() {
            assert_eq!(&stored["steps"][step][field], value, "{field}");
        }
        assert_eq!(stored["steps"][step]["run_id"], run["run_id"]);
        assert_eq!(stored["steps"][step]["created_at"], stored["created_at"]);
        assert_eq!(stored["steps"][step]["attempt"], 1);
        assert_eq!(stored["steps"][step]["attempts_total"], 1);
        assert_eq!(stored["steps"][step]["retry_group"], json!(null));
    }
    for (field, value) in run["failure"].as_object().unwrap() {
        assert_eq!(&stored["failures"][0][field], value, "{field}");
    }
    for field in ["decision_id", "step_id", "decision_type", "selected", "reason_code", "confidence"] {
        assert_eq!(stored["decisions"][0][field], run["decisions"][0][field], "{field}");
    }
    assert_eq!(stored["decisions"][0]["metadata"], json!({"rank": 1, "candidates": ["billing_api", "cache"]}));
    for field in ["signal_id", "step_id", "signal_type", "signal_code", "value", "weight", "metadata"] {
        assert_eq!(stored["quality_signals"][0][field], run["quality_signals"][0][field], "{field}");
    }
    assert_eq!(stored["quality_signals"][0]["tone"], "attention");
    let created = stored["created_at"].as_str().unwrap();
    assert!(created.ends_with('Z') && created.len() >= 20, "{created}");
}

#[tokio::test]
async fn the_stored_run_is_the_same_bytes_wherever_it_is_read() {
    let server = TestServer::boot().await;
    let run = full_run();
    let posted = server.post(&run).await.expect(201);
    let path = format!("/v1/runs/{}", id(&run));
    let read = server.get(&path).await.expect(200);
    assert_eq!(posted.text(), read.text());
    assert_eq!(server.get("/v1/runs").await.text(), format!("[{}]", posted.text()));
    assert_eq!(server.post(&run).await.expect(200).text(), posted.text());
    // Also once it is cold, and folded anew out of the log by another process's start.
    let server = server.restart(|_| {}).await;
    assert_eq!(server.get(&path).await.expect(200).text(), posted.text());
}

#[tokio::test]
async fn times_have_six_digits_or_none() {
    let server = TestServer::boot().await;
    let run = small_run(json!({"started_at": "2026-11-22T10:00:00.100Z", "ended_at": "2026-11-22T11:00:01+01:00"}));
    let stored = server.store(&run).await;
    assert_eq!(stored["started_at"], "2026-11-22T10:00:00.100000Z");
    assert_eq!(stored["ended_at"], "2026-11-22T10:00:01Z");
    assert_eq!(stored["duration_ms"], 900);
}

#[tokio::test]
async fn retries_are_derived() {
    let server = TestServer::boot().await;
    let step = |seq: u32, status: &str| {
        json!({"step_id": uuid::Uuid::new_v4(), "seq": seq, "step_type": "tool", "name": "billing_api",
               "latency_ms": 10, "status": status, "started_at": format!("2026-11-22T10:00:0{seq}Z"),
               "ended_at": format!("2026-11-22T10:00:0{seq}.500000Z")})
    };
    let steps = json!([step(0, "failed"), step(1, "ok")]);
    let first = steps[0]["step_id"].clone();
    let stored = server.store(&small_run(json!({"steps": steps}))).await;
    for (step, attempt) in [(0, 1), (1, 2)] {
        assert_eq!(stored["steps"][step]["attempt"], attempt);
        assert_eq!(stored["steps"][step]["attempts_total"], 2);
        assert_eq!(stored["steps"][step]["retry_group"], first);
    }
}

#[tokio::test]
async fn our_own_fields_come_back() {
    let server = TestServer::boot().await;
    let parent = uuid::Uuid::new_v4();
    let fields = json!({
        "parent_run_id": parent, "parent_step_id": parent, "session_id": "s-1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "metadata": {"model": "m-large-1", "cost_usd": 0.25},
    });
    let stored = server.store(&small_run(fields.clone())).await;
    for (field, value) in fields.as_object().unwrap() {
        assert_eq!(&stored[field], value, "{field}");
    }
}
