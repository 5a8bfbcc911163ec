//! Contract §5.

use std::io::Write;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{TestServer, full_run, id, send, small_run, with};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_stored_run_is_answered_with_its_place_and_what_that_means() {
    let server = TestServer::boot().await;
    let answer = server.post(&full_run()).await.expect(201);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-durability"), Some("always"));
    assert_eq!(answer.header("x-log-position"), Some(answer.json()["position"].to_string().as_str()));
    let second = server.post(&full_run()).await.expect(201);
    assert!(second.json()["position"].as_u64() > answer.json()["position"].as_u64());
}

#[tokio::test]
async fn the_same_run_again_is_no_conflict_and_another_one_is() {
    let server = TestServer::boot().await;
    let run = full_run();
    let first = server.post(&run).await.expect(201);
    assert_eq!(server.post(&run).await.expect(200).text(), first.text());

    // The same content in other words: order of steps, forms of scalars, defaults, unknown fields.
    let mut reworded = run.clone();
    reworded["steps"].as_array_mut().unwrap().reverse();
    reworded["steps"][0]["latency_ms"] = json!("250");
    reworded["started_at"] = json!("2026-11-22T11:00:00+01:00");
    reworded["whatever"] = json!(1);
    assert_eq!(server.post(&reworded).await.expect(200).text(), first.text());

    for (pointer, value) in [
        ("/agent_version", json!("v2")),
        ("/steps/0/latency_ms", json!(121)),
        ("/failure/message", json!("another one")),
        ("/quality_signals/0/value", json!(false)),
    ] {
        let answer = server.post(&with(run.clone(), pointer, Some(value))).await.expect(409).json();
        assert_eq!(answer["status_code"], 409, "{pointer}");
        assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["error", "status_code", "path"]);
    }
    assert_eq!(server.get(&format!("/v1/runs/{}", id(&run))).await.text(), first.text());
    assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 1);
}

#[tokio::test]
async fn of_one_run_sent_by_many_at_once_one_is_stored() {
    let server = TestServer::boot().await;
    for _ in 0..20 {
        let run = full_run();
        let other = with(run.clone(), "/agent_version", Some(json!("v2")));
        let sent = (0..8).map(|index| server.post(if index % 2 == 0 { &run } else { &other }));
        let mut statuses: Vec<_> = futures_util::future::join_all(sent).await.iter().map(|a| a.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 201, 409, 409, 409, 409]);
    }
    assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 20);
}

#[tokio::test]
async fn a_minimal_answer_can_be_preferred() {
    let server = TestServer::boot().await;
    let run = full_run();
    let answer =
        send(server.ingest(Method::POST, "/v1/runs").header("prefer", "return=minimal").json(&run)).await.expect(201);
    let stored = server.get(&format!("/v1/runs/{}", id(&run))).await.json();
    assert_eq!(answer.json(), json!({"run_id": run["run_id"], "position": stored["position"]}));
}

#[tokio::test]
async fn bodies_may_be_compressed() {
    let server = TestServer::boot().await;
    let (first, second) = (full_run(), full_run());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(first.to_string().as_bytes()).unwrap();
    server.post_bytes(gzip.finish().unwrap(), &[JSON, ("content-encoding", "gzip")]).await.expect(201);
    let zstd = zstd::encode_all(second.to_string().as_bytes(), 3).unwrap();
    server.post_bytes(zstd, &[JSON, ("content-encoding", "zstd")]).await.expect(201);
    assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 2);
    server.post_bytes("{}", &[JSON, ("content-encoding", "br")]).await.expect(415);
    let broken = server.post_bytes(&b"no gzip"[..], &[JSON, ("content-encoding", "gzip")]).await;
    assert!((400..500).contains(&broken.status), "{}", broken.text());
}

#[tokio::test]
async fn bodies_are_bounded_also_when_unpacked() {
    let server = TestServer::boot().await;
    let large = with(full_run(), "/steps/0/metadata/blob", Some(json!("x".repeat(8 << 20)))).to_string();
    let answer = server.post_bytes(large.clone(), &[JSON]).await.expect(413).json();
    assert_eq!(answer["status_code"], 413);
    let packed = zstd::encode_all(large.as_bytes(), 1).unwrap();
    assert!(packed.len() < 1 << 20);
    server.post_bytes(packed, &[JSON, ("content-encoding", "zstd")]).await.expect(413);
    // Below the bound it is taken, and the value that is too large is removed.
    let fits = with(full_run(), "/steps/0/metadata/blob", Some(json!("x".repeat(7 << 20)))).to_string();
    let stored = server.post_bytes(fits, &[JSON]).await.expect(201).json();
    assert_eq!(stored["removed_count"], 1);
}

