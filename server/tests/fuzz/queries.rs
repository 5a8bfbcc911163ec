//! Query strings and cursors, over a small index.

use std::path::Path;
use std::sync::{Arc, LazyLock, mpsc};

use agenttracer_index::{Index, Options, commit_channel};
use agenttracer_model::sample;
use agenttracer_query::{QueryOptions, QueryState, routes};
use agenttracer_storage::disk::{SimClock, SimDisk};
use agenttracer_storage::{Log, MemoryLog, record};
use axum::Router;
use axum::body::{Body, to_bytes};
use http::Request;
use proptest::prelude::*;
use serde_json::Value;
use tower::ServiceExt;

use crate::corpus::lines;
use crate::mutate::{changed, changes};
use crate::{bounded, config};

const RUNS: u64 = 40;
/// What an answer over so few runs may take.
const MEMORY: usize = 8 << 20;
const PATHS: [&str; 3] = ["/v1/runs", "/v1/stats", "/v1/runs/00000000-0000-4000-8000-000000000001/steps"];

static ROUTER: LazyLock<Router> = LazyLock::new(|| {
    let (follower, commits) = commit_channel(64);
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(follower));
    let clock = Arc::new(SimClock::new(sample::FIRST_START));
    let options = Options { writer_heap_bytes: 15_000_000, ..Options::default() };
    let disk = Arc::new(SimDisk::new(1));
    let index = Index::open_stepped(disk, clock, Path::new("/index"), log.clone(), commits, options).unwrap();
    for seed in 0..RUNS {
        let (done, outcome) = mpsc::channel();
        let batch = record::encode_run(&sample::run(seed), sample::FIRST_START);
        log.submit(batch, Box::new(move |result| done.send(result).unwrap())).unwrap();
        while !index.apply_step() {
            std::thread::yield_now();
        }
        outcome.recv().unwrap().unwrap();
        // Half of them in memory, half on disk.
        if seed == RUNS / 2 {
            index.commit_now().unwrap();
        }
    }
    let registry = prometheus::Registry::new();
    routes(QueryState::new(Arc::new(index), log, &registry, &QueryOptions::default()).unwrap())
});

/// Asks, and checks that there is an answer: a 2xx or 4xx, JSON unless it is empty.
fn ask(path: &str, query: &str) -> Result<(), TestCaseError> {
    let router = ROUTER.clone();
    // What is no URI at all never gets here: hyper answers it.
    let Ok(request) = Request::get(format!("{path}?{query}")).body(Body::empty()) else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (status, body) = bounded(MEMORY, || {
        runtime.block_on(async {
            let response = router.oneshot(request).await.unwrap();
            (response.status(), to_bytes(response.into_body(), 64 << 20).await.unwrap())
        })
    });
    prop_assert!(!status.is_server_error(), "{path}?{query}: {status}");
    prop_assert!(body.is_empty() || serde_json::from_slice::<Value>(&body).is_ok(), "{path}?{query}");
    Ok(())
}

/// The cursor of a real page.
static CURSOR: LazyLock<String> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let request = Request::get("/v1/runs?page_size=3").body(Body::empty()).unwrap();
    let response = runtime.block_on(ROUTER.clone().oneshot(request)).unwrap();
    let link = response.headers()["link"].to_str().unwrap();
    let cursor = link.split_once("cursor=").unwrap().1;
    cursor[..cursor.find(['>', '&']).unwrap()].to_owned()
});

proptest! {
    #![proptest_config(config())]

    #[test]
    fn query_strings(
        path in prop::sample::select(&PATHS[..]),
        seed in prop::sample::select(lines("query_strings.txt")),
        changes in changes(b"=&%+;,:*\"-()<>0123456789.TZ_", 5),
    ) {
        let query = String::from_utf8_lossy(&changed(seed.into_bytes(), &changes)).into_owned();
        ask(path, &query)?;
    }

    #[test]
    fn cursors(changes in changes(b"ABCDEFabcdef0123456789-_=%", 3)) {
        let cursor = String::from_utf8_lossy(&changed(CURSOR.clone().into_bytes(), &changes)).into_owned();
        ask("/v1/runs", &format!("page_size=3&cursor={cursor}"))?;
    }
}
