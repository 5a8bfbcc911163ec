//! Idempotency: 200 for the same content, 409 for other content, also between requests in flight.
#![expect(clippy::await_holding_lock, reason = "the lock holds back the log's own thread, nobody awaits it")]

use std::sync::atomic::Ordering;

use agenttracer_ingest::StoredRun;
use agenttracer_storage::{AppendError, SubmitError};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{World, full, post, send, set, small, until, without};

fn with_id(body: &Value, id: u128) -> Value {
    set(body, "/run_id", json!(Uuid::from_u128(id)))
}

#[tokio::test]
async fn the_same_content_is_answered_with_the_stored_run() {
    let world = World::new();
    let first = world.post(&full()).await;
    assert_eq!(first.status, 201);
    // Another spelling of the same content.
    let mut same = set(&full(), "/started_at", json!("2026-11-22T11:00:00+01:00"));
    same["steps"][0]["latency_ms"] = json!("100");
    same["unknown"] = json!("field");
    let second = world.post(&same).await;
    assert_eq!(second.status, 200, "{}", second.text());
    assert_eq!(second.bytes, first.bytes);
    assert_eq!(second.header("x-log-position"), first.header("x-log-position"));
    let other = world.post(&set(&full(), "/agent_version", json!("v2"))).await;
    assert_eq!(other.status, 409);
    assert_eq!(
        other.json(),
        json!({"error": format!("Run {} already exists with other content", full()["run_id"].as_str().unwrap()),
               "status_code": 409, "path": "/v1/runs"})
    );
    assert_eq!(world.stored(), 1);
    let metrics = world.get("/metrics").await.text();
    assert!(metrics.contains("agenttracer_runs_ingested_total 1\n"), "{metrics}");
    assert!(metrics.contains("agenttracer_runs_duplicate_total 1\n"));
    assert!(metrics.contains("agenttracer_runs_failed_total{reason=\"conflict\"} 1\n"));
}

#[tokio::test]
async fn ids_that_the_server_makes_are_not_content() {
    let world = World::new();
    let mut body = with_id(&full(), 5);
    body["quality_signals"][0].as_object_mut().unwrap().shift_remove("signal_id");
    body["decisions"][0].as_object_mut().unwrap().shift_remove("decision_id");
    assert_eq!(world.post(&body).await.status, 201);
    assert_eq!(world.post(&body).await.status, 200);
}

