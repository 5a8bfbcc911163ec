//! Any change of a valid body is answered with 2xx or 4xx, and never by a panic.

use agenttracer_model::sample;
use axum::body::Body;
use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, full, post, send};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Bytes that mean something in JSON come more often.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:\\0123456789.eE+-tfn u\x00\xff"[..])]
}

#[derive(Clone, Debug)]
enum Change {
    Put(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), byte()).prop_map(|(at, byte)| Change::Put(at, byte)),
        (index(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        (index(), 1..40_usize).prop_map(|(at, len)| Change::Remove(at, len)),
        (index(), 1..200_usize).prop_map(|(at, len)| Change::Repeat(at, len)),
    ]
}

fn apply(body: &mut Vec<u8>, change: &Change) {
    if body.is_empty() {
        return;
    }
    match change {
        Change::Put(at, byte) => *at.get_mut(body) = *byte,
        Change::Insert(at, byte) => body.insert(at.index(body.len()), *byte),
        Change::Remove(at, len) => {
            let at = at.index(body.len());
            body.drain(at..(at + len).min(body.len()));
        }
        Change::Repeat(at, len) => {
            let at = at.index(body.len());
            let piece = body[at..(at + len).min(body.len())].to_vec();
            body.splice(at..at, piece);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes(changes in prop::collection::vec(change(), 1..6), batch in any::<bool>()) {
        let mut body = if batch { json!([full(), full()]).to_string() } else { full().to_string() }.into_bytes();
        changes.iter().for_each(|change| apply(&mut body, change));
        let world = World::new();
        let path = if batch { "/v1/runs/batch" } else { "/v1/runs" };
        let answer = runtime().block_on(world.send(post(path, body)));
        prop_assert!(!answer.status.is_server_error(), "{}", answer.text());
        serde_json::from_slice::<Value>(&answer.bytes).unwrap();
    }

    /// Whole values in wrong places.
    #[test]
    fn values(at in any::<prop::sample::Index>(), value in value()) {
        let mut body = full();
        let mut pointers = Vec::new();
        collect(&body, String::new(), &mut pointers);
        *body.pointer_mut(&pointers[at.index(pointers.len())]).unwrap() = value;
        let world = World::new();
        let answer = runtime().block_on(world.send(post("/v1/runs", body.to_string())));
        prop_assert!(!answer.status.is_server_error(), "{}", answer.text());
    }

    #[test]
    fn headers(encoding in "[ -~]{0,12}", content_type in "[ -~]{0,24}", body in prop::collection::vec(any::<u8>(), 0..200)) {
        let world = World::new();
        let request = Request::post("/v1/runs")
            .header("content-encoding", encoding)
            .header("content-type", content_type)
            .body(Body::from(body))
            .unwrap();
        let answer = runtime().block_on(world.send(request));
        prop_assert!(answer.status.is_client_error(), "{}", answer.text());
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,300}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn collect(value: &Value, pointer: String, into: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| collect(value, format!("{pointer}/{key}"), into))
        }
        Value::Array(array) => {
            array.iter().enumerate().for_each(|(index, value)| collect(value, format!("{pointer}/{index}"), into));
        }
        _ => {}
    }
    into.push(pointer);
}

/// What the server answers is a body that it takes: times, numbers and strings survive the way out and in.
#[tokio::test]
async fn realistic_runs_are_taken() {
    let world = World::new();
    for seed in 0..200 {
        let body = serde_json::to_value(agenttracer_model::RunView::from_run(
            &sample::run(seed),
            sample::FIRST_START,
            agenttracer_model::Position::ZERO,
        ))
        .unwrap();
        let mut body = body;
        for decision in body["decisions"].as_array_mut().unwrap() {
            if let Some(candidates) = decision["metadata"].as_object_mut().unwrap().shift_remove("candidates") {
                decision["candidates"] = candidates;
            }
        }
        if let Some(failure) = body["failures"].get(0).cloned() {
            body["failure"] = failure;
        }
        let answer = send(world.router.clone(), post("/v1/runs", body.to_string())).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.header("x-removed"), None, "{body}");
        let told = answer.json();
        for field in ["run_id", "agent_id", "started_at", "ended_at", "duration_ms", "quality_signals", "metadata"] {
            if field != "quality_signals" {
                assert_eq!(told[field], body[field], "{field}");
            }
        }
        assert_eq!(told["steps"].as_array().unwrap().len(), body["steps"].as_array().unwrap().len());
    }
}
