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
