//! Sizes, compression, depth and the bytes that all bodies hold together.

use std::io::Write;
use std::time::Duration;

use agenttracer_ingest::Options;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::Request;
use serde_json::json;

use crate::world::{World, post, set, small};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn encoded(path: &str, encoding: &str, bytes: Vec<u8>) -> Request<Body> {
    let mut request = post(path, bytes);
    request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
    request
}

#[tokio::test]
async fn compressed_bodies_are_read() {
    let world = World::new();
    let body = set(&small(), "/steps", json!([])).to_string();
    let members = [gzip(&body.as_bytes()[..20]), gzip(&body.as_bytes()[20..])].concat();
    for (encoding, bytes) in [
        ("gzip", gzip(body.as_bytes())),
        ("GZIP", gzip(body.as_bytes())),
        ("gzip", members),
        ("zstd", zstd(body.as_bytes())),
        ("identity", body.clone().into_bytes()),
    ] {
        let answer = world.send(encoded("/v1/runs", encoding, bytes)).await;
        assert_eq!(answer.status, 201, "{encoding}: {}", answer.text());
    }
    let padded = format!("{body}{}", " ".repeat(2 << 20));
    assert_eq!(world.send(encoded("/v1/runs", "zstd", zstd(padded.as_bytes()))).await.status, 201);
}

#[tokio::test]
async fn what_does_not_decompress_is_refused() {
    let world = World::new();
    let body = small().to_string();
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 5);
        bytes
    };
    for (encoding, bytes) in [
        ("gzip", body.clone().into_bytes()),
        ("zstd", body.clone().into_bytes()),
        ("gzip", cut(gzip(body.as_bytes()))),
        ("zstd", cut(zstd(body.as_bytes()))),
        ("gzip", zstd(body.as_bytes())),
    ] {
        let answer = world.send(encoded("/v1/runs", encoding, bytes)).await;
        assert_eq!(answer.errors(), [("value_error".to_owned(), String::new())], "{encoding}");
    }
    for encoding in ["br", "gzip, zstd", "deflate"] {
        let answer = world.send(encoded("/v1/runs", encoding, body.clone().into_bytes())).await;
        assert_eq!(answer.status, 415);
    }
    assert_eq!(world.stored(), 0);
}

#[tokio::test]
async fn bombs_are_stopped_at_the_limit() {
    let world = World::new();
    let bomb = vec![b' '; 80 << 20];
    for (encoding, bytes) in [("gzip", gzip(&bomb)), ("zstd", zstd(&bomb))] {
        for path in ["/v1/runs", "/v1/runs/batch"] {
            let answer = world.send(encoded(path, encoding, bytes.clone())).await;
            assert_eq!(answer.status, 413, "{encoding}: {}", answer.text());
            assert_eq!(answer.json()["path"], path);
        }
    }
}

/// A frame that asks for a window of 128 MiB would cost memory that no limit of the body counts.
#[tokio::test]
async fn a_zstd_window_beyond_8_mib_is_refused() {
    let world = World::new();
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(small().to_string().as_bytes()).unwrap();
    let answer = world.send(encoded("/v1/runs", "zstd", encoder.finish().unwrap())).await;
    assert_eq!(answer.errors(), [("value_error".to_owned(), String::new())]);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_and_while_it_is_read() {
    let world = World::new();
    let announced = Request::post("/v1/runs")
        .header("content-type", "application/json")
        .header("content-length", (8 << 20) + 1)
        .body(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()))
        .unwrap();
    let answer = world.send(announced).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (413, &json!("The body must be at most 8 MiB")));

    // A body without end: it is not read to its end.
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 64 << 10])));
    let answer = world.send(post("/v1/runs", Body::from_stream(endless))).await;
    assert_eq!(answer.status, 413);

    let exactly = format!("{}{}", small(), " ".repeat((8 << 20) - small().to_string().len()));
    assert_eq!(world.post_bytes(exactly.clone()).await.status, 201);
    assert_eq!(world.post_bytes(exactly + " ").await.status, 413);
}

#[tokio::test]
async fn a_body_in_pieces_is_one_body() {
    let world = World::new();
    let pieces: Vec<_> =
        small().to_string().into_bytes().chunks(7).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let answer = world.send(post("/v1/runs", Body::from_stream(stream::iter(pieces)))).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[tokio::test]
async fn a_client_that_stalls_is_let_go() {
    let world = World::with(Options { body_idle: Duration::from_millis(20), ..Options::default() });
    let stalled = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    assert_eq!(world.send(post("/v1/runs", stalled)).await.status, 408);
}

#[tokio::test]
async fn all_bodies_together_are_bounded() {
    let world = World::with(Options { in_flight_limit_bytes: 1 << 20, ..Options::default() });
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let slow =
        Body::from_stream(stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))));
    let held = tokio::spawn(crate::world::send(world.router.clone(), post("/v1/runs", slow)));
    sender.send(Ok(Bytes::from(vec![b' '; 1 << 20]))).await.unwrap();
    // The second piece fits only into the channel; the first is held by then.
    sender.send(Ok(Bytes::new())).await.unwrap();
    sender.send(Ok(Bytes::new())).await.unwrap();
    let answer = world.post(&small()).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("1")));
    drop(sender);
    assert_eq!(held.await.unwrap().status, 422);
    assert_eq!(world.post(&small()).await.status, 201);
    let expanded = zstd(&vec![b' '; 2 << 20]);
    assert_eq!(world.send(encoded("/v1/runs", "zstd", expanded)).await.status, 429);
    let metrics = world.get("/metrics").await.text();
    assert!(metrics.contains("agenttracer_body_bytes 0\n"), "{metrics}");
}

/// On a thread with the usual stack of the runtime.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn deep_nesting_is_refused_without_a_deep_stack() {
    let world = World::new();
    let router = world.router.clone();
    let answers = tokio::spawn(async move {
        let mut answers = Vec::new();
        for unit in ["[", "{\"a\":", "[{\"a\":"] {
            for path in ["/v1/runs", "/v1/runs/batch"] {
                let body = unit.repeat((8 << 20) / unit.len());
                answers.push(crate::world::send(router.clone(), post(path, body)).await);
            }
        }
        answers
    });
    for answer in answers.await.unwrap() {
        assert_eq!(answer.status, 422);
        assert!(["json_invalid", "list_type"].contains(&answer.errors()[0].0.as_str()), "{}", answer.text());
    }
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let with = |depth| small().to_string().replace("\"status\"", &format!("\"extra\":{},\"status\"", nested(depth)));
    assert_eq!(world.post_bytes(with(127)).await.status, 201);
    let answer = world.post_bytes(with(128)).await;
    assert_eq!(answer.errors()[0].0, "json_invalid");
    // Brackets in strings are no nesting.
    let body = set(&small(), "/extra", json!("[{\"".repeat(1000)));
    assert_eq!(world.post(&body).await.status, 201);
    // Many brackets side by side neither.
    let body = set(&small(), "/extra", json!(vec![json!([{}]); 1000]));
    assert_eq!(world.post(&body).await.status, 201);
}
