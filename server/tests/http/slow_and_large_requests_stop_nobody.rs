use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{TestServer, send, small_run};

/// As many as the promise names; both ends of each are in this process.
const SLOW: usize = 2000;
const IDLE: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_idle_connections_do_not_stop_ingest() {
    let server = TestServer::boot().await;
    let address = server.ingest_url("").trim_start_matches("http://").to_owned();
    let mut held = Vec::new();
    for index in 0..SLOW + IDLE {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        if index < SLOW {
            // A head that goes on for as long as it is let.
            stream
                .write_all(b"POST /v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\nx-slow: ")
                .await
                .unwrap();
        }
        held.push(stream);
    }
    for _ in 0..50 {
        server.post(&small_run(serde_json::json!({}))).await.expect(201);
    }
    for stream in held.iter_mut().take(SLOW).step_by(100) {
        // They are still there: nobody was turned away to let the others in.
        stream.write_all(b"a").await.unwrap();
    }
    drop(held);
    server.stop().await;
}

#[tokio::test]
async fn a_head_and_a_query_string_have_a_bound() {
    let server = TestServer::boot().await;
    let fits = format!("/v1/runs?agent_id={}", "a".repeat(15_000));
    send(server.client().get(server.query_url(&fits))).await.expect(200);
    let too_long = format!("/v1/runs?agent_id={}", "a".repeat(17_000));
    let answer = send(server.client().get(server.query_url(&too_long))).await.expect(414).json();
    assert_eq!((&answer["status_code"], &answer["path"]), (&414.into(), &"/v1/runs".into()));

    let address = server.query_url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nx-large: {}\r\n\r\n", "a".repeat(80 << 10));
    // It may be refused before all of it is sent.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
    server.stop().await;
}

/// Reads an answer with its body; the connection stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            return text.into_owned();
        }
    }
}

#[tokio::test]
async fn who_is_refused_before_the_body_is_read_can_read_why() {
    let server = TestServer::boot().await;
    let address = server.ingest_url("").trim_start_matches("http://").to_owned();
    // More than the buffers of both sides hold: as long as nobody reads it, it cannot be sent.
    let body = vec![b' '; 48 << 20];
    let mut stream = TcpStream::connect(&address).await.unwrap();
    for (path, host, status) in
        [("/v1/runs", "localhost", 413), ("/v1/runs/batch", "evil.example", 403), ("/nowhere", "localhost", 404)]
    {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    // The connection is as good as new.
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));

    // Who asks first sends nothing.
    let head = "POST /v1/runs HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 413 "));
    server.stop().await;
}
