use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agenttracer_model::sample;
use agenttracer_query::QueryOptions;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::support::{World, hold_reads};

async fn follow(world: &World) -> Body {
    let request = Request::get("/v1/tail").body(Body::empty()).unwrap();
    world.router.clone().oneshot(request).await.unwrap().into_body()
}

/// What comes next; `None` at the end.
async fn next(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

/// The next that is not just a sign of life.
async fn event(body: &mut Body) -> Option<String> {
    loop {
        let text = next(body).await?;
        if !text.starts_with(": alive") {
            return Some(text);
        }
    }
}

/// The one question that may run hangs, one follower waits for it and the other one for the first.
#[tokio::test]
async fn a_follower_that_waits_for_its_turn_is_kept_alive_and_ended() {
    let options = QueryOptions { max_running: 1, max_silence: Duration::from_millis(20), ..QueryOptions::default() };
    let world = Arc::new(World::with(&options));
    let run_id = world.add(&sample::run(1)).run_id;
    let mut followers = [follow(&world).await, follow(&world).await];
    for follower in &mut followers {
        assert_eq!(next(follower).await.unwrap().split_once("id: ").unwrap().0, "retry: 1000\n");
    }
    let release = hold_reads(&world);
    let hanging = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.get(&format!("/v1/runs/{run_id}")).await.status }
    });
    while world.log.reading.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let second = world.add(&sample::run(2));

    for follower in &mut followers {
        for _ in 0..2 {
            let text = next(follower).await.unwrap();
            assert!(text.starts_with(": alive\nid: "), "{text}");
        }
    }
    release.send(()).unwrap();
    assert_eq!(hanging.await.unwrap(), 200);
    for follower in &mut followers {
        let text = event(follower).await.unwrap();
        assert!(text.contains("event: run") && text.contains(&second.run_id.to_string()), "{text}");
    }

    // They wait once more, and the server stops.
    let release = hold_reads(&world);
    let before = world.log.reading.load(Ordering::SeqCst);
    let third = world.add(&sample::run(3)).run_id;
    let hanging = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.get(&format!("/v1/runs/{third}")).await.status }
    });
    while world.log.reading.load(Ordering::SeqCst) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.state.close();
    for follower in &mut followers {
        // What was found before the hanging question began may still come.
        while let Some(text) = event(follower).await {
            assert!(text.contains(&third.to_string()), "{text}");
        }
    }
    drop(release);
    assert_eq!(hanging.await.unwrap(), 200);
}
