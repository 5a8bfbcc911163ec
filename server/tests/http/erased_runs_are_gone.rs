//! Erasing runs over HTTP: hidden from the next query, refused when they come again, purged, and proved.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agenttracer_erasure::prove;
use agenttracer_model::Timestamp;
use agenttracer_storage::disk::{Disk, RealDisk, SystemClock};
use agenttracer_storage::{Batch, BatchKind, Log, Options, ResolveOnCommit, SegmentedLog};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::common::{TestServer, full_run, id, send, small_run};

async fn delete(server: &TestServer, run: &str) -> super::common::Answer {
    send(server.client().request(Method::DELETE, server.query_url(&format!("/v1/runs/{run}")))).await
}

/// Waits until the erasure is purged.
async fn purged(server: &TestServer, erasure: &Value) -> Value {
    let path = format!("/v1/erasures/{}", erasure["erasure_id"].as_str().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let erasure = server.get(&path).await.expect(200).json();
        if erasure["state"] == "purged" {
            return erasure;
        }
        assert!(Instant::now() < deadline, "{erasure}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether any file of the directory holds `needle` as it is.
fn raw(dir: &Path, needle: &[u8]) -> bool {
    ["", "log", "index", "run"].iter().any(|sub| {
        let files = std::fs::read_dir(dir.join(sub)).into_iter().flatten().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).any(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    })
}

#[tokio::test]
async fn a_run_is_hidden_at_once_and_purged_with_a_receipt_that_holds() {
    let server = TestServer::boot().await;
    let mut run = full_run();
    run["agent_id"] = json!("only-this-agent");
    run["session_id"] = json!("session-of-nobody-else");
    server.store(&run).await;
    let kept: Vec<_> = (0..20).map(|_| small_run(json!({}))).collect();
    server.store_all(&kept).await;
    server.get(&format!("/v1/runs/{}", id(&run))).await.expect(200);
    let id = id(&run).to_owned();

    let erasure = delete(&server, &id).await.expect(200).json();
    assert_eq!((&erasure["runs"], &erasure["selected_by"]), (&json!(1), &json!(["run"])));
    server.get(&format!("/v1/runs/{id}")).await.expect(404);
    assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 20);
    assert_eq!(server.get("/v1/runs?agent_id=only-this-agent").await.json(), json!([]));
    // It can never come back, on any path.
    server.post(&run).await.expect(410);
    let batch = send(server.ingest(Method::POST, "/v1/runs/batch").json(&[&run])).await.expect(200).json();
    assert_eq!(batch["rejected"][0]["status"], 410, "{batch}");
    assert!(delete(&server, &id).await.expect(410).text().contains(erasure["erasure_id"].as_str().unwrap()));

    let purged = purged(&server, &erasure).await;
    assert!(purged["purged_at"].is_string() && purged["digest"].is_string(), "{purged}");
    let server = server.restart(|_| {}).await;
    server.post(&run).await.expect(410);
    let server = server.restart(|dir| std::fs::remove_dir_all(dir.join("index")).unwrap()).await;
    server.post(&run).await.expect(410);
    assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 20);
    assert_eq!(server.get("/v1/erasures").await.json(), json!([purged]));

    let dir = server.stop().await;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let proof = prove(&disk, dir.path()).unwrap();
    assert!(proof.holds(), "{:?}", proof.named);
    assert_eq!((proof.purged, proof.pending, proof.runs), (1, 0, 1));
    for what in ["batches", "terms of run ids", "stored documents", "values of dictionaries", "files", "bytes"] {
        assert!(proof.looked_at[what] > 0, "{what}: {:?}", proof.looked_at);
    }
    let run_id: Uuid = id.parse().unwrap();
    for needle in [run_id.as_bytes(), id.as_bytes(), b"only-this-agent", b"session-of-nobody-else"] {
        assert!(!raw(dir.path(), needle));
    }
    assert!(raw(dir.path(), b"support-agent"), "a living value would be found");

    // Put back, it is found, and its place named.
    put_back(dir.path(), run_id);
    let proof = prove(&disk, dir.path()).unwrap();
    assert!(proof.named.iter().any(|finding| finding.what == "a batch with the id of an erased run"), "{proof:?}");
    assert!(proof.named.iter().any(|finding| finding.what == "the id of an erased run"), "{proof:?}");
}

/// Appends a batch of this run behind the back of everything that would refuse it.
fn put_back(dir: &Path, run_id: Uuid) {
    let clock = Arc::new(SystemClock::new());
    let (log, _) =
        SegmentedLog::open(Arc::new(RealDisk), clock, dir, Options::default(), Box::new(ResolveOnCommit)).unwrap();
    let mut payload = vec![1, 0];
    payload.extend_from_slice(run_id.as_bytes());
    payload.extend_from_slice(&[0; 8]);
    let (answer, answered) = std::sync::mpsc::channel();
    let batch = Batch { kind: BatchKind::Run, payload, records: 1, time: Timestamp::default() };
    log.submit(batch, Box::new(move |outcome| answer.send(outcome).unwrap())).unwrap();
    answered.recv().unwrap().unwrap();
    log.close().unwrap();
}

#[tokio::test]
async fn many_are_erased_by_what_they_have_in_common() {
    let server = TestServer::boot().await;
    let run = |agent: &str, session: &str, minute: u32| {
        let started_at = format!("2026-11-22T10:{minute:02}:00Z");
        small_run(json!({"agent_id": agent, "session_id": session, "started_at": started_at}))
    };
    let runs: Vec<_> = (0..60).map(|n| run(["a", "b", "c"][n as usize % 3], &format!("s{}", n % 4), n)).collect();
    server.store_all(&runs).await;
    let erase = async |body: Value| send(server.ingest(Method::POST, "/v1/erasures").json(&body)).await;
    let left = async || server.get("/v1/stats").await.json()["total_runs"].as_u64().unwrap();

    assert_eq!(erase(json!({"agent_id": "a"})).await.expect(201).json()["runs"], 20);
    assert_eq!(left().await, 40);
    // Each of these meets both conditions.
    let both = json!({"session_id": ["s0"], "start_time": "2026-11-22T10:30:00Z"});
    let erased = erase(both).await.expect(201).json();
    assert_eq!(erased["selected_by"], json!(["session", "time"]));
    let expected = (30..60).filter(|n| n % 4 == 0 && n % 3 != 0).count();
    assert_eq!(erased["runs"], expected);
    assert_eq!(left().await, 40 - expected as u64);
    assert_eq!(erase(json!({"run_id": [id(&runs[1]), id(&runs[2])]})).await.expect(201).json()["runs"], 2);
    erase(json!({"agent_id": "a"})).await.expect(404);
    erase(json!({"agent_id": "b", "sesion_id": "s1"})).await.expect(422);
    erase(json!({})).await.expect(422);
    delete(&server, "no-uuid").await.expect(422);
    delete(&server, &Uuid::new_v4().to_string()).await.expect(404);
    server.get(&format!("/v1/erasures/{}", Uuid::new_v4())).await.expect(404);

    let first = server.get("/v1/erasures?limit=2").await.expect(200);
    assert_eq!(first.json().as_array().unwrap().len(), 2);
    let link = first.header("link").unwrap();
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let rest = server.get(next).await.expect(200).json();
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["runs"]), (1, &json!(20)));
    let odd = send(server.client().request(Method::PUT, server.query_url("/v1/erasures"))).await.expect(405);
    assert_eq!(odd.json(), json!({"detail": "Method Not Allowed"}));
}

