use std::sync::Arc;
use std::sync::atomic::Ordering;

use agenttracer_model::sample;
use agenttracer_query::QueryOptions;
use http::StatusCode;
use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn a_damaged_record_is_named_and_the_other_runs_are_answered() {
    let world = World::new();
    let views: Vec<_> = (0..5).map(|seed| world.add(&sample::run(seed))).collect();
    let damaged = &views[2];
    world.log.damaged.lock().unwrap().push(damaged.position);

    for part in ["", "/steps", "/failures", "/decisions", "/signals", "/events"] {
        let path = format!("/v1/runs/{}{part}", damaged.run_id);
        let reply = world.get(&path).await;
        assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
        let error = format!(
            "The log record of run {} is damaged (segment 00000000000000000042.seg, position {})",
            damaged.run_id, damaged.position
        );
        assert_eq!(reply.json(), json!({"error": error, "status_code": 500, "path": path}));
    }

    let reply = world.get("/v1/runs").await;
    assert_eq!(reply.header("x-damaged-runs"), Some("1"));
    let runs = reply.json();
    let shown = runs.as_array().unwrap();
    assert_eq!(shown.len(), 5);
    for (run, view) in shown.iter().zip(views.iter().rev()) {
        if view.run_id == damaged.run_id {
            assert_eq!((run.get("steps"), &run["step_count"]), (None, &json!(view.steps.len())));
            assert_eq!(run["run_id"], json!(view.run_id));
        } else {
            assert_eq!(*run, serde_json::to_value(view).unwrap());
        }
    }
    // What the index alone answers does not notice.
    assert_eq!(world.get("/v1/runs?view=summary").await.header("x-damaged-runs"), None);
    assert_eq!(world.get("/v1/stats").await.json()["total_runs"], 5);

    let health = world.get("/health").await;
    assert_eq!((health.status, &health.json()["status"]), (StatusCode::OK, &json!("degraded")));
}

#[tokio::test]
async fn a_query_too_many_is_sent_away_and_health_still_answers() {
    let world = Arc::new(World::with(&QueryOptions { max_running: 1, max_waiting: 0, ..QueryOptions::default() }));
    let run = world.add(&sample::run(1));
    let path = format!("/v1/runs/{}", run.run_id);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (held, is_held) = std::sync::mpsc::channel();
    let holder = std::thread::spawn({
        let world = Arc::clone(&world);
        move || {
            let _guard = world.log.held.lock().unwrap();
            held.send(()).unwrap();
            released.recv().unwrap();
        }
    });
    is_held.recv().unwrap();
    let before = world.log.reading.load(Ordering::SeqCst);
    let slow = tokio::spawn({
        let (world, path) = (Arc::clone(&world), path.clone());
        async move { world.get(&path).await.status }
    });
    while world.log.reading.load(Ordering::SeqCst) == before {
        tokio::task::yield_now().await;
    }

    let refused = world.get("/v1/stats").await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("1")));
    assert_eq!(refused.json()["status_code"], 429);
    assert_eq!(world.get("/health").await.status, StatusCode::OK);

    release.send(()).unwrap();
    holder.join().unwrap();
    assert_eq!(slow.await.unwrap(), StatusCode::OK);
    assert_eq!(world.get("/v1/stats").await.status, StatusCode::OK);
}
