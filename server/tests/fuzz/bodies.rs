//! Bodies of requests: JSON, NDJSON, events, gzip and zstd; and our JSON reader beside serde's.

use std::io::Write;

use axum::body::Body;
use http::{Request, StatusCode};
use proptest::prelude::*;
use serde_json::Value;

use crate::corpus::{corpus, lines};
use crate::mutate::{changed, changes};
use crate::world::{Answer, World};
use crate::{alone, bounded, check};

const JSON: &[u8] = b"{}[]\",:\\0123456789.eE+-tfn u\x00\xff\n";
/// What a small body may take: the state of a fresh server, and what zstd needs for its window of 8 MiB.
const MEMORY: usize = 24 << 20;

/// What the write side of a fresh server says: never a 5xx, always JSON.
fn ask(request: Request<Body>) -> Result<Answer, TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = bounded(MEMORY, || runtime.block_on(World::new().send(request)))?;
    prop_assert!(!answer.status.is_server_error(), "{}: {}", answer.status, answer.text());
    prop_assert!(serde_json::from_slice::<Value>(&answer.bytes).is_ok(), "{}", answer.text());
    Ok(answer)
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

fn one_of(folder: &str) -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(corpus(folder))
}

#[test]
fn json() {
    check((one_of("bodies"), changes(JSON, 6), any::<bool>()), |(seed, changes, batch)| {
        let path = if batch { "/v1/runs/batch" } else { "/v1/runs" };
        ask(post(path, "application/json", None, changed(seed, &changes))).map(drop)
    });
}

#[test]
fn ndjson() {
    check((one_of("ndjson"), changes(JSON, 6)), |(seed, changes)| {
        ask(post("/v1/runs/batch", "application/x-ndjson", None, changed(seed, &changes))).map(drop)
    });
}

#[test]
fn events() {
    let seeds = prop::sample::select(lines("events.txt"));
    check((seeds, changes(JSON, 6)), |(seed, changes)| {
        ask(post("/v1/events", "application/json", None, changed(seed.into_bytes(), &changes))).map(drop)
    });
}

/// Otherwise the cases would all end at the first look.
#[test]
fn what_the_cases_begin_from_is_taken() {
    let _alone = alone();
    for (folder, path, content_type) in
        [("bodies", "/v1/runs/batch", "application/json"), ("ndjson", "/v1/runs/batch", "application/x-ndjson")]
    {
        for seed in corpus(folder) {
            let path = if folder == "bodies" && seed.starts_with(b"{") { "/v1/runs" } else { path };
            let answer = ask(post(path, content_type, None, seed)).unwrap();
            assert!(answer.status.is_success(), "{folder}: {}", answer.text());
        }
    }
    for seed in lines("events.txt") {
        let answer = ask(post("/v1/events", "application/json", None, seed.into_bytes())).unwrap();
        assert!(answer.status.is_success(), "{}", answer.text());
        assert_eq!(answer.json()["rejected"], Value::Array(Vec::new()), "{}", answer.text());
    }
}

/// Broken streams, and whole ones of broken bodies.
#[test]
fn compressed_bodies() {
    let encodings = prop::sample::select(&["gzip", "zstd"][..]);
    let bytes = changes(b"\x00\x1f\x8b\x28\xb5\x2f\xfd\xff", 4);
    check((one_of("bodies"), encodings, bytes, any::<bool>()), |(seed, encoding, changes, inside)| {
        let body = match inside {
            true => compressed(encoding, &changed(seed, &changes)),
            false => changed(compressed(encoding, &seed), &changes),
        };
        ask(post("/v1/runs", "application/json", Some(encoding), body)).map(drop)
    });
}

/// What serde takes for JSON is taken by us, and the other way round.
#[test]
fn the_two_json_readers_agree() {
    check((one_of("bodies"), changes(JSON, 3)), |(seed, changes)| {
        let body = changed(seed, &changes);
        let serde = serde_json::from_slice::<Value>(&body);
        let answer = ask(post("/v1/runs", "application/json", None, body.clone()))?;
        let malformed = answer.status == StatusCode::UNPROCESSABLE_ENTITY
            && answer.json()["detail"]
                .as_array()
                .is_some_and(|errors| errors.iter().any(|error| error["type"] == "json_invalid"));
        // A number that no f64 can hold is JSON; serde's `Value` cannot hold it, and we name its field.
        let is_number = serde.as_ref().is_err_and(|error| error.to_string().contains("number out of range"));
        // No body at all is a missing one, as the contract says.
        let is_empty = body.trim_ascii().is_empty();
        prop_assert!(
            is_number || is_empty || malformed == serde.is_err(),
            "we say malformed = {malformed} ({}), serde {:?} of {}",
            answer.text(),
            serde.err(),
            String::from_utf8_lossy(&body)
        );
        Ok(())
    });
}

/// A small stream that becomes large is cut off where the contract says, and never held whole.
#[test]
fn a_bomb_does_not_go_off() {
    let _alone = alone();
    for encoding in ["gzip", "zstd"] {
        let bomb = compressed(encoding, &vec![b' '; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        let answer = ask(post("/v1/runs", "application/json", Some(encoding), bomb)).unwrap();
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{encoding}");
    }
}
