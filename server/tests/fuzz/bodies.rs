//! Bodies of requests: JSON, NDJSON, gzip and zstd; and our JSON reader beside serde's.

use std::io::Write;
use std::sync::Arc;

use agenttracer_ingest::{HeldEvents, IngestState, Options, StoredRun, StoredRuns, StoredRunsError, routes};
use agenttracer_model::{EventMark, RunView, sample};
use agenttracer_storage::disk::SimClock;
use agenttracer_storage::{MemoryLog, ResolveOnCommit};
use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use proptest::prelude::*;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

use crate::corpus::corpus;
use crate::mutate::{changed, changes};
use crate::{bounded, config};

const JSON: &[u8] = b"{}[]\",:\\0123456789.eE+-tfn u\x00\xff\n";
/// What a small body may take: the state of a fresh server, and what zstd needs for its window of 8 MiB.
const MEMORY: usize = 24 << 20;

/// Projections that know of no run.
struct NoRuns;

impl StoredRuns for NoRuns {
    fn find(&self, _: Uuid) -> Result<Option<StoredRun>, StoredRunsError> {
        Ok(None)
    }

    fn view(&self, _: Uuid) -> Result<Option<RunView>, StoredRunsError> {
        Ok(None)
    }

    fn live(&self, _: Uuid, _: &[EventMark]) -> Result<Option<HeldEvents>, StoredRunsError> {
        Ok(None)
    }

    fn live_runs(&self) -> u64 {
        0
    }

    fn expired(&self, _: usize) -> Vec<Uuid> {
        Vec::new()
    }

    fn is_expired(&self, _: Uuid) -> bool {
        false
    }

    fn has_room(&self) -> bool {
        true
    }
}

fn ask(request: Request<Body>) -> Result<(StatusCode, Vec<u8>), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (status, body) = bounded(MEMORY, || {
        let log = Arc::new(MemoryLog::new(ResolveOnCommit));
        let clock = Arc::new(SimClock::new(sample::FIRST_START));
        let registry = prometheus::Registry::new();
        let state = IngestState::new(log, Arc::new(NoRuns), clock, &registry, Options::default()).unwrap();
        runtime.block_on(async {
            let response = routes(state).oneshot(request).await.unwrap();
            (response.status(), to_bytes(response.into_body(), 64 << 20).await.unwrap().to_vec())
        })
    });
    prop_assert!(!status.is_server_error(), "{status}: {}", String::from_utf8_lossy(&body));
    prop_assert!(serde_json::from_slice::<Value>(&body).is_ok(), "{}", String::from_utf8_lossy(&body));
    Ok((status, body))
}

fn post(path: &str, content_type: &str, encoding: Option<&str>, body: Vec<u8>) -> Request<Body> {
    let mut request = Request::post(path).header("content-type", content_type);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    request.body(Body::from(body)).unwrap()
}

fn compressed(encoding: &str, body: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(body).unwrap();
            gzip.finish().unwrap()
        }
        _ => zstd::encode_all(body, 1).unwrap(),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn json(seed in prop::sample::select(corpus("bodies")), changes in changes(JSON, 6), batch in any::<bool>()) {
        let path = if batch { "/v1/runs/batch" } else { "/v1/runs" };
        ask(post(path, "application/json", None, changed(seed, &changes)))?;
    }

    #[test]
    fn ndjson(seed in prop::sample::select(corpus("ndjson")), changes in changes(JSON, 6)) {
        ask(post("/v1/runs/batch", "application/x-ndjson", None, changed(seed, &changes)))?;
    }

    /// Broken streams, and whole ones of broken bodies.
    #[test]
    fn compressed_bodies(
        seed in prop::sample::select(corpus("bodies")),
        encoding in prop::sample::select(&["gzip", "zstd"][..]),
        changes in changes(b"\x00\x1f\x8b\x28\xb5\x2f\xfd\xff", 4),
        inside in any::<bool>(),
    ) {
        let body = match inside {
            true => compressed(encoding, &changed(seed, &changes)),
            false => changed(compressed(encoding, &seed), &changes),
        };
        ask(post("/v1/runs", "application/json", Some(encoding), body))?;
    }

    /// What serde takes for JSON is taken by us, and the other way round, but for what the contract says otherwise: a bound
    /// on depth, and a byte order mark.
    #[test]
    fn the_two_json_readers_agree(seed in prop::sample::select(corpus("bodies")), changes in changes(JSON, 3)) {
        let body = changed(seed, &changes);
        let serde = serde_json::from_slice::<Value>(&body);
        let (status, answer) = ask(post("/v1/runs", "application/json", None, body.clone()))?;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let malformed = status == StatusCode::UNPROCESSABLE_ENTITY
            && answer["detail"].as_array().is_some_and(|errors| errors.iter().any(|error| error["type"] == "json_invalid"));
        let is_empty = body.trim_ascii().is_empty();
        // serde refuses numbers that no f64 can hold where we keep the text to name the field.
        let is_number = serde.as_ref().is_err_and(|error| error.to_string().contains("number out of range"));
        prop_assert!(
            is_empty || is_number || malformed == serde.is_err(),
            "we say malformed = {malformed} ({answer}), serde {:?} of {}", serde.err(), String::from_utf8_lossy(&body)
        );
    }
}

/// A small stream that becomes large is cut off where the contract says, and never held whole.
#[test]
fn a_bomb_does_not_go_off() {
    for encoding in ["gzip", "zstd"] {
        let bomb = compressed(encoding, &vec![b' '; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        let (status, _) = ask(post("/v1/runs", "application/json", Some(encoding), bomb)).unwrap();
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{encoding}");
    }
}
