use reqwest::Method;
use serde_json::Value;

use crate::common::{TestServer, send};

/// Each listener and its document.
async fn documents(server: &TestServer) -> Vec<(&'static str, Value)> {
    let mut documents = Vec::new();
    for name in ["ingest", "query", "ui"] {
        let answer = send(server.client().get(url(server, name, "/openapi.json"))).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
        let document = answer.json();
        assert_eq!(document["openapi"], "3.1.0");
        documents.push((name, document));
    }
    documents
}

fn url(server: &TestServer, listener: &str, path: &str) -> String {
    match listener {
        "ingest" => server.ingest_url(path),
        "query" => server.query_url(path),
        _ => server.ui_url(path),
    }
}

#[tokio::test]
async fn every_operation_that_is_described_is_served_and_no_other_method() {
    let server = TestServer::boot().await;
    for (listener, document) in documents(&server).await {
        for (path, item) in document["paths"].as_object().unwrap() {
            let asked = path.replace("{run_id}", "01a20481-9a4b-71d8-a64b-5bae045ba445").replace(['{', '}'], "");
            for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                let described = item.get(method.as_str().to_lowercase());
                let mut answer =
                    server.client().request(method.clone(), url(&server, listener, &asked)).send().await.unwrap();
                let status = answer.status().as_u16();
                match described {
                    // A stream has no end; its beginning says enough.
                    Some(operation) => {
                        assert!(status != 405, "{listener}: {method} {path} is described and not served");
                        let known = operation["responses"].get(status.to_string()).is_some();
                        assert!(known, "{listener}: {method} {path} answers {status}, which is not described");
                        let piece = answer.chunk().await.unwrap().unwrap_or_default();
                        assert!(piece != r#"{"detail":"Not Found"}"#, "{listener}: {path} is described and not served");
                    }
                    None => assert_eq!(status, 405, "{listener}: {method} {path} is served and not described"),
                }
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn every_operation_says_what_a_client_must_know() {
    let server = TestServer::boot().await;
    let mut ids = std::collections::HashSet::new();
    for (listener, document) in documents(&server).await {
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let place = format!("{listener}: {method} {path}");
                let id = operation["operationId"].as_str().unwrap_or_default();
                assert!(!id.is_empty() && ids.insert((listener, id.to_owned())), "{place}: the id {id:?}");
                assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{place}: no summary");
                let responses = operation["responses"].as_object().unwrap();
                for status in ["403", "500", "503"] {
                    assert!(responses.contains_key(status), "{place}: no {status}");
                }
                for (status, response) in responses {
                    assert!(!response["description"].as_str().unwrap_or_default().is_empty(), "{place}: {status}");
                    for (kind, content) in response["content"].as_object().into_iter().flatten() {
                        assert!(content.get("schema").is_some(), "{place}: {status} {kind} has no schema");
                        assert!(content.get("example").is_some(), "{place}: {status} {kind} has no example");
                    }
                }
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    assert!(parameter["description"].is_string(), "{place}: {}", parameter["name"]);
                }
                let named = path.matches('{').count();
                let described = operation["parameters"].as_array().into_iter().flatten();
                assert_eq!(described.filter(|parameter| parameter["in"] == "path").count(), named, "{place}");
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_page_needs_nothing_but_itself() {
    let server = TestServer::boot().await;
    for (listener, document) in documents(&server).await {
        let answer = send(server.client().get(url(&server, listener, "/docs"))).await.expect(200);
        let policy = answer.header("content-security-policy").unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        let page = answer.text();
        for (path, item) in document["paths"].as_object().unwrap() {
            assert!(page.contains(&format!("<code>{path}</code>")), "{listener}: {path}");
            for operation in item.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(page.contains(&format!("<section id=\"{id}\">")), "{listener}: {id}");
            }
        }
        // Every link leads to a place of the page, or to the document.
        for target in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let there = match target.strip_prefix('#') {
                Some(id) => page.contains(&format!("id=\"{id}\"")),
                None => target == "openapi.json" || target == "data:,",
            };
            assert!(there, "{listener}: {target} leads nowhere");
        }
        for forbidden in ["<script", "src=", "http://", "https://", "@import", "url(", "style=\"", "onclick"] {
            assert!(!page.contains(forbidden), "{listener}: {forbidden}");
        }
    }
    server.stop().await;
}
