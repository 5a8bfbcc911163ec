use std::cmp::Reverse;

use agenttracer_model::{RunView, sample};
use agenttracer_query::QueryOptions;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::World;

/// Runs in an order of arrival that is not that of their starts, some of one instant, the first part cold.
fn filled() -> (World, Vec<RunView>) {
    let world = World::new();
    let mut views = Vec::new();
    for number in 0..45_u64 {
        let mut run = sample::run(number * 7 % 45);
        if number % 3 == 0 {
            run.started_at = sample::run(20).started_at;
            run.ended_at = Some(sample::run(60).started_at);
        }
        views.push(world.add(&run));
        if number == 15 || number == 30 {
            world.freeze();
        }
    }
    views.sort_by_key(|run| (Reverse(run.started_at), run.run_id));
    (world, views)
}

fn ids(views: &[RunView]) -> Vec<String> {
    views.iter().map(|run| run.run_id.to_string()).collect()
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let (world, views) = filled();
    let all = ids(&views);
    assert_eq!(world.ids("/v1/runs").await, all[..20]);
    assert_eq!(world.ids("/v1/runs?page=2").await, all[20..40]);
    assert_eq!(world.ids("/v1/runs?page=3").await, all[40..]);
    assert_eq!(world.ids("/v1/runs?page_size=100").await, all);
    for (page, part) in all.chunks(7).enumerate() {
        assert_eq!(world.ids(&format!("/v1/runs?page_size=7&page={}", page + 1)).await, part);
    }
    for past in ["/v1/runs?page=4", "/v1/runs?page=9223372036854775807", "/v1/runs?page_size=45&page=2"] {
        let reply = world.get(past).await;
        assert_eq!((reply.text(), reply.header("x-total-count"), reply.next()), ("[]", Some("45"), None));
    }
}

#[tokio::test]
async fn a_list_holds_the_whole_runs_byte_by_byte() {
    let (world, views) = filled();
    let reply = world.get("/v1/runs?page_size=100").await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("x-damaged-runs"), None);
    assert_eq!(reply.text(), sonic_rs::to_string(&views).unwrap());
    for view in &views {
        // Once from the log, once from the cache.
        for _ in 0..2 {
            let reply = world.get(&format!("/v1/runs/{}", view.run_id)).await;
            assert_eq!(reply.text(), sonic_rs::to_string(view).unwrap());
        }
    }
}

#[tokio::test]
async fn a_summary_is_the_run_without_its_children() {
    let (world, views) = filled();
    let reply = world.get("/v1/runs?view=summary&page_size=100").await;
    assert_eq!(reply.ids(), ids(&views));
    for (summary, view) in reply.json().as_array().unwrap().iter().zip(&views) {
        let mut whole = serde_json::to_value(view).unwrap();
        let object = whole.as_object_mut().unwrap();
        for children in ["steps", "failures", "decisions", "quality_signals"] {
            object.shift_remove(children);
        }
        let attention = view.quality_signals.iter().filter(|signal| signal.tone.as_str() == "attention").count();
        let retries = view.steps.iter().filter(|step| step.attempt > 1).count();
        let failures = view.failures.iter().map(
            |failure| serde_json::json!({"failure_type": failure.failure_type, "failure_code": failure.failure_code}),
        );
        for (name, value) in [
            ("step_count", view.steps.len().into()),
            ("retry_count", retries.into()),
            ("decision_count", view.decisions.len().into()),
            ("signal_count", view.quality_signals.len().into()),
            ("attention_count", attention.into()),
            ("failures", Value::Array(failures.collect())),
        ] {
            object.insert(name.to_owned(), value);
        }
        // The order of the fields counts too.
        assert_eq!(summary.to_string(), whole.to_string());
    }
}

#[tokio::test]
async fn empty_parameters_unknown_ones_and_a_slash_change_nothing() {
    let (world, views) = filled();
    let first = ids(&views[..20]);
    for path in [
        "/v1/runs/",
        "/v1/runs?",
        "/v1/runs?page=&page_size=&agent_id=&status=&start_time=&cursor=&view=",
        "/v1/runs?limit=3&colour=up&page=1.0",
        "/v1/runs/?page=%31",
    ] {
        assert_eq!(world.ids(path).await, first, "{path}");
    }
    assert_eq!(world.ids("/v1/runs?page=3&page=1").await, first);
}

#[tokio::test]
async fn head_answers_the_same_without_a_body() {
    let (world, _) = filled();
    let get = world.get("/v1/runs").await;
    let head = world.ask(Method::HEAD, "/v1/runs").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("x-total-count"), get.header("x-total-count"));
    assert_eq!(head.header("content-type"), get.header("content-type"));
    assert_eq!(world.ask(Method::HEAD, "/v1/runs/42").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn an_empty_server_has_an_empty_list() {
    let world = World::new();
    let reply = world.get("/v1/runs").await;
    assert_eq!((reply.text(), reply.header("x-total-count"), reply.next()), ("[]", Some("0"), None));
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes_and_says_how_to_go_on() {
    let world = World::with(&QueryOptions { max_page_bytes: 10_000, ..QueryOptions::default() });
    for seed in 0..20 {
        world.add(&sample::run(seed));
    }
    let reply = world.get("/v1/runs/").await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    let body = reply.json();
    assert_eq!((&body["status_code"], &body["path"]), (&json!(413), &json!("/v1/runs/")));
    assert!(body["error"].as_str().unwrap().contains("smaller page_size or view=summary"), "{body}");
    // Both ways lead on, and the runs by themselves are answered.
    assert_eq!(world.ids("/v1/runs?page_size=1").await.len(), 1);
    let ids = world.ids("/v1/runs?view=summary").await;
    assert_eq!(ids.len(), 20);
    assert_eq!(world.get(&format!("/v1/runs/{}", ids[0])).await.status, StatusCode::OK);
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded() {
    let world = World::with(&QueryOptions { max_held_bytes: 400_000, ..QueryOptions::default() });
    for seed in 0..20 {
        world.add(&sample::run(seed));
    }
    let request = || Request::get("/v1/runs").body(Body::empty()).unwrap();
    let mut unread = Vec::new();
    let refused = loop {
        let response = world.router.clone().oneshot(request()).await.unwrap();
        if response.status() != StatusCode::OK {
            break response;
        }
        unread.push(response);
        assert!(unread.len() < 100, "nothing bounds them");
    };
    assert!(!unread.is_empty());
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    drop(unread);
    assert_eq!(world.get("/v1/runs").await.status, StatusCode::OK);
}
