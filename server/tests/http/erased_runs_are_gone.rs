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