#[tokio::test]
async fn only_json_is_taken() {
    let server = TestServer::boot().await;
    let text = full_run().to_string();
    server.post_bytes(text.clone(), &[("content-type", "application/json; charset=utf-8")]).await.expect(201);
    for wrong in ["text/plain", "application/x-www-form-urlencoded"] {
        server.post_bytes(text.clone(), &[("content-type", wrong)]).await.expect(422);
    }
    let malformed = server.post_bytes("{\"agent_id\": ", &[JSON]).await.expect(422).json();
    assert_eq!(malformed["detail"][0]["type"], "json_invalid");
    assert_eq!(malformed["detail"][0]["loc"][0], "body");
    let empty = server.post_bytes("", &[JSON]).await.expect(422).json();
    assert_eq!(empty["detail"][0]["type"], "missing");
    assert_eq!(empty["detail"][0]["loc"], json!(["body"]));
    for body in ["[]", "5", "\"run\"", "null"] {
        let places = server.post_bytes(body, &[JSON]).await.expect(422).places();
        assert_eq!(places, [json!(["body"])], "{body}");
    }
}

#[tokio::test]
async fn in_a_batch_one_bad_run_costs_no_other() {
    let server = TestServer::boot().await;
    let known = full_run();
    server.store(&known).await;
    let bad = with(full_run(), "/agent_id", Some(json!("")));
    let conflict = with(known.clone(), "/agent_version", Some(json!("v2")));
    let mut removed = full_run();
    removed["steps"][0]["metadata"]["query"] = json!("zanzibar");
    let runs = [full_run(), bad, known, conflict, removed, full_run()];
    let answer = send(server.ingest(Method::POST, "/v1/runs/batch").json(&runs)).await.expect(200).json();
    assert_eq!(answer["accepted"], 3, "{answer}");
    assert_eq!(answer["duplicates"], 1, "{answer}");
    let rejected = answer["rejected"].as_array().unwrap();
    assert_eq!(rejected.len(), 2, "{answer}");
    assert_eq!((&rejected[0]["index"], &rejected[0]["status"]), (&json!(1), &json!(422)));
    assert_eq!(rejected[0]["run_id"], runs[1]["run_id"]);
    assert!(rejected[0]["errors"][0]["loc"].as_array().unwrap().contains(&json!("agent_id")), "{answer}");
    assert_eq!((&rejected[1]["index"], &rejected[1]["status"]), (&json!(3), &json!(409)));
    assert!(!answer["removed"].is_null(), "{answer}");
    assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 4);
    let stored = server.get(&format!("/v1/runs/{}", id(&runs[4]))).await.expect(200);
    assert!(!stored.text().contains("zanzibar"));
}

#[tokio::test]
async fn a_batch_may_come_as_lines() {
    let server = TestServer::boot().await;
    let lines = format!("{}\n\n{}\nno json\n{}", full_run(), full_run(), full_run());
    let request = server.ingest(Method::POST, "/v1/runs/batch").header("content-type", "application/x-ndjson");
    let answer = send(request.body(lines)).await.expect(200).json();
    assert_eq!(answer["accepted"], 3, "{answer}");
    assert_eq!(answer["rejected"][0]["status"], 422, "{answer}");
    assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 3);
}

#[tokio::test]
async fn a_batch_holds_ten_thousand_and_no_more() {
    let server = TestServer::boot().await;
    let runs: Vec<Value> = (0..10_001).map(|_| small_run(json!({}))).collect();
    let too_many = send(server.ingest(Method::POST, "/v1/runs/batch").json(&runs)).await;
    assert!(matches!(too_many.status, 413 | 422), "{}", too_many.text());
    assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 0);
    server.store_all(&runs[1..]).await;
    assert_eq!(server.get("/v1/stats").await.json()["total_runs"], 10_000);
}