#[tokio::test]
async fn runs_without_an_id_are_never_the_same() {
    let world = World::new();
    assert_eq!(world.post(&small()).await.status, 201);
    assert_eq!(world.post(&small()).await.status, 201);
    assert_eq!(world.stored(), 2);
    assert_eq!(world.runs.finds.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn erased_and_live_ids_are_refused() {
    let world = World::new();
    for (stored, status) in [(StoredRun::Erased, 410), (StoredRun::Live, 409)] {
        world.runs.special.lock().unwrap().insert(Uuid::from_u128(9), stored);
        let answer = world.post(&with_id(&small(), 9)).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["status_code"], status);
    }
    assert_eq!(world.stored(), 0);
}

/// Not a 503, after which clients send it again for ever.
#[tokio::test]
async fn a_run_whose_record_is_damaged_is_refused_for_good() {
    let world = World::new();
    assert_eq!(world.post(&with_id(&small(), 3)).await.status, 201);
    world.runs.damaged.store(true, Ordering::SeqCst);
    let error = format!("Run {} already exists, but its record is damaged and cannot be compared", Uuid::from_u128(3));
    let answer = world.post(&with_id(&small(), 3)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (409, &json!(error)));
    let answer = world.post_batch(&json!([with_id(&small(), 3), with_id(&small(), 4)])).await.json();
    assert_eq!((&answer["accepted"], &answer["duplicates"]), (&json!(1), &json!(0)));
    assert_eq!((&answer["rejected"][0]["index"], &answer["rejected"][0]["status"]), (&json!(0), &json!(409)));
    assert_eq!(answer["rejected"][0]["errors"][0]["msg"], error);
}

#[tokio::test]
async fn a_minimal_answer_is_asked_for() {
    let world = World::new();
    for (status, prefer) in
        [(201, "return=minimal"), (200, "respond-async, Return=Minimal"), (200, "return = \"minimal\"; wait=5")]
    {
        let mut request = post("/v1/runs", with_id(&small(), 3).to_string());
        request.headers_mut().insert("prefer", prefer.parse().unwrap());
        let answer = world.send(request).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.text(), format!(r#"{{"run_id":"{}","position":0}}"#, Uuid::from_u128(3)));
        assert_eq!(answer.header("preference-applied"), Some("return=minimal"));
        assert_eq!(answer.header("x-log-position"), Some("0"));
    }
}

/// Many requests for one id, half of them with other content: one stores, its equals are told so, the others conflict.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_requests_in_flight_one_stores() {
    let world = World::new();
    for round in 0..20 {
        let gate = world.log.hold();
        let bodies = [with_id(&small(), 100 + round), with_id(&set(&small(), "/agent_id", json!("b")), 100 + round)];
        let tasks: Vec<_> = (0..40)
            .map(|task| {
                let request = post("/v1/runs", bodies[task % 2].to_string());
                tokio::spawn(send(world.router.clone(), request))
            })
            .collect();
        until("one request asked the projections", || world.runs.finds.load(Ordering::SeqCst) > 0).await;
        drop(gate);
        let mut by_status = [Vec::new(), Vec::new(), Vec::new()];
        for task in tasks {
            let answer = task.await.unwrap();
            let slot = [201, 200, 409].iter().position(|status| answer.status == *status).unwrap();
            by_status[slot].push(answer);
        }
        let [created, same, conflict] = by_status;
        assert_eq!((created.len(), same.len(), conflict.len()), (1, 19, 20));
        for answer in same {
            assert_eq!(answer.bytes, created[0].bytes);
        }
    }
    assert_eq!(world.stored(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_the_first_fails_all_that_wait_for_it_fail() {
    let world = World::new();
    *world.runs.failing.lock().unwrap() = Some(AppendError::Failed("/secret/path: EIO".to_owned()));
    let gate = world.log.hold();
    let body = with_id(&small(), 7).to_string();
    let first = tokio::spawn(send(world.router.clone(), post("/v1/runs", body.clone())));
    until("the first is queued", || world.runs.finds.load(Ordering::SeqCst) == 1).await;
    let others: Vec<_> =
        (0..10).map(|_| tokio::spawn(send(world.router.clone(), post("/v1/runs", body.clone())))).collect();
    drop(gate);
    for task in others.into_iter().chain([first]) {
        let answer = task.await.unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["status_code"], 503);
        assert!(!answer.text().contains("/secret"), "{}", answer.text());
    }
    *world.runs.failing.lock().unwrap() = None;
    let answer = world.send(post("/v1/runs", body)).await;
    assert_eq!(answer.status, 201, "the id is free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_leaves_no_reservation_and_no_half_run() {
    let world = World::new();
    let gate = world.log.hold();
    let body = with_id(&small(), 8).to_string();
    let gone = tokio::spawn(send(world.router.clone(), post("/v1/runs", body.clone())));
    until("the first is queued", || world.runs.finds.load(Ordering::SeqCst) == 1).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    let waits = tokio::spawn(send(world.router.clone(), post("/v1/runs", body.clone())));
    drop(gate);
    let answer = waits.await.unwrap();
    assert_eq!(answer.status, 200, "the run of the client that went away was stored: {}", answer.text());
    assert_eq!(world.stored(), 1);
    assert!(world.get("/metrics").await.text().contains("agenttracer_runs_ingested_total 1\n"));
}

#[tokio::test]
async fn a_refused_batch_frees_its_id() {
    let world = World::new();
    for (refusal, status) in [
        (SubmitError::Busy, 429),
        (SubmitError::DiskFull, 503),
        (SubmitError::OverLimit, 503),
        (SubmitError::Poisoned, 503),
        (SubmitError::Dead, 503),
        (SubmitError::Closed, 503),
        (SubmitError::TooLarge, 413),
    ] {
        world.log.refuse(Some(refusal));
        let answer = world.post(&with_id(&small(), 4)).await;
        assert_eq!(answer.status, status, "{refusal:?}");
        assert_eq!(answer.json()["path"], "/v1/runs");
        assert_eq!(answer.header("retry-after"), (status == 429).then_some("1"));
    }
    world.log.refuse(None);
    assert_eq!(world.post(&with_id(&small(), 4)).await.status, 201);
}

#[tokio::test]
async fn projections_that_cannot_be_read_are_a_503_without_their_paths() {
    let world = World::new();
    world.runs.broken.store(true, Ordering::SeqCst);
    let answer = world.post(&with_id(&small(), 2)).await;
    assert_eq!(answer.status, 503);
    assert!(!answer.text().contains("/secret"), "{}", answer.text());
    world.runs.broken.store(false, Ordering::SeqCst);
    assert_eq!(world.post(&with_id(&small(), 2)).await.status, 201);
}

#[tokio::test]
async fn an_invalid_run_is_never_looked_up() {
    let world = World::new();
    assert_eq!(world.post(&without(&full(), "/agent_id")).await.status, 422);
    assert_eq!(world.runs.finds.load(Ordering::SeqCst), 0);
}
