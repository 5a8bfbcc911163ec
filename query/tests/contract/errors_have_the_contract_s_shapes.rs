use agenttracer_model::sample;
use http::{Method, StatusCode};
use serde_json::json;

use crate::support::World;

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000042";

#[tokio::test]
async fn an_unknown_run_is_404_with_its_text() {
    let world = World::new();
    world.add(&sample::run(1));
    for (part, error) in [
        ("", format!("Run {UNKNOWN} not found")),
        ("/", format!("Run {UNKNOWN} not found")),
        ("/steps", format!("No steps found for run {UNKNOWN}")),
        ("/decisions", format!("Run {UNKNOWN} not found")),
        ("/signals", format!("Run {UNKNOWN} not found")),
        ("/events", format!("Run {UNKNOWN} not found")),
    ] {
        let path = format!("/v1/runs/{UNKNOWN}{part}");
        let reply = world.get(&path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.text(), json!({"error": error, "status_code": 404, "path": path}).to_string());
    }
    let reply = world.get(&format!("/v1/runs/{UNKNOWN}/failures")).await;
    assert_eq!((reply.status, reply.text()), (StatusCode::OK, "[]"));
}

#[tokio::test]
async fn a_run_without_steps_has_none_to_find() {
    let world = World::new();
    let mut run = sample::run(1);
    for decision in &mut run.decisions {
        decision.step_id = None;
    }
    run.quality_signals.clear();
    run.failures.clear();
    run.steps.clear();
    world.add(&run);
    let reply = world.get(&format!("/v1/runs/{}/steps", run.run_id)).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert_eq!(reply.json()["error"], format!("No steps found for run {}", run.run_id));
}

#[tokio::test]
async fn every_error_of_a_query_is_listed_and_none_echoes_the_input() {
    let world = World::new();
    let reply = world
        .get("/v1/runs?page=0&page_size=secret1&start_time=secret2&has_retries=secret3&cursor=secret4&view=secret5")
        .await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!reply.text().contains("secret"), "{}", reply.text());
    let body = reply.json();
    assert_eq!(body.as_object().unwrap().len(), 1);
    let mut names: Vec<_> = body["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            assert_eq!(error.as_object().unwrap().keys().collect::<Vec<_>>(), ["type", "loc", "msg"]);
            assert_eq!(error["loc"][0], "query");
            error["loc"][1].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["cursor", "has_retries", "page", "page_size", "start_time", "view"]);

    for (path, kind) in [
        ("/v1/runs?page=0", "greater_than_equal"),
        ("/v1/runs?page=-1", "greater_than_equal"),
        ("/v1/runs?page=x", "int_parsing"),
        ("/v1/runs?page_size=0", "greater_than_equal"),
        ("/v1/runs?page_size=101", "less_than_equal"),
        ("/v1/runs?end_time=never", "datetime_parsing"),
        ("/v1/stats?start_time=never", "datetime_parsing"),
        ("/v1/stats?min_duration_ms=-1", "greater_than_equal"),
    ] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(reply.json()["detail"][0]["type"], kind, "{path}");
    }
}

#[tokio::test]
async fn a_run_id_that_is_no_uuid_is_422() {
    let world = World::new();
    for part in ["", "/", "/steps", "/failures", "/decisions", "/signals", "/events"] {
        let reply = world.get(&format!("/v1/runs/not-a-uuid{part}")).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{part}");
        let detail = reply.json()["detail"].clone();
        assert_eq!(
            detail,
            json!([{"type": "uuid_parsing", "loc": ["path", "run_id"], "msg": "Input should be a valid UUID"}])
        );
    }
    let both = world.get("/v1/runs/not-a-uuid/steps?limit=0").await;
    assert_eq!(both.json()["detail"].as_array().unwrap().len(), 2);
    // Any form of a UUID is one.
    let run = world.add(&sample::run(1));
    for id in [run.run_id.simple().to_string(), run.run_id.to_string().to_uppercase()] {
        assert_eq!(world.get(&format!("/v1/runs/{id}")).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told() {
    let world = World::new();
    for path in ["/", "/v1", "/v1/run", "/v1/runs/a/b/c", "/v2/runs"] {
        let reply = world.get(path).await;
        assert_eq!((reply.status, reply.text()), (StatusCode::NOT_FOUND, r#"{"detail":"Not Found"}"#), "{path}");
    }
    for path in ["/v1/runs", "/v1/runs/", "/v1/stats", "/health", "/metrics"] {
        let reply = world.ask(Method::PUT, path).await;
        assert_eq!(
            (reply.status, reply.text()),
            (StatusCode::METHOD_NOT_ALLOWED, r#"{"detail":"Method Not Allowed"}"#),
            "{path}"
        );
        assert_eq!(reply.header("allow"), Some("GET,HEAD"), "{path}");
    }
}

#[tokio::test]
async fn health_and_metrics_say_how_it_stands() {
    let world = World::new();
    world.add(&sample::run(1));
    for path in ["/health", "/health/"] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, StatusCode::OK);
        let health = reply.json();
        assert_eq!((&health["status"], &health["service"]), (&json!("healthy"), &json!("query-api")));
        assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(health["sync_mode"], "always");
        assert_eq!(health["position"], json!(world.index.snapshot().position()));
    }
    world.get("/v1/runs").await;
    world.get("/v1/runs/42").await;
    let metrics = world.get("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    assert!(metrics.text().contains("agenttracer_query_requests_total{endpoint=\"runs\",status=\"200\"} 1"));
    assert!(metrics.text().contains("agenttracer_query_requests_total{endpoint=\"run\",status=\"422\"} 1"));
}