#[tokio::test]
async fn health_names_the_service() {
    let server = TestServer::boot().await;
    let health = send(server.ingest(Method::GET, "/health")).await.expect(200).json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["service"], "ingest-api");
    assert!(health["version"].is_string());
    let health = server.get("/health").await.expect(200).json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["service"], "query-api");
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let server = TestServer::boot().await;
    let run = full_run();
    server.store(&run).await;
    server.post(&run).await.expect(200);
    server.post(&with(full_run(), "/agent_id", Some(json!("")))).await.expect(422);
    let text = send(server.ingest(Method::GET, "/metrics")).await.expect(200).text();
    assert!(text.contains("runs_ingested_total"), "{text}");
    let request = server.ingest(Method::GET, "/metrics").header("accept", "application/json");
    let metrics = send(request).await.expect(200).json();
    assert_eq!(metrics["metrics"]["runs_ingested_total"], 1, "{metrics}");
    assert_eq!(metrics["metrics"]["runs_failed_total"], 1, "{metrics}");
    assert_eq!(metrics["metrics"]["runs_duplicate_total"], 1, "{metrics}");
}

/// The value of a gauge in the text of `/metrics`.
fn gauge(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[tokio::test]
async fn the_engine_s_gauges_stand_on_both_listeners_and_move() {
    let server = TestServer::boot().await;
    let read = async || {
        let ingest = send(server.ingest(Method::GET, "/metrics")).await.expect(200).text();
        let query = server.get("/metrics").await.expect(200).text();
        [ingest, query]
    };
    for text in read().await {
        for name in [
            "agenttracer_log_tail_position",
            "agenttracer_log_durable_position",
            "agenttracer_index_lag_positions",
            "agenttracer_index_hot_runs",
            "agenttracer_index_hot_bytes",
            "agenttracer_index_cold_runs",
            "agenttracer_index_failed_commits_total",
            "agenttracer_log_damaged_places",
        ] {
            assert_eq!(gauge(&text, name), 0, "{name}");
        }
        assert_eq!(gauge(&text, "agenttracer_log_writable"), 1);
    }
    for _ in 0..3 {
        server.store(&full_run()).await;
    }
    let texts = read().await;
    let tail = gauge(&texts[0], "agenttracer_log_tail_position");
    assert!(tail >= 3 * 2, "a run has a start and an end at least: {tail}");
    for text in texts {
        assert_eq!(gauge(&text, "agenttracer_log_tail_position"), tail);
        assert_eq!(gauge(&text, "agenttracer_log_durable_position"), tail);
        let (hot, cold) = (gauge(&text, "agenttracer_index_hot_runs"), gauge(&text, "agenttracer_index_cold_runs"));
        assert!(hot + cold >= 3, "{hot} hot, {cold} cold");
    }
    // The indexer commits by itself; then nothing is behind.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let [ingest, query] = read().await;
        let behind =
            gauge(&ingest, "agenttracer_index_lag_positions") + gauge(&query, "agenttracer_index_lag_positions");
        if behind == 0 && gauge(&query, "agenttracer_index_hot_runs") == 0 {
            assert_eq!(gauge(&query, "agenttracer_index_cold_runs"), 3);
            assert!(gauge(&query, "agenttracer_index_commits_total") >= 1);
            break;
        }
        assert!(Instant::now() < deadline, "{query}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_have_their_own_shape() {
    let server = TestServer::boot().await;
    let answer = send(server.ingest(Method::GET, "/v1/nothing")).await.expect(404);
    assert_eq!(answer.json(), json!({"detail": "Not Found"}));
    let answer = send(server.ingest(Method::PUT, "/v1/runs")).await.expect(405);
    assert_eq!(answer.json(), json!({"detail": "Method Not Allowed"}));
    let answer = send(server.ingest(Method::POST, "/v1/runs/").json(&full_run())).await;
    assert_eq!(answer.status, 201, "a trailing slash is the same path: {}", answer.text());
}

#[tokio::test]
async fn the_sync_mode_is_named() {
    use agenttracer_storage::SyncMode;

    let mode = SyncMode::Interval(Duration::from_millis(20));
    let server = TestServer::boot_with(|config| config.sync = mode).await;
    let run = full_run();
    let answer = server.post(&run).await.expect(201);
    assert_eq!(answer.header("x-durability"), Some("interval=20ms"));
    server.get(&format!("/v1/runs/{}", id(&run))).await.expect(200);
    let server = server.restart(|_| {}).await;
    assert_eq!(server.get(&format!("/v1/runs/{}", id(&run))).await.expect(200).text(), answer.text());
}
