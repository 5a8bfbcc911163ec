//! `POST /v1/events`: a run is shown while it goes on, counted when it is over, and the same in whatever order and pieces
//! its events came.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{Answer, TestServer, full_run, id, send, with};

fn event(run_id: &str, kind: &str, second: u32, fields: Value) -> Value {
    let mut event = json!({
        "event_id": Uuid::new_v4(), "run_id": run_id, "type": kind, "time": format!("2026-11-22T10:00:{second:02}Z"),
    });
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn started(run_id: &str) -> Value {
    event(
        run_id,
        "run_started",
        0,
        json!({"agent_id": "support-agent", "agent_version": "v1.0.0", "environment": "staging"}),
    )
}

fn step_started(run_id: &str, step_id: &str, seq: u32) -> Value {
    event(
        run_id,
        "step_started",
        seq,
        json!({"step_id": step_id, "seq": seq, "step_type": "tool", "name": "billing_api"}),
    )
}

/// What happened in [`full_run`], event by event.
fn events_of(run: &Value) -> Vec<Value> {
    let run_id = id(run);
    let mut events = vec![event(
        run_id,
        "run_started",
        0,
        json!({"agent_id": run["agent_id"], "agent_version": run["agent_version"], "environment": run["environment"],
               "started_at": run["started_at"]}),
    )];
    for step in run["steps"].as_array().unwrap() {
        let seq = step["seq"].as_u64().unwrap() as u32;
        let mut begun = step_started(run_id, step["step_id"].as_str().unwrap(), seq);
        (begun["step_type"], begun["name"]) = (step["step_type"].clone(), step["name"].clone());
        events.push(begun);
        events.push(event(run_id, "step_ended", seq + 1, step.clone()));
    }
    events.push(event(run_id, "failure_recorded", 5, run["failure"].clone()));
    events.push(event(run_id, "decision_recorded", 2, run["decisions"][0].clone()));
    events.push(event(run_id, "signal_recorded", 3, run["quality_signals"][0].clone()));
    events.push(event(run_id, "heartbeat", 4, json!({})));
    events.push(event(run_id, "run_ended", 6, json!({"status": run["status"], "ended_at": run["ended_at"]})));
    events
}

async fn post(server: &TestServer, events: &[Value]) -> Answer {
    send(server.ingest(Method::POST, "/v1/events").json(events)).await
}

/// Posts events that are all new.
async fn store(server: &TestServer, events: &[Value]) {
    let answer = post(server, events).await.expect(200);
    let expected = json!({"accepted": events.len(), "duplicates": 0, "rejected": [], "removed": {}});
    assert_eq!(answer.json(), expected);
}

async fn run(server: &TestServer, run_id: &str) -> Value {
    server.get(&format!("/v1/runs/{run_id}")).await.expect(200).json()
}

async fn listed(server: &TestServer, filter: &str) -> Vec<String> {
    let list = server.get(&format!("/v1/runs?view=summary&page_size=100&{filter}")).await.expect(200);
    let runs: Vec<_> = list.json().as_array().unwrap().iter().map(|run| id(run).to_owned()).collect();
    assert_eq!(list.header("x-total-count"), Some(runs.len().to_string().as_str()), "{filter}");
    runs
}

/// Without what the server makes: the times and the positions.
fn without_the_servers_part(mut run: Value) -> String {
    run["created_at"].take();
    run["position"].take();
    for list in ["steps", "failures", "decisions", "quality_signals"] {
        run[list].as_array_mut().unwrap().iter_mut().for_each(|part| drop(part["created_at"].take()));
    }
    run.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_run_is_shown_with_its_steps_so_far_and_counted_when_it_is_over() {
    let server = TestServer::boot().await;
    let run_id = &Uuid::new_v4().to_string();
    let (first, second, nobody) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    store(&server, &[started(run_id), step_started(run_id, &first, 0)]).await;

    let now = run(&server, run_id).await;
    assert_eq!(
        (&now["status"], &now["ended_at"], &now["duration_ms"]),
        (&json!("running"), &Value::Null, &Value::Null)
    );
    assert_eq!((&now["steps"][0]["step_id"], &now["steps"][0]["latency_ms"]), (&json!(first), &json!(0)));
    assert_eq!(listed(&server, "").await, [""; 0]);
    assert_eq!(listed(&server, "status=success").await, [""; 0]);
    for filter in ["status=running", "live=1", "live=true&status=failure", "status=running&agent_id=support-agent"] {
        assert_eq!(listed(&server, filter).await, [run_id.as_str()], "{filter}");
    }
    for filter in ["", "?status=running", "?live=1", "?agent_id=support-agent"] {
        let stats = server.get(&format!("/v1/stats{filter}")).await.expect(200).json();
        assert_eq!((&stats["total_runs"], &stats["step_type_breakdown"]), (&json!(0), &json!({})), "{filter}");
    }

    // A number that leaves a gap, and references to a step that never comes: not the event's fault.
    let mut ended = step_started(run_id, &first, 0);
    ended["type"] = json!("step_ended");
    let more = json!({"latency_ms": 250, "started_at": "2026-11-22T10:00:00Z", "ended_at": "2026-11-22T10:00:00.25Z",
                      "status": "failed", "parent_step_id": nobody});
    more.as_object().unwrap().iter().for_each(|(name, value)| ended[name] = value.clone());
    let decision = event(
        run_id,
        "decision_recorded",
        3,
        json!({"decision_type": "retry_strategy", "selected": "again",
        "reason_code": "transient_error_detected", "step_id": nobody}),
    );
    store(&server, &[ended, decision, step_started(run_id, &second, 7)]).await;
    let now = run(&server, run_id).await;
    assert_eq!((&now["steps"][0]["latency_ms"], &now["steps"][0]["parent_step_id"]), (&json!(250), &json!(nobody)));
    assert_eq!((&now["steps"][1]["seq"], &now["decisions"][0]["step_id"]), (&json!(7), &json!(nobody)));
    let events = server.get(&format!("/v1/runs/{run_id}/events")).await.expect(200).json();
    let kinds: Vec<_> = events.as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["run_started", "step_started", "step_ended", "decision_recorded", "step_started"]);

    store(&server, &[event(run_id, "run_ended", 9, json!({"status": "partial"}))]).await;
    let now = run(&server, run_id).await;
    assert_eq!((&now["status"], &now["duration_ms"]), (&json!("partial"), &json!(9000)));
    assert_eq!((&now["steps"][1]["seq"], &now["steps"][0]["parent_step_id"]), (&json!(1), &Value::Null));
    assert_eq!(now["decisions"][0]["step_id"], Value::Null);
    assert_eq!(listed(&server, "").await, [run_id.as_str()]);
    assert_eq!(listed(&server, "status=running").await, [""; 0]);
    assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 1);
    let metrics = server.get("/metrics").await.text();
    for line in ["agenttracer_events_ingested_total 6\n", "agenttracer_live_runs 0\n"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_before_the_start_wait_for_it_across_restarts() {
    let server = TestServer::boot().await;
    let [waiting, gone] = [0; 2].map(|_| Uuid::new_v4().to_string());
    let step = Uuid::new_v4().to_string();
    store(&server, &[step_started(&waiting, &step, 0), event(&gone, "heartbeat", 0, json!({}))]).await;
    for filter in ["", "live=1", "status=running", "agent_id="] {
        assert_eq!(listed(&server, filter).await, [""; 0], "{filter}");
    }
    server.get(&format!("/v1/runs/{waiting}")).await.expect(404);
    server.post(&with(full_run(), "/run_id", Some(json!(waiting)))).await.expect(409);

    let server = server.restart(|_| {}).await;
    store(&server, &[event(&waiting, "heartbeat", 1, json!({}))]).await;
    let server = server.restart(|dir| std::fs::remove_dir_all(dir.join("index")).unwrap()).await;
    assert_eq!(listed(&server, "live=1").await, [""; 0]);
    store(&server, &[started(&waiting)]).await;
    let now = run(&server, &waiting).await;
    assert_eq!((&now["status"], &now["steps"][0]["step_id"]), (&json!("running"), &json!(step)));
    assert_eq!(listed(&server, "live=1").await, [waiting.as_str()]);
    let events = server.get(&format!("/v1/runs/{waiting}/events")).await.expect(200).json();
    assert_eq!(events.as_array().unwrap().len(), 3);
    let again = run(&server.restart(|dir| std::fs::remove_dir_all(dir.join("index")).unwrap()).await, &waiting).await;
    assert_eq!(again, now);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_the_same_in_whatever_order_and_pieces_its_events_come() {
    let server = TestServer::boot().await;
    let model = full_run();
    let mut expected = None;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % bound
    };
    let events = events_of(&model);
    for way in 0..12 {
        let run_id = Uuid::new_v4().to_string();
        let mut todo = events.clone();
        todo.iter_mut().for_each(|event| event["run_id"] = json!(run_id));
        if way > 0 {
            for at in (1..todo.len()).rev() {
                todo.swap(at, below(at + 1));
            }
            for _ in 0..below(5) {
                todo.push(todo[below(events.len())].clone());
            }
        }
        let mut rest = todo.as_slice();
        let (mut accepted, mut duplicates) = (0, 0);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(1 + below(rest.len()));
            let answer = post(&server, piece).await.expect(200).json();
            assert_eq!(answer["rejected"], json!([]), "{answer}");
            accepted += answer["accepted"].as_u64().unwrap();
            duplicates += answer["duplicates"].as_u64().unwrap();
            rest = behind;
        }
        assert_eq!(accepted + duplicates, todo.len() as u64);
        assert!(accepted >= events.len() as u64, "each was stored once");
        let now = without_the_servers_part(run(&server, &run_id).await).replace(&run_id, "RUN");
        assert_eq!(&now, expected.get_or_insert_with(|| now.clone()), "way {way}");
    }
    // It is the run that would have arrived whole, but for the times of its parts.
    let whole = server.store(&model).await;
    let live: Value = serde_json::from_str(&expected.unwrap()).unwrap();
    for field in ["status", "agent_id", "started_at", "ended_at", "duration_ms"] {
        assert_eq!(live[field], whole[field], "{field}");
    }
    assert_eq!(
        (live["steps"][2]["metadata"].clone(), live["failures"][0]["message"].clone()),
        (whole["steps"][2]["metadata"].clone(), whole["failures"][0]["message"].clone())
    );
    let to_whole = post(&server, &[event(id(&model), "heartbeat", 0, json!({}))]).await.expect(200).json();
    assert_eq!(to_whole["rejected"][0]["status"], 409);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_run_is_given_up_and_a_late_event_reopens_it() {
    let server = TestServer::boot_with(|config| config.lease = Duration::from_millis(200)).await;
    let run_id = &Uuid::new_v4().to_string();
    store(&server, &[started(run_id)]).await;
    let given_up = async || {
        loop {
            let now = run(&server, run_id).await;
            if now["status"] != "running" {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let deadline = Duration::from_secs(30);
    let now = tokio::time::timeout(deadline, given_up()).await.expect("it is given up");
    assert_eq!((&now["status"], &now["ended_at"]), (&json!("failure"), &Value::Null));
    let failure = &now["failures"][0];
    assert_eq!((&failure["failure_type"], &failure["failure_code"]), (&json!("orchestration"), &json!("abandoned")));
    assert_eq!(listed(&server, "failure_code=abandoned").await, [run_id.as_str()]);
    assert_eq!(server.get("/v1/stats").await.json()["total_failures"], 1);

    // Long enough that it is not given up again at once.
    let dir = server.stop().await;
    let server = TestServer::boot_in(dir, |_| {}).await;
    store(&server, &[event(run_id, "heartbeat", 5, json!({}))]).await;
    let now = run(&server, run_id).await;
    assert_eq!((&now["status"], &now["failures"]), (&json!("running"), &json!([])));
    assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 0);
    store(&server, &[event(run_id, "run_ended", 9, json!({"status": "success"}))]).await;
    assert_eq!(run(&server, run_id).await["status"], "success");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_grants_a_whole_lease() {
    let server = TestServer::boot().await;
    let run_id = &Uuid::new_v4().to_string();
    store(&server, &[started(run_id)]).await;
    let dir = server.stop().await;
    // Cold by now: the lease is granted from the index.
    let server = TestServer::boot_in(dir, |config| config.lease = Duration::from_millis(200)).await;
    assert!(server.get("/metrics").await.text().contains("agenttracer_live_runs "));
    let given_up = async {
        while run(&server, run_id).await["status"] == "running" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), given_up).await.expect("it is given up");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_of_one_run_lose_no_event() {
    let server = std::sync::Arc::new(TestServer::boot().await);
    let run_id = Uuid::new_v4().to_string();
    let clients = (0..8_u32).map(|client| {
        let (server, run_id) = (server.clone(), run_id.clone());
        tokio::spawn(async move {
            if client == 3 {
                store(&server, &[started(&run_id)]).await;
            }
            for n in 0..25 {
                store(&server, &[step_started(&run_id, &Uuid::new_v4().to_string(), (client * 25 + n) % 50)]).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    assert_eq!(run(&server, &run_id).await["steps"].as_array().unwrap().len(), 200);
}
