//! Health, metrics, unknown paths and methods.

use agenttracer_storage::SubmitError;
use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use crate::world::{World, small};

fn request(method: Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn health_says_whether_it_can_write_and_what_that_means() {
    let world = World::new();
    let answer = world.get("/health").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({"status": "healthy", "service": "ingest-api", "version": env!("CARGO_PKG_VERSION"), "sync_mode": "always"})
    );
    for (refusal, reason) in [
        (SubmitError::DiskFull, "the disk is full"),
        (SubmitError::Poisoned, "a write failed and the log is being reopened"),
        (SubmitError::Dead, "the thread that writes the log has died: restart the server"),
    ] {
        world.log.refuse(Some(refusal));
        let answer = world.get("/health/").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["reason"]), (503, &json!(reason)));
        assert_eq!((&answer.json()["status"], &answer.json()["service"]), (&json!("unhealthy"), &json!("ingest-api")));
    }
    world.log.refuse(None);
    assert_eq!(world.get("/health").await.status, 200);
    world.log.close();
    assert_eq!(world.get("/health").await.status, 503);
}

#[tokio::test]
async fn metrics_are_text_or_json() {
    let world = World::new();
    world.post(&small()).await;
    world.post(&json!({})).await;
    let text = world.get("/metrics").await;
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "agenttracer_runs_ingested_total 1",
        "agenttracer_runs_failed_total{reason=\"invalid\"} 1",
        "agenttracer_runs_duplicate_total 0",
        "agenttracer_ingest_seconds_count 2",
    ] {
        assert!(text.text().lines().any(|found| found == line), "{line} in {}", text.text());
    }
    let mut asked = request(Method::GET, "/metrics/");
    asked.headers_mut().insert("accept", "application/json".parse().unwrap());
    let json = world.send(asked).await.json();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["metrics"]);
    let metrics = &json["metrics"];
    assert_eq!((&metrics["runs_ingested_total"], &metrics["runs_failed_total"]), (&json!(1), &json!(1)));
    assert_eq!(metrics["runs_duplicate_total"], 0);
    assert_eq!(metrics["values_removed_by_rule"]["email"], 0);
}

#[tokio::test]
async fn unknown_paths_and_methods_have_their_own_shape() {
    let world = World::new();
    for path in ["/", "/v1", "/v1/run", "/v1/runs/11111111-1111-4111-8111-111111111111", "/v1/runs//"] {
        let answer = world.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (404, json!({"detail": "Not Found"})), "{path}");
    }
    for (method, path, allow) in [
        (Method::GET, "/v1/runs", "POST"),
        (Method::PUT, "/v1/runs/", "POST"),
        (Method::GET, "/v1/runs/batch", "POST"),
        (Method::POST, "/health", "GET,HEAD"),
        (Method::DELETE, "/metrics", "GET,HEAD"),
    ] {
        let answer = world.send(request(method, path)).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (405, json!({"detail": "Method Not Allowed"})), "{path}");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
    }
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let world = World::new();
    for path in ["/health", "/metrics"] {
        let answer = world.send(request(Method::HEAD, path)).await;
        assert_eq!((answer.status.as_u16(), answer.bytes.len()), (200, 0), "{path}");
    }
}

#[tokio::test]
async fn two_write_sides_need_two_registries() {
    let world = World::new();
    let registry = prometheus::Registry::new();
    let state = |runs| {
        let clock = std::sync::Arc::new(crate::world::TestClock::default());
        agenttracer_ingest::IngestState::new(world.log.clone(), runs, clock, &registry, Default::default())
    };
    assert!(state(world.runs.clone()).is_ok());
    assert!(matches!(state(world.runs.clone()), Err(prometheus::Error::AlreadyReg)));
}
