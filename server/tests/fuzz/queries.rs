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
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response};
use proptest::prelude::*;
use serde_json::Value;
use tower::ServiceExt;

use crate::corpus::lines;
use crate::mutate::{changed, changes};
use crate::{alone, bounded, check};

const RUNS: u64 = 40;
/// What an answer over so few runs may take.
const MEMORY: usize = 8 << 20;
const PATHS: [&str; 12] = [
    "/v1/runs",
    "/v1/runs/histogram",
    "/v1/stats",
    "/v1/facets",
    "/v1/timeseries",
    "/v1/agents",
    "/v1/agents/support-agent/versions",
    "/v1/agents/support-agent/versions/v1.4.0/latency",
    "/v1/decisions",
    "/v1/signals",
    "/v1/failures",
    "/v1/runs/00000000-0000-4000-8000-000000000001/steps",
];

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
fn ask(path: &str, query: &str) -> Result<Response<Vec<u8>>, TestCaseError> {
    let router = ROUTER.clone();
    let Ok(request) = Request::get(format!("{path}?{query}")).body(Body::empty()) else {
        // What is no URI at all never gets here: hyper answers it.
        return Ok(Response::builder().status(400).body(Vec::new()).unwrap());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = bounded(MEMORY, || {
        runtime.block_on(async {
            let (head, body) = router.oneshot(request).await.unwrap().into_parts();
            Response::from_parts(head, to_bytes(body, 64 << 20).await.unwrap().to_vec())
        })
    })?;
    let status = answer.status();
    prop_assert!(!status.is_server_error(), "{path}?{query}: {status}");
    prop_assert!(answer.body().is_empty() || serde_json::from_slice::<Value>(answer.body()).is_ok(), "{path}?{query}");
    Ok(answer)
}

#[test]
fn query_strings() {
    let seeds = prop::sample::select(lines("query_strings.txt"));
    let bytes = changes(b"=&%+;,:*\"-()<>0123456789.TZ_", 5);
    check((prop::sample::select(&PATHS[..]), seeds, bytes), |(path, seed, changes)| {
        ask(path, &String::from_utf8_lossy(&changed(seed.into_bytes(), &changes))).map(drop)
    });
}

fn escaped(line: &[u8]) -> String {
    line.iter().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn search_lines() {
    let seeds = prop::sample::select(lines("search_lines.txt"));
    check((seeds, changes(b"\"\\-:,.<>=*() \t", 5)), |(seed, changes)| {
        ask("/v1/stats", &format!("q={}", escaped(&changed(seed.into_bytes(), &changes)))).map(drop)
    });
}

#[test]
fn cursors() {
    let page = ask("/v1/runs", "page_size=3").unwrap();
    let link = page.headers()["link"].to_str().unwrap().to_owned();
    let cursor = link.split_once("cursor=").unwrap().1;
    let cursor = &cursor[..cursor.find(['>', '&']).unwrap()];
    // Bytes of the text, and bytes of what the text stands for.
    let bytes = changes(b"ABCDEFabcdef0123456789-_=%", 3);
    check((any::<bool>(), bytes), |(inside, changes)| {
        let cursor = match inside {
            true => URL_SAFE_NO_PAD.encode(changed(URL_SAFE_NO_PAD.decode(cursor).unwrap(), &changes)),
            false => String::from_utf8_lossy(&changed(cursor.as_bytes().to_vec(), &changes)).into_owned(),
        };
        ask("/v1/runs", &format!("page_size=3&cursor={cursor}")).map(drop)
    });
}

/// Otherwise the cases would all end at the first look.
#[test]
fn what_the_cases_begin_from_is_answered() {
    let _alone = alone();
    for line in lines("search_lines.txt") {
        let answer = ask("/v1/stats", &format!("q={}", escaped(line.as_bytes()))).unwrap();
        assert_eq!(answer.status(), 200, "{line}: {}", String::from_utf8_lossy(answer.body()));
    }
    for query in lines("query_strings.txt") {
        let taken = PATHS.iter().filter(|path| ask(path, &query).unwrap().status() == 200).count();
        assert!(taken > 0, "{query}");
    }
}
