use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agenttracer_model::sample;
use agenttracer_query::QueryOptions;
use http::StatusCode;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{World, hold_reads};

/// A world of many runs in which one query runs at a time.
fn world(timeout: Duration) -> Arc<World> {
    let options = QueryOptions { max_running: 1, timeout, ..QueryOptions::default() };
    let world = World::with(&options);
    for seed in 0..100 {
        world.add(&sample::run(seed));
    }
    world.freeze();
    Arc::new(world)
}

async fn until(condition: impl AsyncFn() -> bool) {
    while !condition().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_its_query_along() {
    let world = world(Duration::from_secs(3600));
    let release = hold_reads(&world);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = world.router.clone();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /v1/runs?page_size=100 HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    until(async || world.log.reading.load(Ordering::SeqCst) > 0).await;
    drop(client);
    let left = "agenttracer_query_requests_total{endpoint=\"runs\",status=\"499\"} 1";
    until(async || world.get("/metrics").await.text().contains(left)).await;

    drop(release);
    // This one gets the only turn when the other has ended: after the read that it was at, not after a hundred.
    assert_eq!(world.get("/v1/runs?view=summary&page_size=1").await.ids().len(), 1);
    let reads = world.log.reading.load(Ordering::SeqCst);
    assert!(reads < 100, "{reads} runs were read for nobody");
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_too_long_is_told_what_to_do() {
    let world = world(Duration::from_millis(20));
    let release = hold_reads(&world);
    let reply = world.get("/v1/runs?page_size=100").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        reply.json(),
        json!({
            "error": "The query took too long and was given up: narrow the time range or the filter",
            "status_code": 503,
            "path": "/v1/runs",
        })
    );
    // One that waits behind it for the only turn is told so, too.
    let waiting = world.get("/v1/stats").await;
    assert_eq!((waiting.status, &waiting.json()["path"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("/v1/stats")));
    drop(release);
    until(async || world.get("/v1/stats").await.status == StatusCode::OK).await;
    let reads = world.log.reading.load(Ordering::SeqCst);
    assert!(reads < 100, "{reads} runs were read for nobody");
}