/// What every question answers, but for what each server makes itself: positions, times of storing, ids of failures.
async fn answers(server: &TestServer) -> Vec<(String, Value)> {
    let mut answers = Vec::new();
    for path in [
        "/v1/runs?page_size=100",
        "/v1/runs?page_size=100&live=1&sort=-duration_ms",
        "/v1/runs?page_size=100&view=summary&q=erased",
        "/v1/stats",
        "/v1/facets",
        "/v1/runs/histogram",
        "/v1/timeseries",
        "/v1/agents",
        "/v1/agents/support-agent/versions",
        "/v1/agents/erased-agent/versions",
        "/v1/decisions",
        "/v1/signals",
        "/v1/failures",
    ] {
        let answer = server.get(path).await;
        assert!(answer.status == 200 || answer.status == 404, "{path}: {}", answer.text());
        let mut body = answer.json();
        without_positions(&mut body);
        answers.push((format!("{path} {:?}", answer.header("x-total-count")), body));
    }
    answers
}

fn without_positions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !matches!(name.as_str(), "position" | "created_at" | "recorded_at" | "failure_id"));
            fields.values_mut().for_each(without_positions);
        }
        Value::Array(values) => values.iter_mut().for_each(without_positions),
        _ => {}
    }
}

/// After an erasure every question is answered as by a server that never had the runs, whether they were in memory or in
/// the index, before the purge and after it.
#[tokio::test]
async fn every_question_is_answered_as_if_they_had_never_been() {
    let (server, other) = (TestServer::boot().await, TestServer::boot().await);
    let marked = |minute: u32, fields: Value| {
        let mut run = full_run();
        for part in ["started_at", "ended_at"] {
            run[part] = json!(format!("2026-11-22T10:{minute:02}:00Z"));
        }
        for (name, value) in fields.as_object().unwrap() {
            run[name] = value.clone();
        }
        run
    };
    let kept: Vec<_> = (0..30).map(|n| marked(n, json!({"agent_version": format!("v{}", n % 3)}))).collect();
    let erased = |n: u32| {
        let mut run = marked(n, json!({"agent_id": "erased-agent", "environment": "erased", "session_id": "erased"}));
        run["failure"]["failure_code"] = json!("erased_code");
        run["steps"][0]["name"] = json!("erased_step");
        run["decisions"][0]["selected"] = json!("erased_choice");
        run
    };
    let (cold, hot): (Vec<_>, Vec<_>) = ((0..8).map(erased).collect(), (20..28).map(erased).collect());
    server.store_all(&kept[..15]).await;
    server.store_all(&cold).await;
    // The last commit of a server that stops brings all of them into the index.
    let server = server.restart(|_| {}).await;
    server.store_all(&kept[15..]).await;
    server.store_all(&hot).await;
    let live = json!({
        "event_id": Uuid::new_v4(), "run_id": Uuid::new_v4(), "type": "run_started", "time": "2026-11-22T10:59:00Z",
        "agent_id": "erased-agent", "agent_version": "v1",
    });
    let events = send(server.ingest(Method::POST, "/v1/events").json(&[&live])).await.expect(200).json();
    assert_eq!(events["accepted"], 1, "{events}");
    other.store_all(&kept).await;
    let expected = answers(&other).await;
    assert_ne!(answers(&server).await, expected);

    // On the listener of the dashboard, as on the two others.
    let erase = server.client().post(server.ui_url("/v1/erasures")).json(&json!({"agent_id": "erased-agent"}));
    let erasure = send(erase).await.expect(201);
    let location = erasure.header("location").unwrap().to_owned();
    assert_eq!(erasure.json()["runs"], 17);
    for url in [server.ingest_url(&location), server.query_url(&location), server.ui_url(&location)] {
        let answer = send(server.client().get(url)).await.expect(200).json();
        assert_eq!(answer["erasure_id"], erasure.json()["erasure_id"]);
    }
    assert_eq!(answers(&server).await, expected);
    for run in cold.iter().chain(&hot) {
        for part in ["", "/steps", "/decisions", "/signals", "/events", "/latency"] {
            server.get(&format!("/v1/runs/{}{part}", id(run))).await.expect(404);
        }
        assert_eq!(server.get(&format!("/v1/runs/{}/failures", id(run))).await.expect(200).json(), json!([]));
    }
    // The tail, from the beginning of the log.
    let tail = server.client().get(server.query_url("/v1/tail")).header("last-event-id", "0");
    let mut tail = tail.send().await.unwrap();
    let mut text = String::new();
    while kept.iter().any(|run| !text.contains(id(run))) {
        let chunk = tokio::time::timeout(Duration::from_secs(60), tail.chunk()).await.expect("the tail goes on");
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
    }
    drop(tail);
    assert!(!text.contains("erased"), "{text}");
    // A live run cannot go on, and none can begin under an erased id.
    let again = send(server.ingest(Method::POST, "/v1/events").json(&[&live])).await.expect(200).json();
    assert_eq!((&again["accepted"], &again["rejected"][0]["status"]), (&json!(0), &json!(410)), "{again}");
    server.post(&hot[0]).await.expect(410);

    purged(&server, &erasure.json()).await;
    assert_eq!(answers(&server).await, expected);
    let server = server.restart(|dir| std::fs::remove_dir_all(dir.join("index")).unwrap()).await;
    assert_eq!(answers(&server).await, expected);
    let again = send(server.ingest(Method::POST, "/v1/events").json(&[&live])).await.expect(200).json();
    assert_eq!(again["rejected"][0]["status"], 410, "{again}");
    let dir = server.stop().await;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let proof = prove(&disk, dir.path()).unwrap();
    assert!(proof.holds() && proof.purged == 1 && proof.runs == 17, "{proof:?}");
    assert!(!raw(dir.path(), b"erased"), "a value is left");
}
