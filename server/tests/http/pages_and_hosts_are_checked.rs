//! Contract §6, the last paragraphs: CORS, DNS rebinding, and where the page is.

use reqwest::Method;
use serde_json::json;

use crate::common::{TestServer, full_run, send};

#[tokio::test]
async fn pages_of_the_listed_origins_may_use_both_apis() {
    let server = TestServer::boot().await;
    for origin in ["http://localhost:3000", "http://localhost:5173"] {
        let answer =
            send(server.ingest(Method::POST, "/v1/runs").header("origin", origin).json(&full_run())).await.expect(201);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        let answer = send(server.client().get(server.query_url("/v1/runs")).header("origin", origin)).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        let exposed = answer.header("access-control-expose-headers").unwrap().to_lowercase();
        for header in ["x-total-count", "link", "x-log-position", "x-removed"] {
            assert!(exposed.contains(header), "{header} is not in {exposed}");
        }
        let preflight = server.ingest(Method::OPTIONS, "/v1/runs").header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "POST");
        let answer = send(preflight.header("access-control-request-headers", "content-type")).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("access-control-allow-headers"), Some("content-type"));
    }
}

#[tokio::test]
async fn foreign_pages_may_neither_write_nor_read() {
    let server = TestServer::boot().await;
    for origin in ["http://evil.example", "null", "https://localhost:3000", "http://localhost:3001"] {
        let answer =
            send(server.ingest(Method::POST, "/v1/runs").header("origin", origin).json(&full_run())).await.expect(403);
        let body = answer.json();
        assert_eq!((&body["status_code"], &body["path"]), (&json!(403), &json!("/v1/runs")), "{origin}");
        let answer = send(server.client().get(server.query_url("/v1/runs")).header("origin", origin)).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
    }
    assert_eq!(server.get("/v1/runs").await.json(), json!([]));
}

#[tokio::test]
async fn a_foreign_host_is_refused_on_every_listener() {
    let server = TestServer::boot().await;
    for url in [server.ingest_url("/health"), server.query_url("/v1/runs"), server.ui_url("/")] {
        for (host, status) in [("evil.example", 403), ("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:80", 200)] {
            let answer = send(server.client().get(&url).header("host", host)).await;
            assert_eq!(answer.status, status, "{url} {host}");
        }
    }
}

#[tokio::test]
async fn the_origins_can_be_chosen() {
    let origin = "https://traces.example";
    let server = TestServer::boot_with(|config| config.cors_origins = vec![origin.parse().unwrap()]).await;
    let answer = send(server.ingest(Method::POST, "/v1/runs").header("origin", origin).json(&full_run())).await;
    assert_eq!(answer.expect(201).header("access-control-allow-origin"), Some(origin));
    let request = server.ingest(Method::POST, "/v1/runs").header("origin", "http://localhost:3000");
    send(request.json(&full_run())).await.expect(403);
}

#[tokio::test]
async fn the_ui_listener_has_a_page_and_the_query_routes() {
    let server = TestServer::boot().await;
    let stored = server.store(&full_run()).await;
    for url in [server.ui_url("/"), server.query_url("/")] {
        let page = send(server.client().get(url).header("accept", "text/html")).await.expect(200);
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'; script-src 'self'"));
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        let text = page.text();
        assert!(text.contains("<title>AgentTracer</title>"), "{text}");
        // Nothing inline: the policy would block it.
        assert!(!text.contains("<style") && !text.contains("style="), "{text}");
    }
    // What the page names is there.
    let text = send(server.client().get(server.ui_url("/"))).await.expect(200).text();
    for asset in text.split('"').filter(|part| part.starts_with("/assets/")) {
        let file = send(server.client().get(server.query_url(asset))).await.expect(200);
        assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"), "{asset}");
    }
    let run_page = server.ui_url(&format!("/runs/{}", stored["run_id"].as_str().unwrap()));
    assert_eq!(send(server.client().get(run_page).header("accept", "text/html")).await.expect(200).text(), text);
    let runs = send(server.client().get(server.ui_url("/v1/runs"))).await.expect(200);
    assert_eq!(runs.json()[0]["run_id"], stored["run_id"]);
    send(server.client().get(server.ui_url("/v1/nothing"))).await.expect(404);
}

#[tokio::test]
async fn answers_are_compressed_for_who_asks() {
    let server = TestServer::boot().await;
    server.store(&full_run()).await;
    for (accepted, encoding) in [("br, gzip", Some("br")), ("gzip", Some("gzip")), ("identity", None)] {
        let request = server.client().get(server.query_url("/v1/runs")).header("accept-encoding", accepted);
        let answer = send(request).await.expect(200);
        assert_eq!(answer.header("content-encoding"), encoding, "{accepted}");
        assert_eq!(encoding.is_none(), answer.body.starts_with(b"["));
    }
}
