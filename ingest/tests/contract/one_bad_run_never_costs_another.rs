//! `POST /v1/runs/batch`.
#![expect(clippy::await_holding_lock, reason = "the lock holds back the log's own thread, nobody awaits it")]

use std::sync::atomic::Ordering;

use agenttracer_storage::{AppendError, SubmitError};
use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{World, errors_of, full, post, send, set, small, until};

fn with_id(id: u128) -> Value {
    set(&small(), "/run_id", json!(Uuid::from_u128(id)))
}

fn lines(body: &str) -> Request<Body> {
    let request = Request::post("/v1/runs/batch").header("content-type", "application/x-ndjson");
    request.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn good_runs_are_stored_beside_bad_ones() {
    let world = World::new();
    assert_eq!(world.post(&with_id(1)).await.status, 201);
    world.runs.special.lock().unwrap().insert(Uuid::from_u128(3), agenttracer_ingest::StoredRun::Erased);
    let batch = json!([
        full(),
        {"run_id": Uuid::from_u128(2), "agent_id": 5},
        with_id(1),
        set(&with_id(1), "/agent_id", json!("other")),
        7,
        with_id(3),
        set(&small(), "/agent_id", json!("jo@example.com")),
        set(&small(), "/decisions", json!([{"step_id": Uuid::from_u128(8), "decision_type": "tool_selection",
            "reason_code": "tool_unavailable", "selected": "x"}])),
    ]);
    let answer = world.post_batch(&batch).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    assert_eq!(told.as_object().unwrap().keys().collect::<Vec<_>>(), ["accepted", "duplicates", "rejected", "removed"]);
    assert_eq!((&told["accepted"], &told["duplicates"]), (&json!(2), &json!(1)));
    assert_eq!(told["removed"], json!({"email": 1}));
    assert_eq!(answer.header("x-removed"), Some("email=1"));
    let rejected = told["rejected"].as_array().unwrap();
    let facts: Vec<_> =
        rejected.iter().map(|item| (item["index"].as_u64().unwrap(), item["status"].as_u64().unwrap())).collect();
    assert_eq!(facts, [(1, 422), (3, 409), (4, 422), (5, 410), (7, 409)]);
    assert_eq!(rejected[0].as_object().unwrap().keys().collect::<Vec<_>>(), ["index", "run_id", "status", "errors"]);
    assert_eq!(rejected[0]["run_id"], json!(Uuid::from_u128(2)));
    let first: Vec<_> =
        errors_of(&rejected[0]["errors"]).into_iter().map(|(kind, place)| format!("{place} {kind}")).collect();
    assert_eq!(
        first,
        ["1.agent_id string_type", "1.agent_version missing", "1.status missing", "1.started_at missing"]
    );
    assert_eq!(errors_of(&rejected[1]["errors"]), [("conflict".to_owned(), "3".to_owned())]);
    assert_eq!(rejected[1]["run_id"], json!(Uuid::from_u128(1)));
    assert_eq!(errors_of(&rejected[2]["errors"]), [("model_attributes_type".to_owned(), "4".to_owned())]);
    assert_eq!(rejected[2]["run_id"], Value::Null);
    assert_eq!(errors_of(&rejected[3]["errors"]), [("erased".to_owned(), "5".to_owned())]);
    assert_eq!(world.stored(), 3);
    assert!(answer.header("x-log-position").is_some());
}

#[tokio::test]
async fn one_id_twice_in_a_batch_is_a_duplicate_or_a_conflict() {
    let world = World::new();
    let batch = json!([with_id(1), with_id(1), set(&with_id(1), "/agent_id", json!("other")), with_id(2), with_id(1)]);
    let told = world.post_batch(&batch).await.json();
    assert_eq!((&told["accepted"], &told["duplicates"]), (&json!(2), &json!(2)));
    assert_eq!((&told["rejected"][0]["index"], &told["rejected"][0]["status"]), (&json!(2), &json!(409)));
    assert_eq!(told["rejected"].as_array().unwrap().len(), 1);
}

/// The first is invalid, so the second is the first to be stored.
#[tokio::test]
async fn an_invalid_run_does_not_take_its_id() {
    let world = World::new();
    let told = world.post_batch(&json!([set(&with_id(1), "/status", json!("x")), with_id(1)])).await.json();
    assert_eq!((&told["accepted"], &told["rejected"][0]["index"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn lines_are_runs() {
    let world = World::new();
    let body = format!("\n{}\r\n\n  \n{}\n{{broken\n{}", with_id(1), json!({"agent_id": "x\ny"}), with_id(2));
    let told = world.send(lines(&body)).await.json();
    assert_eq!(told["accepted"], 2);
    let rejected = told["rejected"].as_array().unwrap();
    assert_eq!((&rejected[0]["index"], &rejected[0]["status"]), (&json!(1), &json!(422)));
    assert_eq!(rejected[1]["index"], 2);
    assert_eq!(rejected[1]["errors"][0]["type"], "json_invalid");
    assert_eq!(rejected[1]["errors"][0]["loc"][0], "body");
    assert_eq!(rejected[1]["errors"][0]["loc"][1], 2);
    assert_eq!(rejected.len(), 2);
    let blank = world.send(lines("\n \n")).await.json();
    assert_eq!(blank, json!({"accepted": 0, "duplicates": 0, "rejected": [], "removed": {}}));
}

#[tokio::test]
async fn a_broken_item_of_an_array_is_one_item() {
    let world = World::new();
    let body = format!("[{}, {{\"agent_id\": tru}}, {}]", with_id(1), with_id(2));
    let told = world.send(post("/v1/runs/batch", body)).await.json();
    assert_eq!(told["accepted"], 2);
    assert_eq!(told["rejected"][0]["errors"][0]["type"], "json_invalid");
    assert_eq!(told["rejected"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_array_that_cannot_be_cut_is_refused_whole() {
    let world = World::new();
    for body in [
        format!("[{},", with_id(1)),
        format!("[{}", with_id(1)),
        format!("[{}] x", with_id(1)),
        format!("[{},]", with_id(1)),
        format!("[,{}]", with_id(1)),
        format!("[{}}}]", with_id(1)),
        "[\"".to_owned(),
        " ".to_owned(),
    ] {
        let answer = world.send(post("/v1/runs/batch", body.clone())).await;
        assert_eq!(answer.errors()[0].0, "json_invalid", "{body}");
    }
    for body in ["{}", "5", "\"x\"", "null"] {
        let answer = world.send(post("/v1/runs/batch", body)).await;
        assert_eq!(answer.errors(), [("list_type".to_owned(), String::new())], "{body}");
    }
    assert_eq!(world.post_batch(&json!([])).await.json()["accepted"], 0);
    assert_eq!(world.stored(), 0);
}

#[tokio::test]
async fn a_batch_holds_ten_thousand_runs() {
    let world = World::new();
    let array = |count: usize| format!("[{}]", vec![small().to_string(); count].join(","));
    let lined = |count: usize| vec![small().to_string(); count].join("\n");
    assert_eq!(world.send(post("/v1/runs/batch", array(10_001))).await.status, 413);
    assert_eq!(world.send(lines(&lined(10_001))).await.status, 413);
    assert_eq!(world.stored(), 0);
    // The log's queue holds far fewer: what finds no room is queued again once others are done.
    let answer = world.send(post("/v1/runs/batch", array(10_000))).await;
    assert_eq!(answer.json()["accepted"], 10_000, "{}", answer.text());
    assert_eq!(world.stored(), 10_000);
}

#[tokio::test]
async fn a_run_over_8_mib_costs_no_other() {
    let world = World::new();
    let big = format!("{{\"pad\": \"{}\"}}", "x".repeat(8 << 20));
    let body = format!("[{}, {big}]", with_id(1));
    let told = world.send(post("/v1/runs/batch", body)).await.json();
    assert_eq!((&told["accepted"], &told["rejected"][0]["status"]), (&json!(1), &json!(413)));
}

#[tokio::test]
async fn a_log_that_takes_nothing_rejects_each_item() {
    let world = World::new();
    for (refusal, status, kind) in [(SubmitError::Busy, 429, "busy"), (SubmitError::DiskFull, 503, "unavailable")] {
        world.log.refuse(Some(refusal));
        let told = world.post_batch(&json!([with_id(1), small()])).await.json();
        assert_eq!(told["accepted"], 0);
        for (index, item) in told["rejected"].as_array().unwrap().iter().enumerate() {
            assert_eq!((&item["index"], &item["status"]), (&json!(index), &json!(status)));
            assert_eq!(item["errors"][0]["type"], kind);
        }
        assert_eq!(told["rejected"][0]["run_id"], json!(Uuid::from_u128(1)));
        assert_eq!(told["rejected"][1]["run_id"], Value::Null);
    }
    world.log.refuse(None);
    *world.runs.failing.lock().unwrap() = Some(AppendError::DiskFull);
    let told = world.post_batch(&json!([with_id(1), with_id(1)])).await.json();
    let statuses: Vec<_> = told["rejected"].as_array().unwrap().iter().map(|item| &item["status"]).collect();
    assert_eq!(statuses, [503, 503]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_waits_for_the_same_id_of_another_request() {
    let world = World::new();
    let gate = world.log.hold();
    let single = tokio::spawn(send(world.router.clone(), post("/v1/runs", with_id(1).to_string())));
    until("the single run is queued", || world.runs.finds.load(Ordering::SeqCst) == 1).await;
    let body = json!([with_id(1), with_id(2)]).to_string();
    let batch = tokio::spawn(send(world.router.clone(), post("/v1/runs/batch", body)));
    until("the batch queued its other run", || world.runs.finds.load(Ordering::SeqCst) == 2).await;
    drop(gate);
    assert_eq!(single.await.unwrap().status, 201);
    let told = batch.await.unwrap().json();
    assert_eq!((&told["accepted"], &told["duplicates"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn no_room_is_told_before_anything_is_read() {
    let world = World::new();
    world.runs.full.store(true, Ordering::SeqCst);
    for path in ["/v1/runs", "/v1/runs/batch"] {
        let answer = world.send(post(path, "not even JSON")).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("1")));
    }
}
